"""Landmarks in the scene: one list of points that can be dragged, and what shows the state of each.

All points lie in one markups node of a fixed number of points, in the protocol's order; ``description`` holds the
state, and the confidences are a measurement. A display node has one colour and one glyph, so each state is shown by a
locked list of its own, in which the points of other states are hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Callable

import vtk

import slicer

from .colours import LOOKS, SHOWN
from .contract import MISSING, UNDEFINED, Position
from .markups import NO_CONFIDENCE
from .state import Point

#: Marks the nodes of this module in a scene.
ATTRIBUTE = "LandmarkLabel"

_EVENTS = slicer.vtkMRMLMarkupsNode
_GLYPH_SCALE, _TEXT_SCALE, _GRIP = 3.4, 2.6, 0.3
_MARK_OPACITY = 0.8
_CURRENT_COLOUR, _NAME_COLOUR = (1.0, 0.35, 0.75), (1.0, 1.0, 1.0)


def show_unsaved(node: Any) -> Any:
    """Make a node's display node, and answer with it; neither is saved with a scene, in which it would be nobody's."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    for each in (node, display):
        each.SetSaveWithScene(False)
    return display


def to_scene(position: Sequence[float]) -> Position:
    """LPS mm of files and server as RAS mm of the scene; the same turns them back."""
    return -float(position[0]), -float(position[1]), float(position[2])


