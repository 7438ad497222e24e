"""A segmentation in the real MRML of 3D Slicer: names, colours, pixels where they are, and back again."""

from pathlib import Path

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

import slicer
from landmarklabel.io.segmentations import read_segmentation, write_segmentation
from landmarklabel.io.writing import write_nrrd
from landmarklabel.radiograph import Geometry, Radiograph
from landmarklabel.segmentation import Segmentation, colour

NAMES = ("heart", "right_lung", "Schlüsselbein", "nothing")
TITLES = ("Heart", "Right lung", "Schlüsselbein ß", "Nothing here")
GEOMETRIES = {
    "plain": Geometry((40, 30)),
    "spacing": Geometry((40, 30), (0.13, 0.17)),
    "turned": Geometry((40, 30), (0.13, 0.17), (12.5, -30.25, 0.0), (0, 1, 0, -1, 0, 0, 0, 0, 1)),
    "sagittal": Geometry((40, 30), (0.13, 0.17), (1.0, -30.25, 60.0), (0, 0, -1, 1, 0, 0, 0, -1, 0)),
}


@pytest.fixture
def scene():  # type: ignore[no-untyped-def]
    return slicer.vtkMRMLScene()


def segmentation(geometry: Geometry, overlap: bool) -> Segmentation:
    masks = np.zeros((4, 30, 40), bool)
    masks[0, 5:20, 8:22] = True
    masks[0, 6, 9] = False
    masks[1, 10:25, (20 if overlap else 22) : 37] = True
    masks[2, 0:3, 0:5] = True
    return Segmentation(NAMES, TITLES, masks, geometry, np.array([0.9, 0.125, np.nan, 0.0]))


def load(scene, path: Path):  # type: ignore[no-untyped-def]
    """A file as a node of the scene, as the application loads it."""
    node = slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.CanReadInReferenceNode(node)
    assert storage.ReadData(node)
    return node


def save(scene, node, path: Path) -> None:  # type: ignore[no-untyped-def]
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def ras_of_segment(node, name: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    """RAS (N, 3) of the voxels that Slicer has in a segment."""
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(name, image)
    if image.IsEmpty():
        return np.zeros((0, 3))
    size = np.array(image.GetDimensions())
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(size[::-1])
    first = np.array(image.GetExtent())[::2]
    ijk = np.argwhere(voxels)[:, ::-1] + first
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    m = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    return (np.column_stack([ijk, np.ones(len(ijk))]) @ m.T)[:, :3]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_slicer_opens_structures_with_names_colours_and_pixels(  # type: ignore[no-untyped-def]
    scene, tmp_path: Path, name: str, overlap: bool
) -> None:
    ours = segmentation(GEOMETRIES[name], overlap)
    write_segmentation(ours, tmp_path / "x.seg.nrrd")
    node = load(scene, tmp_path / "x.seg.nrrd")
    segments = node.GetSegmentation()
    assert [segments.GetNthSegmentID(i) for i in range(segments.GetNumberOfSegments())] == list(NAMES)
    assert segments.GetNumberOfLayers() == 1 + overlap
    for index, key in enumerate(NAMES):
        segment = segments.GetSegment(key)
        assert segment.GetName() == TITLES[index]
        assert segment.GetColor() == pytest.approx(np.array(colour(index)) / 255, abs=1e-5)
        y, x = np.nonzero(ours.masks[index])
        expected = ours.geometry.pixel_to_world(np.column_stack([x, y])) * [-1, -1, 1]
        found = ras_of_segment(node, key)
        assert found.shape == expected.shape
        assert np.abs(found[np.lexsort(found.round(4).T)] - expected[np.lexsort(expected.round(4).T)]).max(
            initial=0
        ) < 1e-6  # fmt: skip


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_what_slicer_saves_again_is_what_we_wrote(  # type: ignore[no-untyped-def]
    scene, tmp_path: Path, name: str, overlap: bool
) -> None:
    """Though Slicer stores only the box that its segments fill."""
    before = segmentation(GEOMETRIES[name], overlap)
    before.masks[2] = False
    write_segmentation(before, tmp_path / "a.seg.nrrd")
    save(scene, load(scene, tmp_path / "a.seg.nrrd"), tmp_path / "b.seg.nrrd")
    assert b"40 30 1" not in (tmp_path / "b.seg.nrrd").read_bytes().partition(b"\n\n")[0]
    after = read_segmentation(tmp_path / "b.seg.nrrd", before.geometry, NAMES)
    assert (after.names, after.titles) == (before.names, before.titles)
    assert np.array_equal(after.masks, before.masks)
    assert np.array_equal(after.confidence, before.confidence, equal_nan=True)  # type: ignore[arg-type]


def test_segments_that_are_all_empty(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    geometry = GEOMETRIES["turned"]
    empty = Segmentation(NAMES, TITLES, np.zeros((4, 30, 40), bool), geometry)
    write_segmentation(empty, tmp_path / "a.seg.nrrd")
    node = load(scene, tmp_path / "a.seg.nrrd")
    assert node.GetSegmentation().GetNumberOfSegments() == 4
    save(scene, node, tmp_path / "b.seg.nrrd")
    assert not read_segmentation(tmp_path / "b.seg.nrrd", geometry, NAMES).masks.any()


def test_what_a_person_paints_in_slicer_comes_back(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A segment of a new name, painted on the image, which Slicer gives an ID of its own."""
    geometry = GEOMETRIES["sagittal"]
    write_nrrd(Radiograph(np.zeros((30, 40), np.uint8), geometry), tmp_path / "image.nrrd")
    volume = slicer.vtkMRMLScalarVolumeNode()
    scene.AddNode(volume)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "image.nrrd"))
    assert storage.ReadData(volume)

    painted = np.zeros((30, 40), bool)
    painted[4:9, 30:40] = True
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(40, 30, 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = painted.ravel()
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    node = slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    segment = slicer.vtkSegment()
    segment.SetName("Right lung")
    segment.AddRepresentation("Binary labelmap", image)
    node.GetSegmentation().AddSegment(segment)
    save(scene, node, tmp_path / "x.seg.nrrd")

    after = read_segmentation(tmp_path / "x.seg.nrrd", geometry, NAMES, TITLES)
    assert np.array_equal(after["right_lung"], painted)
    assert after.masks.sum() == painted.sum()
