"""A person at a desk of one's own: the loop of reading in the real scene and slice view, with a real mouse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sliceview import SliceView
from waiting import wait_until

import slicer
from LandmarkLabelLib.desk import ReadingDesk


class Reader:
    """Who reads images in a scene.

    Args:
        folder: for drafts and images.
    """

    def __init__(self, folder: Path) -> None:
        self.view = SliceView()
        self.desk = ReadingDesk(self.view.scene, folder / "drafts", folder / "images", "tester")
        self.loop = self.desk.loop

    def connect(self, address: str) -> None:
        slicer.mrmlScene = self.view.scene
        self.loop.worklist.items = []
        self.loop.connect(address)
        self.wait(lambda: self.loop.worklist.items and self.loop.client.address == address, "worklist")

    def wait(self, condition, what: str = "") -> None:  # type: ignore[no-untyped-def]
        wait_until(self.desk.poll, condition, f"{what}; {self.loop.message}")

    def open(self, image: str) -> None:
        self.loop.open(image)
        self.wait(lambda: self.loop.open_image and self.loop.open_image.image == image and self.settled, image)
        self.view.render()

    @property
    def reading(self):  # type: ignore[no-untyped-def]
        return self.loop.reading

    @property
    def settled(self) -> bool:
        """Nothing is under way that would move a landmark."""
        opened = self.loop.open_image
        return bool(opened and opened.detected and opened.reading.now.followed and not self.desk.gliding)

    def settle(self) -> None:
        self.wait(lambda: self.settled, "settled")

    def detect_again(self) -> None:
        before = self.reading.now
        self.loop.detect()
        self.wait(lambda: self.reading.now is not before, "detection")

    def saved(self) -> None:
        self.wait(lambda: not self.loop.outbox.waiting and not self.loop.poll(), "saved")

    def on_screen(self, label: str) -> np.ndarray:
        x, y, z = self.desk.points.position(label)
        return self.view.on_screen((-x, -y, z))

    def drag(self, label: str, by: tuple[float, float]) -> None:
        """To whole pixels of the screen, as a mouse does."""
        self.view.render()
        self.view.drag(self.on_screen(label), by)

    def drawn(self) -> dict:
        return {label: self.desk.points.position(label) for label in self.reading.labels}
