"""The images of a server, who has which, and which comes next."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Callable

from .connection import Connection
from .contract import DRAFT, LEASED, UNLABELLED, WorklistItem
from .topics import WORKLIST


class Worklist:
    """What is listed, and the strategy by which the server chooses the next image.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.items: list[WorklistItem] = []
        self.strategy = ""

    def item(self, image: str) -> WorklistItem | None:
        """What is listed of an image."""
        return next((item for item in self.items if item.image == image), None)

    def offer(self, strategies: Iterable[str]) -> None:
        """Keep the strategy if the server has it, else take one that it has."""
        offered = tuple(strategies)
        if self.strategy not in offered:
            self.strategy = "first" if "first" in offered else next(iter(offered), "")

    def refresh(self) -> None:
        """Ask for the list again."""
        client, reader = self._connection.client, self._connection.reader
        if client is not None:
            self._connection.back.submit(
                lambda: with_leases(client.worklist(), client.leases(), reader),
                self._came, self._connection.fail, "worklist",
            )  # fmt: skip

    def clear(self) -> None:
        """Nothing is listed, nor what is still to come."""
        self._connection.back.cancel("worklist")
        self._came([])

    def _came(self, items: list[WorklistItem]) -> None:
        self.items = items
        self._connection.tell(WORKLIST)

    def labelled(self, image: str, tag: str) -> None:
        """An image has a label of this tag now."""
        self.items = [_now_labelled(item, tag) if item.image == image else item for item in self.items]
        self._connection.tell(WORKLIST)

    def choosing(self, *leave_out: Collection[str]) -> Callable[[], str | None]:
        """A job that finds the next image, by the server's strategy; None if there is none.

        Args:
            leave_out: images that it may not be; if none other is left, those of the next argument.
        """
        client, strategy, reader = self._connection.client, self.strategy, self._connection.reader
        assert client is not None

        def choose(left_out: Collection[str]) -> str | None:
            image = client.next_image(strategy, sorted(left_out), reader) if strategy else None
            if image is not None and image not in left_out:
                return image
            return _first_left(client.worklist(), left_out)

        return lambda: next((image for image in map(choose, leave_out) if image is not None), None)


def with_leases(items: Sequence[WorklistItem], leases: dict[str, str], reader: str) -> list[WorklistItem]:
    """The worklist with who else has which image; what this reader has is nobody else's."""
    others = {image: who for image, who in leases.items() if not _own(who, reader)}
    return [
        replace(item, status=LEASED, reader=others[item.image])
        if item.image in others and item.status == UNLABELLED
        else item
        for item in items
    ]


def _own(who: str, reader: str) -> bool:
    """Whether a lease may be one's own: who gives no name is somebody, at an address that only the server knows."""
    return who.split(" / ")[-1] == reader if reader else who.startswith("somebody at ")


def _first_left(items: Sequence[WorklistItem], leave_out: Collection[str]) -> str | None:
    """The first image that is not final, not with another reader and not left out; drafts first."""
    open_to_all = [item for item in items if item.status in (UNLABELLED, DRAFT) and item.image not in leave_out]
    drafts = [item.image for item in open_to_all if item.status == DRAFT]
    return next(iter([*drafts, *(item.image for item in open_to_all)]), None)


def _now_labelled(item: WorklistItem, tag: str) -> WorklistItem:
    labels = {**item.labels, tag: {**item.labels.get(tag, {}), "ts": time.time()}}
    return replace(item, status=tag, labels=labels)
