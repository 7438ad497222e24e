"""The reading loop and the scene as one: what the reader does in the views goes to the loop, what comes back is drawn.

No Qt: whoever uses it calls :meth:`ReadingDesk.poll` from a timer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .contract import MISSING, UNDEFINED, Position
from .drafts import DraftStore
from .imagescene import ImageScene
from .loop import ReadingLoop
from .pointlist import PointList
from .state import Reading
from .topics import IMAGE, POINTS, SEGMENTATION, SERVER

#: How long landmarks are under way to new places. The eye follows, and nobody waits.
GLIDE_S = 0.03

SELECTION = "selection"

_LOOK_SHARE = 0.25
_NAMES_UP_TO = 40


class ReadingDesk:
    """One reader, one server, one scene.

    Args:
        scene: of MRML.
        drafts: folder for what is not yet on the server.
        images: folder for the images that are open.
        reader: noted with each label.
        views: names of the slice views that show the image.
    """

    def __init__(self, scene: Any, drafts: Path, images: Path, reader: str = "", views: tuple[str, ...] = ("Red",)):
        self.loop = ReadingLoop(DraftStore(drafts), images, self._on_change, reader)
        self.image = ImageScene(scene, views)
        self.points: PointList | None = None
        self.current: str | None = None
        self.names_visible: bool | None = None
        self.lines_visible = False
        self._scene = scene
        self._listeners: list[Callable[[str], None]] = []
        self._glide: tuple[float, dict[str, tuple[Position, Position]]] | None = None

    def listen(self, listener: Callable[[str], None]) -> None:
        """Be told what has changed: the topics of topics.py, and ``selection``."""
        self._listeners.append(listener)

    def poll(self) -> bool:
        """Hand over what has come; whether there is more to come soon."""
        busy = self.loop.poll()
        self._restore()
        self._step_glide()
        return busy or self._glide is not None

    @property
    def gliding(self) -> bool:
        """Whether landmarks are under way to their places."""
        return self._glide is not None

    def close(self) -> None:
        """Nothing of it in the scene, and what is to be saved saved."""
        self._glide = None
        self.loop.stop()
        self._remove_points()
        self.image.clear()

    # What has changed -----------------------------------------------------------------------------------------

    def _on_change(self, what: str) -> None:
        if what == IMAGE:
            self._show_image()
        elif what == POINTS:
            self._show_points()
        elif what == SEGMENTATION:
            self._show_segmentation()
        elif what == SERVER and self.loop.open_image is None:
            self._show_image()
        self._tell(what)

    def _tell(self, what: str) -> None:
        for listener in list(self._listeners):
            listener(what)

    def _show_image(self) -> None:
        self._glide, opened = None, self.loop.open_image
        if opened is None:
            self._remove_points()
            self.image.clear()
            self.current = None
            return
        self.image.show(opened.picture, opened.image)
        self._require_points(opened.reading)
        self.current = opened.reading.next_to_check()
        self._draw()
        self._tell(SELECTION)

    def _restore(self) -> None:
        """Anybody may delete nodes of the scene; without them the image can't be read."""
        if self.loop.open_image is not None and not (self.image.is_there and self._points_are_there):
            self._show_image()
            self.loop.say("What shows the image and its landmarks had been deleted from the scene; it is there again.")

    @property
    def _points_are_there(self) -> bool:
        return self.points is not None and self.points.is_there

    def _require_points(self, reading: Reading) -> PointList:
        if self.points is not None and not (self.points.is_there and self.points.labels == reading.labels):
            self._remove_points()
        if self.points is None:
            self.points = PointList(self._scene, reading.labels, self._on_placed, self._on_picked, self._on_put_back)
        if self.names_visible is None:
            self.names_visible = len(reading.labels) <= _NAMES_UP_TO
        self.points.let_go()
        self.points.show_names(self.names_visible)
        return self.points

    def _remove_points(self) -> None:
        if self.points is not None:
            self.points.stop_placing()
            self.points.remove()
            self.points = None

    def _show_points(self) -> None:
        """What moved on the server's word glides; all else is where it belongs at once.

        The time that drawing takes is part of the glide's.
        """
        began, points, reading = time.monotonic(), self.points, self.loop.reading
        if points is None or reading is None:
            return
        drawn = {label: points.position(label) for label in points.labels}
        if self.current is None:
            self.current = reading.next_to_check()
        moves = {
            point.label: (start, point.position)
            for point in reading.points
            for start in [drawn[point.label]]
            if start is not None and point.position is not None and point.status == "predicted"
            and point.label != points.dragged and start != point.position
        }  # fmt: skip
        self._draw({label: start for label, (start, _) in moves.items()})
        self._glide = (began, moves) if moves else None

    def _draw(self, under_way: Mapping[str, Position] | None = None) -> None:
        """The scene as the reading has it, but for landmarks that are under way to their places."""
        reading = self.loop.reading
        if reading is not None and self.points is not None:
            self.points.show(reading.points, reading.states(), self.current, under_way or {})
            if self.lines_visible:
                self.image.show_lines(self.loop.protocol.structures, reading.points, True)

    def _step_glide(self) -> None:
        if self._glide is None or self.points is None:
            return
        began, moves = self._glide
        share = min(1.0, (time.monotonic() - began) / GLIDE_S)
        self.points.glide({label: _between(start, end, share) for label, (start, end) in moves.items()})
        if share == 1.0:
            self._glide = None

    def _finish_glide(self) -> None:
        if self._glide is not None and self.points is not None:
            self.points.glide({label: end for label, (_, end) in self._glide[1].items()})
            self._glide = None

    def _show_segmentation(self) -> None:
        try:
            self.image.show_segmentation(self.loop.segmentation)
        except ValueError as problem:
            self.loop.say(str(problem), True)

    # The reader in the views ----------------------------------------------------------------------------------

    def _on_picked(self, label: str) -> None:
        self._finish_glide()
        self.select(label)

    def _on_placed(self, label: str, position: Position) -> None:
        self.loop.place(label, position)

    def _on_put_back(self, labels: Sequence[str]) -> None:
        what = f"{labels[0]} was" if len(labels) == 1 else f"{len(labels)} landmarks were"
        self.loop.say(
            f"{what} changed elsewhere in Slicer, and put back: drag it in the view, or press M where it is missing.",
            True,
        )

    # What the reader asks for ---------------------------------------------------------------------------------

    def select(self, label: str | None, look: bool = False) -> None:
        """Make a landmark the current one; with ``look``, in the middle of the view, magnified."""
        reading = self.loop.reading
        if reading is None or (label is not None and label not in reading.labels):
            return
        changed, self.current = label != self.current, label
        if changed and self.points is not None:
            self.points.highlight(label)
        if look and label is not None:
            self.look_at(label)
        if changed:
            self._tell(SELECTION)

    def look_at(self, label: str) -> None:
        """A landmark in the middle of the view; of one that has no place, the whole image."""
        reading = self.loop.reading
        position = reading[label].position if reading is not None else None
        if position is None:
            self.image.fit()
        else:
            self.image.look_at(position, _LOOK_SHARE * self.image.extent_mm())

    def next_to_check(self) -> str | None:
        """Go to the landmark that the server would have looked at next."""
        reading = self.loop.reading
        if reading is None:
            return None
        label = reading.next_to_check(self.current)
        if label is None:
            sure = sum(point.sure for point in reading.points)
            done = f"What is left is sure ({sure} landmarks)" if sure else "Every landmark has been looked at"
            self.loop.say(f"{done}: submit, and the next image comes.")
            self.image.fit()
        else:
            self.select(label, look=True)
        return label

    def confirm(self) -> None:
        """Agree with the current landmark and go to the next; nothing to agree with is left alone."""
        if self.current is None or self.loop.reading is None:
            return
        if self.loop.reading[self.current].status in (MISSING, UNDEFINED):
            self.loop.say(f"{self.current} is not placed: there is nothing to confirm.", True)
            return
        self.loop.confirm([self.current])
        self.next_to_check()

    def confirm_all(self) -> None:
        """Agree with everything that is left."""
        if self.loop.reading is not None:
            self.loop.confirm()

    def mark_missing(self) -> None:
        """The current landmark is not in this image; again: it is."""
        if self.current is not None and self.loop.reading is not None:
            self._stop_placing()
            self.loop.mark_missing(self.current)

    def release(self) -> None:
        """Let the current landmark follow the others again."""
        if self.current is not None and self.loop.reading is not None:
            self.loop.release(self.current)

    def place(self) -> str | None:
        """The next click places the current landmark, if that has no place, else the first that has none."""
        reading = self.loop.reading
        if reading is None or self.points is None:
            return None
        without = self.current is not None and reading[self.current].position is None
        label = self.current if without else reading.next_undefined() or self.current
        if label is None:
            return None
        self._finish_glide()
        self.select(label)
        self.points.start_placing(label)
        self.loop.say(f"Click where {label} is.")
        return label

    def place_at(self, ras: tuple[float, float, float]) -> None:
        """The current landmark is under the mouse, RAS mm."""
        if self.current is not None and self.loop.reading is not None:
            self._stop_placing()
            self._finish_glide()
            self.loop.place(self.current, (-ras[0], -ras[1], ras[2]))

    def undo(self) -> None:
        """Take back the last step."""
        self._stop_placing()
        if self.loop.reading is not None and not self.loop.undo():
            self.loop.say("There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was taken back."""
        self._stop_placing()
        if self.loop.reading is not None and not self.loop.redo():
            self.loop.say("There is nothing to redo.")

    def submit(self) -> None:
        """Final, and the next image."""
        self._stop_placing()
        if self.loop.reading is not None:
            self.loop.submit()

    def skip(self) -> None:
        """Leave this image for later."""
        self._stop_placing()
        if self.loop.reading is not None:
            self.loop.skip()

    def _stop_placing(self) -> None:
        if self.points is not None:
            self.points.stop_placing()

    # Display --------------------------------------------------------------------------------------------------

    def show_names(self, visible: bool) -> None:
        """The landmarks' names beside them."""
        self.names_visible = visible
        if self.points is not None:
            self.points.show_names(visible)

    def show_lines(self, visible: bool) -> None:
        """Lines and contours through the landmarks."""
        self.lines_visible = visible
        if self.loop.reading is not None:
            self.image.show_lines(self.loop.protocol.structures, self.loop.reading.points, visible)

    def show_structures(self, visible: bool) -> None:
        """The segmentation; asked for when it is wanted."""
        if visible:
            self.loop.segment()
        else:
            self.loop.drop_segmentation()
            self.image.show_segmentation(None)


def _between(start: Position, end: Position, share: float) -> Position:
    """A place on the way; at its end the very numbers of the end."""
    if share >= 1.0:
        return end
    x, y, z = (a + share * (b - a) for a, b in zip(start, end))
    return x, y, z