class PointList:
    """The landmarks of the open image.

    Args:
        scene: of MRML.
        labels: of the protocol.
        placed: called with a label and where the reader put it, LPS mm, when the mouse is let go.
        picked: called with a label when the reader takes hold of it.
        put_back: called with labels that something else than this module had moved or deleted.
    """

    def __init__(
        self,
        scene: Any,
        labels: Sequence[str],
        placed: Callable[[str, Position], None],
        picked: Callable[[str], None],
        put_back: Callable[[Sequence[str]], None] = lambda labels: None,
    ) -> None:
        self.scene, self.labels = scene, tuple(labels)
        self._placed, self._picked, self._put_back = placed, picked, put_back
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._writing, self._moving, self._placing = False, -1, -1
        self._start: Position | None = None  # where the mouse took hold of what it moves
        self._shown: tuple[Point, ...] = ()
        self._shown_states: tuple[str, ...] = ()
        self._states: list[str] = [UNDEFINED] * len(self.labels)
        self.marks = {state: self._make_marks(state) for state in SHOWN}
        self.node = self._make_node()
        self._observers = [
            self.node.AddObserver(_EVENTS.PointStartInteractionEvent, self._on_start),
            self.node.AddObserver(_EVENTS.PointModifiedEvent, self._on_modified),
            self.node.AddObserver(_EVENTS.PointEndInteractionEvent, self._on_end),
            self.node.AddObserver(_EVENTS.PointPositionDefinedEvent, self._on_defined),
            self.node.AddObserver(_EVENTS.PointPositionUndefinedEvent, self._on_changed_elsewhere),
            self.node.AddObserver(_EVENTS.PointPositionMissingEvent, self._on_changed_elsewhere),
        ]
        self._interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        if self._interaction is not None:
            changed = self._interaction.InteractionModeChangedEvent
            self._mode_observer = self._interaction.AddObserver(changed, self._on_mode)

    # Making ---------------------------------------------------------------------------------------------------

    def _make_node(self) -> Any:
        node = self._add_list("Landmarks")
        display = node.GetDisplayNode()
        display.SetGlyphTypeFromString("CrossDot2D")
        display.SetGlyphScale(_GRIP * _GLYPH_SCALE)
        display.SetTextScale(_TEXT_SCALE)
        display.SetColor(*_NAME_COLOUR)
        display.SetSelectedColor(*_CURRENT_COLOUR)
        display.SetActiveColor(*_CURRENT_COLOUR)
        node.AddMeasurement(_confidence_measurement(node, len(self.labels)))
        return node

    def _make_marks(self, state: str) -> Any:
        node = self._add_list(f"Landmarks, {LOOKS[state].title}")
        node.SetLocked(True)
        node.SetHideFromEditors(True)
        display = node.GetDisplayNode()
        display.SetGlyphTypeFromString(LOOKS[state].glyph)
        display.SetGlyphScale(_GLYPH_SCALE)
        display.SetPointLabelsVisibility(False)
        display.SetTextScale(0)
        display.SetOpacity(_MARK_OPACITY)
        for set_colour in (display.SetColor, display.SetSelectedColor, display.SetActiveColor):
            set_colour(*LOOKS[state].colour)
        return node

    def _add_list(self, name: str) -> Any:
        node = self.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        node.SetAttribute(ATTRIBUTE, "1")
        node.SetUndoEnabled(False)  # undo is ours
        show_unsaved(node)
        with _batch(node):
            for label in self.labels:
                node.AddControlPoint(vtk.vtkVector3d(0, 0, 0), label)
                node.UnsetNthControlPointPosition(node.GetNumberOfControlPoints() - 1)
        node.SetFixedNumberOfControlPoints(True)
        return node

    @property
    def is_there(self) -> bool:
        """Whether it is in the scene: anybody may delete what is there."""
        return all(node.GetScene() is not None for node in (self.node, *self.marks.values()))

    def remove(self) -> None:
        """Out of the scene."""
        for observer in self._observers:
            self.node.RemoveObserver(observer)
        if self._interaction is not None:
            self._interaction.RemoveObserver(self._mode_observer)
        for node in (self.node, *self.marks.values()):
            self.scene.RemoveNode(node)

    # Showing --------------------------------------------------------------------------------------------------

    def show(
        self, points: Sequence[Point], states: Sequence[str], current: str | None,
        under_way: Mapping[str, Position] | None = None,
    ) -> None:  # fmt: skip
        """Make the scene say what the reading says; a point that is dragged or placed is the mouse's.

        Args:
            points: of the reading.
            states: how each is to look, as of colours.py.
            current: label of the landmark that the reader is at.
            under_way: where landmarks are drawn that :meth:`glide` will bring to their places, LPS mm.
        """
        under_way = under_way or {}
        points = tuple(points)
        with self._writes(), _batch(self.node, *self.marks.values()):
            for index, (point, state) in enumerate(zip(points, states)):
                if index not in (self._moving, self._placing):
                    self._show_point(index, point, state, under_way.get(point.label, point.position))
                self.node.SetNthControlPointSelected(index, point.label == current)
            self._show_confidences(points)
        self._shown, self._shown_states = points, tuple(states)

    def highlight(self, current: str | None) -> None:
        """Show which landmark is the current one."""
        with self._writes(), _batch(self.node):
            for index, label in enumerate(self.labels):
                self.node.SetNthControlPointSelected(index, label == current)

    def _show_point(self, index: int, point: Point, state: str, position: Position | None) -> None:
        before = self._shown[index] if self._shown else None
        if before is None or before != point or self._states[index] != state:
            self._draw_point(index, point, state, position)

    def _draw_point(self, index: int, point: Point, state: str, position: Position | None) -> None:
        self.node.SetNthControlPointDescription(index, point.status)
        if position is not None:
            self._put(index, to_scene(position), (state,))
        elif point.status == MISSING:
            self.node.SetNthControlPointPositionMissing(index)
        else:
            self.node.UnsetNthControlPointPosition(index)
        self._mark(index, state)

    def _redraw(self, indices: Iterable[int]) -> None:
        """As the reading has them, whatever the mouse made of them, or came while it held them."""
        if self._shown:
            with self._writes(), _batch(self.node, *self.marks.values()):
                for index in indices:
                    point = self._shown[index]
                    self._draw_point(index, point, self._shown_states[index], point.position)

    def _mark(self, index: int, state: str) -> None:
        """Show the mark of this state, and none other."""
        for each, marks in self.marks.items():
            marks.SetNthControlPointVisibility(index, each == state)
        self._states[index] = state

    def _put(self, index: int, ras: Position, states: Sequence[str]) -> None:
        self.node.SetNthControlPointPosition(index, *ras)
        for state in states:
            if state in self.marks:
                self.marks[state].SetNthControlPointPosition(index, *ras)

    def _show_confidences(self, points: Sequence[Point]) -> None:
        values = [NO_CONFIDENCE if point.confidence is None else point.confidence for point in points]
        measurement = self.node.GetMeasurement("confidence") or self.node.GetNthMeasurement(0)
        array = measurement.GetControlPointValues()
        if [array.GetValue(index) for index in range(array.GetNumberOfTuples())] != values:
            measurement.SetControlPointValues(_array(values))

    def glide(self, positions: Mapping[str, Sequence[float]]) -> None:
        """Draw these landmarks elsewhere for a moment (LPS mm), without a word to the reading."""
        with self._writes(), _batch(self.node, *self.marks.values()):
            for label, position in positions.items():
                index = self._index[label]
                if index not in (self._moving, self._placing):
                    self._put(index, to_scene(position), (self._states[index],))

    @property
    def dragged(self) -> str | None:
        """The landmark under the mouse that moves it."""
        return self.labels[self._moving] if self._moving >= 0 else None

    def position(self, label: str) -> Position | None:
        """Where it is drawn, LPS mm."""
        index = self._index[label]
        if self.node.GetNthControlPointPositionStatus(index) != _EVENTS.PositionDefined:
            return None
        return to_scene(self.node.GetNthControlPointPositionWorld(index))

    def show_names(self, visible: bool) -> None:
        """The landmarks' names beside them."""
        self.node.GetDisplayNode().SetPointLabelsVisibility(visible)

    def set_sizes(self, scale: float) -> None:
        """Glyphs and names, by a factor."""
        for node, part in ((self.node, _GRIP), *((marks, 1.0) for marks in self.marks.values())):
            node.GetDisplayNode().SetGlyphScale(part * scale * _GLYPH_SCALE)
        self.node.GetDisplayNode().SetTextScale(scale * _TEXT_SCALE)

    # Placing --------------------------------------------------------------------------------------------------

    def start_placing(self, label: str) -> None:
        """The next click in a view puts this landmark there."""
        self.stop_placing()
        index = self._placing = self._index[label]
        with self._writes():
            self.node.UnsetNthControlPointPosition(index)
        self._mark(index, UNDEFINED)
        self.node.SetControlPointPlacementStartIndex(index)
        selection = self.scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
        selection.SetReferenceActivePlaceNodeClassName(self.node.GetClassName())
        selection.SetActivePlaceNodeID(self.node.GetID())
        self._interaction.SetPlaceModePersistence(0)
        self._interaction.SetCurrentInteractionMode(self._interaction.Place)

    def stop_placing(self) -> None:
        """Leave place mode; what was to be placed is shown as it was."""
        index, self._placing = self._placing, -1
        interaction = self._interaction
        if index >= 0 and interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        if index >= 0:
            self._redraw([index])

    def let_go(self) -> None:
        """Neither placed nor dragged: what comes next is of another image."""
        self.stop_placing()
        self._moving = -1

    def _on_mode(self, caller: Any, event: Any) -> None:
        """The reader has left place mode in another way, as by Escape."""
        if self._placing >= 0 and caller.GetCurrentInteractionMode() != caller.Place:
            self.stop_placing()

    @property
    def placing(self) -> str | None:
        """The landmark that the next click places."""
        return self.labels[self._placing] if self._placing >= 0 else None

    # What the reader does -------------------------------------------------------------------------------------

    def _on_start(self, caller: Any, event: Any) -> None:
        index = _moving_index(caller)
        if 0 <= index < len(self.labels):
            self._picked(self.labels[index])
            self._start = self.position(self.labels[index])
        self._moving = index

    def _on_modified(self, caller: Any, event: Any) -> None:
        """The mark goes with the point under the mouse."""
        if self._writing:
            return
        if self._moving < 0:
            self._on_changed_elsewhere(caller, event)
            return
        state = self._states[self._moving]
        if state in self.marks:
            ras = self.node.GetNthControlPointPositionWorld(self._moving)
            self.marks[state].SetNthControlPointPosition(self._moving, *ras)

    def _on_changed_elsewhere(self, caller: Any, event: Any) -> None:
        """As by a table of coordinates, or a menu that deletes points: what is shown is what is saved."""
        if self._writing or not self._shown or _moving_index(caller) >= 0:
            return
        labels = [label for index, label in enumerate(self.labels) if self._differs(index)]
        if labels:
            self._redraw(map(self._index.__getitem__, labels))
            self._put_back(labels)

    def _differs(self, index: int) -> bool:
        """Whether a point is not where the reading has it, and not the mouse's."""
        if index in (self._moving, self._placing):
            return False
        right, drawn = self._shown[index].position, self.position(self.labels[index])
        if right is None or drawn is None:
            return right is not drawn
        return max(abs(a - b) for a, b in zip(right, drawn)) > 1e-6

    def _on_end(self, caller: Any, event: Any) -> None:
        index, self._moving = self._moving, -1
        if self._writing:
            return
        if index < 0:  # of an image that is shown no more
            self._redraw(each for each in range(len(self.labels)) if each != self._placing)
            return
        position = self.position(self.labels[index])
        if position is None or self._is_at_start(position):
            # A click that moves nothing takes hold of a landmark, and does not correct it.
            self._redraw([index])
        else:
            self._placed(self.labels[index], position)

    def _is_at_start(self, position: Position) -> bool:
        return self._start is not None and max(abs(a - b) for a, b in zip(self._start, position)) < 1e-9

    def _on_defined(self, caller: Any, event: Any) -> None:
        """A click in place mode."""
        if self._writing or self._moving >= 0 or self._placing < 0:
            return
        index, self._placing = self._placing, -1
        position = self.position(self.labels[index])
        if position is not None:
            self._placed(self.labels[index], position)

    @contextmanager
    def _writes(self) -> Iterator[None]:
        """What happens to the points meanwhile is our doing."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before


def _moving_index(node: Any) -> int:
    text = node.GetAttribute("Markups.MovingMarkupIndex")
    return int(text) if text and text.lstrip("-").isdigit() else -1


@contextmanager
def _batch(*nodes: Any) -> Iterator[None]:
    """Changes of nodes that are drawn once."""
    states = [(node, node.StartModify()) for node in nodes]
    try:
        yield
    finally:
        for node, state in states:
            node.EndModify(state)


def _confidence_measurement(node: Any, count: int) -> Any:
    measurement = slicer.vtkMRMLStaticMeasurement()
    measurement.SetName("confidence")
    measurement.SetEnabled(False)
    measurement.SetControlPointValues(_array([NO_CONFIDENCE] * count))
    return measurement


def _array(values: Sequence[float]) -> Any:
    array = vtk.vtkDoubleArray()
    array.SetName("confidence")
    for value in values:
        array.InsertNextValue(value)
    return array
