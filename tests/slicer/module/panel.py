"""The panel of the module beside a slice view, operated as a person does: by buttons, keys and the mouse."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shim
from sliceview import SliceView


class Panel:
    """A module that is set up and entered, in a main window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.application = shim.install(folder)
        self.view = SliceView()
        import LandmarkLabel

        self.module = LandmarkLabel
        self.widget = LandmarkLabel.LandmarkLabelWidget()
        self.widget.setup()
        import slicer

        self.window = slicer.app.window
        self.window.setCentralWidget(self.widget.parent)
        self.window.resize(460, 1300)
        self.window.show()
        self.widget.enter()
        self.ui, self.desk, self.loop = self.widget.ui, self.widget.desk, self.widget.loop

    def close(self) -> None:
        self.widget.exit()
        self.widget.cleanup()
        self.window.close()
        self.application.processEvents()

    def wait(self, condition: Callable[[], Any], what: str = "", seconds: float = 60) -> float:
        """Run the event loop until something has come; the longest that it stood still, in seconds.

        What counts as standing still is one turn of the loop: the module's own timer, painting, and handlers.
        """
        deadline, longest = time.monotonic() + seconds, 0.0
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain: {what}; {self.loop.message}"
            began = time.perf_counter()
            self.application.processEvents()
            longest = max(longest, time.perf_counter() - began)
            time.sleep(0.001)
        return longest

    def connect(self, address: str) -> None:
        self.ui.addressEdit.setText(address)
        self.loop.worklist.items = []
        self.ui.connectButton.click()
        self.wait(lambda: self.loop.worklist.items and self.loop.client.address == address.rstrip("/"), "worklist")

    def open(self, image: str) -> None:
        self.widget.worklist.select(image)
        self.ui.openButton.click()
        self.wait(lambda: self.is_open(image), image)
        self.view.render()

    def is_open(self, image: str) -> bool:
        return bool(self.loop.open_image and self.loop.open_image.image == image and self.settled)

    @property
    def settled(self) -> bool:
        opened = self.loop.open_image
        return bool(opened and opened.detected and opened.reading.now.followed and not self.desk.gliding)

    def key(self, name: str) -> None:
        """Press the key of an action of keys.py."""
        from LandmarkLabelLib.keys import KEYS

        shortcuts = dict(zip(self.widget.actions(), self.widget.shortcuts, strict=True))
        assert shortcuts[name].isEnabled()
        assert shortcuts[name].key().toString() == KEYS[name].key
        from PySide6.QtTest import QTest

        sequence = shortcuts[name].key()[0]
        self.window.activateWindow()
        self.widget.parent.setFocus()
        QTest.keyClick(self.widget.parent, sequence.key(), sequence.keyboardModifiers())
        self.application.processEvents()

    def drag(self, label: str, by: tuple[float, float]) -> None:
        self.view.render()
        x, y, z = self.desk.points.position(label)
        self.view.drag(self.view.on_screen((-x, -y, z)), by)
