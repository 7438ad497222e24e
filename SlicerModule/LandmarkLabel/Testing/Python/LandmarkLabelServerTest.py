"""The loop in the application, against a server that runs: LANDMARKLABEL_SERVER=http://127.0.0.1:8000; else skipped."""

from __future__ import annotations

import os
import tempfile
import time
import unittest
from pathlib import Path

import slicer
from LandmarkLabel import LandmarkLabelLogic

ADDRESS = os.environ.get("LANDMARKLABEL_SERVER", "")


class LandmarkLabelServerTest(unittest.TestCase):
    """Connect, open, correct, undo, redo."""

    @unittest.skipUnless(ADDRESS, "LANDMARKLABEL_SERVER names no server")
    def test_reading(self) -> None:
        slicer.mrmlScene.Clear(0)
        with tempfile.TemporaryDirectory() as folder:
            logic = LandmarkLabelLogic(Path(folder), "test")
            desk, loop = logic.desk, logic.desk.loop
            loop.connect(ADDRESS)
            self.wait(desk, lambda: loop.worklist.items)
            loop.open(loop.worklist.items[-1].image)
            self.wait(desk, lambda: loop.open_image and loop.open_image.detected and not desk.gliding)
            label, before = loop.reading.labels[0], loop.reading.points
            x, y, z = loop.reading[label].position
            loop.place(label, (x + 2, y + 1, z))
            after = loop.reading[label]
            self.wait(desk, lambda: loop.reading.now.followed and not desk.gliding)
            self.assertEqual(loop.reading[label].position, after.position)
            desk.undo()
            self.assertEqual(loop.reading.points, before)
            desk.redo()
            self.assertEqual(desk.points.position(label), after.position)
            logic.close()

    def wait(self, desk, condition, seconds: float = 60.0) -> None:
        """Poll as the panel's timer does."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, desk.loop.message)
            desk.poll()
            time.sleep(0.005)


if __name__ == "__main__":
    unittest.main()
