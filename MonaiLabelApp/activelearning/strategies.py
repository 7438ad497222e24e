"""Which image to label next: the simple ways."""

from __future__ import annotations

import random
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy


class First(Strategy):
    """The first image without a final label, by its id."""

    def __init__(self) -> None:
        super().__init__("First unlabelled image")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images())
        return {"id": images[0]} if images else None


class Random(Strategy):
    """Any image without a final label; with ``seed``, the same one for the same set of images."""

    def __init__(self) -> None:
        super().__init__("Random unlabelled image")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images())
        return {"id": random.Random(request.get("seed")).choice(images)} if images else None
