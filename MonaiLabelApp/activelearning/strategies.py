"""The strategies as MONAI Label lists and calls them."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelearning.next_image import NextImages
from landmarklabel.active import STRATEGIES
from landmarklabel.errors import ConfigError


class ImageStrategy(Strategy):
    """One of :data:`landmarklabel.active.STRATEGIES`.

    Args:
        name: of it.
        images: offers them.
    """

    def __init__(self, name: str, images: NextImages) -> None:
        super().__init__(STRATEGIES[name])
        self._name, self._images = name, images

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """The next image for ``request["client_id"]``; see :meth:`~activelearning.next_image.NextImages.next`.

        Raises:
            ConfigError: ``seed`` is no whole number, or ``client_id`` no name.
        """
        return self._images.next(self._name, client_of(request), seed_of(request))


def strategies(images: NextImages) -> dict[str, Strategy]:
    """All of them, the default first."""
    return {name: ImageStrategy(name, images) for name in STRATEGIES}


def seed_of(request: dict[str, Any]) -> int | None:
    """``seed`` of a request.

    Raises:
        ConfigError: it is no whole number from 0 on.
    """
    seed = request.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise ConfigError(f"seed must be a whole number from 0 on, got {str(seed)[:60]!r}")
    return seed


def client_of(request: dict[str, Any]) -> str:
    """``client_id`` of a request: who asks, as far as the client says; empty if it does not.

    Raises:
        ConfigError: it is no text of up to 200 characters.
    """
    client = request.get("client_id") or ""
    if not isinstance(client, str) or len(client) > 200 or not client.isprintable():
        raise ConfigError(f"client_id must be a name of up to 200 characters, got {str(client)[:60]!r}")
    return client
