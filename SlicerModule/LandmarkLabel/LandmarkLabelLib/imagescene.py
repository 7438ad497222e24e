"""The open image in the scene: its volume, how slice views look at it, structures, and its segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer

from .contract import Position, Structure
from .picture import WINDOWS, Picture
from .pointlist import ATTRIBUTE, show_unsaved, to_scene
from .state import Point

_LINE_COLOUR = (0.8, 0.475, 0.655)


class ImageScene:
    """What of the open image is in the scene beside its landmarks.

    Args:
        scene: of MRML.
        views: names of the slice views that show it.
    """

    def __init__(self, scene: Any, views: Sequence[str] = ("Red",)) -> None:
        self.scene, self.views = scene, tuple(views)
        self.volume: Any = None
        self.lines: Any = None
        self.segmentation: Any = None
        self.picture: Picture | None = None
        self.window = next(iter(WINDOWS))
        self._inverted = False

    # Volume ---------------------------------------------------------------------------------------------------

    def show(self, picture: Picture, name: str) -> None:
        """An image in place of the one before."""
        self.clear()
        self.picture = picture
        self.volume = self._add("vtkMRMLScalarVolumeNode", name)
        self.volume.SetIJKToRASMatrix(_vtk_matrix(picture.to_ras))
        self.volume.SetAndObserveImageData(_image_data(picture.pixels))
        show_unsaved(self.volume)
        self.set_window(self.window)
        self.invert(self._inverted)
        for composite in self._composites():
            composite.SetBackgroundVolumeID(self.volume.GetID())
        self.fit()

    @property
    def is_there(self) -> bool:
        """Whether the image is in the scene: anybody may delete what is there."""
        return self.volume is not None and self.volume.GetScene() is not None

    def clear(self) -> None:
        """Nothing of it in the scene."""
        for composite in self._composites():
            composite.SetBackgroundVolumeID(None)
        for node in (self.segmentation, self.lines, self.volume):
            if node is not None:
                self.scene.RemoveNode(node)
        self.volume = self.lines = self.segmentation = self.picture = None

    def set_window(self, name: str) -> None:
        """A window by its name; kept for the images to come."""
        self.window = name
        if self.volume is None or self.picture is None:
            return
        low, high = self.picture.windows[name]
        display = self.volume.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(low, high)

    def invert(self, inverted: bool) -> None:
        """Black for white; kept for the images to come."""
        self._inverted = inverted
        if self.volume is not None:
            colours = "vtkMRMLColorTableNodeInvertedGrey" if inverted else "vtkMRMLColorTableNodeGrey"
            self.volume.GetDisplayNode().SetAndObserveColorNodeID(colours)

    # Looking --------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """The whole image in each view, as its rows and columns lie."""
        if self.picture is not None:
            width, height = self.picture.size
            middle = self.picture.to_ras @ [(width - 1) / 2, (height - 1) / 2, 0, 1]
            self._look(middle[:3], *self._extent())

    def look_at(self, position: Position, across_mm: float) -> None:
        """A position (LPS mm) in the middle of each view, with so many mm from edge to edge."""
        if self.picture is not None:
            self._look(np.array(to_scene(position)), across_mm, across_mm)

    def extent_mm(self) -> float:
        """The longer side of the image, in mm of the world."""
        return max(self._extent()) if self.picture is not None else 0.0

    def _extent(self) -> tuple[float, float]:
        """Width and height in mm of the world."""
        assert self.picture is not None
        lengths = np.linalg.norm(self.picture.to_ras[:3, :2], axis=0)
        width, height = self.picture.size
        return float(width * lengths[0]), float(height * lengths[1])

    def _look(self, middle: np.ndarray, width: float, height: float) -> None:
        matrix = _vtk_matrix(self._slice_to_ras(middle))
        for view in self._slice_nodes():
            across, up = view.GetDimensions()[:2]
            scale = max(width / max(across, 1), height / max(up, 1))
            state = view.StartModify()
            view.GetSliceToRAS().DeepCopy(matrix)
            view.SetXYZOrigin(0, 0, 0)
            view.SetFieldOfView(scale * across, scale * up, view.GetFieldOfView()[2])
            view.UpdateMatrices()
            view.EndModify(state)

    def _slice_to_ras(self, middle: np.ndarray) -> np.ndarray:
        """The image's columns to the right and its rows downwards, whatever way it lies in the world."""
        assert self.picture is not None
        right, down = (axis / np.linalg.norm(axis) for axis in self.picture.to_ras[:3, :2].T)
        matrix = np.eye(4)
        # Left-handed, as Slicer's own axial views are.
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = right, -down, np.cross(right, down), middle
        return matrix

    def _slice_nodes(self) -> list[Any]:
        found = [self.scene.GetSingletonNode(name, "vtkMRMLSliceNode") for name in self.views]
        return [node for node in found if node is not None]

    def _composites(self) -> list[Any]:
        found = [self.scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode") for name in self.views]
        return [node for node in found if node is not None]

    # Structures -----------------------------------------------------------------------------------------------

    def show_lines(self, structures: Sequence[Structure], points: Sequence[Point], visible: bool) -> None:
        """Lines and contours through the landmarks."""
        if self.volume is None:
            return
        if self.lines is not None and self.lines.GetScene() is None:  # deleted by somebody
            self.lines = None
        if self.lines is None and visible:
            self.lines = self._make_lines()
        if self.lines is not None:
            self.lines.GetDisplayNode().SetVisibility(visible)
        if visible:
            self.lines.SetAndObservePolyData(polylines(structures, points))

    def _make_lines(self) -> Any:
        node = self._add("vtkMRMLModelNode", "Structures of landmarks")
        display = show_unsaved(node)
        display.SetVisibility2D(True)
        display.SetSliceDisplayModeToProjection()
        display.SetSliceIntersectionThickness(2)
        display.SetColor(*_LINE_COLOUR)
        display.SetOpacity(0.8)
        return node

    # Segmentation ---------------------------------------------------------------------------------------------

    def show_segmentation(self, path: Path | None) -> None:
        """The structures of a file ``.seg.nrrd`` over the image; None takes them away."""
        if self.segmentation is not None:
            self.scene.RemoveNode(self.segmentation)
            self.segmentation = None
        if path is None or self.volume is None:
            return
        node = self._add("vtkMRMLSegmentationNode", "Structures")
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetScene(self.scene)
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            self.scene.RemoveNode(node)
            raise ValueError("the structures can't be shown: their file can't be read")
        display = show_unsaved(node)
        display.SetOpacity2DFill(0.25)
        display.SetOpacity2DOutline(0.9)
        self.segmentation = node

    def _add(self, kind: str, name: str) -> Any:
        node = self.scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(ATTRIBUTE, "1")
        node.SetUndoEnabled(False)
        return node


def polylines(structures: Sequence[Structure], points: Sequence[Point]) -> Any:
    """Structures as lines of the scene (RAS); landmarks that have no place are left out."""
    placed = {point.label: point.position for point in points if point.position is not None}
    vertices, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    vertices.SetDataTypeToDouble()
    for structure in structures:
        positions = [placed[label] for label in structure.labels if label in placed]
        if len(positions) < 2:
            continue
        if structure.closed and len(positions) > 2:
            positions.append(positions[0])
        lines.InsertNextCell(len(positions))
        for position in positions:
            lines.InsertCellPoint(vertices.InsertNextPoint(*to_scene(position)))
    data = vtk.vtkPolyData()
    data.SetPoints(vertices)
    data.SetLines(lines)
    return data


def _image_data(pixels: np.ndarray) -> Any:
    """Pixels (H, W) as an image of one slice."""
    height, width = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels.ravel(), deep=True))
    return image


def _vtk_matrix(values: np.ndarray) -> Any:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(values.ravel().tolist())
    return matrix
