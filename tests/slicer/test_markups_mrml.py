"""Points mean the same in the real MRML of 3D Slicer: written by us, loaded, changed and saved there, read by us."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import vtk

import slicer
from landmarklabel.io import read_radiograph
from landmarklabel.io.writing import write_dicom, write_nrrd
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import read_markups, write_markups
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Geometry, Radiograph, SpacingSource

PROTOCOL = load_protocol("cephalometric_19")


@pytest.fixture
def scene():  # type: ignore[no-untyped-def]
    return slicer.vtkMRMLScene()


def load(scene, path: Path):  # type: ignore[no-untyped-def]
    """A markups file as a node of the scene, as the application loads it."""
    node = slicer.vtkMRMLMarkupsFiducialNode()
    scene.AddNode(node)
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def save(scene, node, path: Path) -> None:  # type: ignore[no-untyped-def]
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def load_volume(scene, path: Path):  # type: ignore[no-untyped-def]
    """An image as a volume node, by the reader that the application uses."""
    node = slicer.vtkMRMLScalarVolumeNode()
    scene.AddNode(node)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(storage)
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def ras_of_pixels(volume, points: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """RAS of pixels (N, 2), by the volume's own matrix."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    m = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    homogeneous = np.column_stack([points, np.zeros(len(points)), np.ones(len(points))])
    return (homogeneous @ m.T)[:, :3]


def some_landmarks(size: tuple[int, int]) -> LandmarkSet:
    """Every state, with confidences."""
    rng = np.random.default_rng(3)
    points = rng.uniform(0, np.array(size) - 1, (len(PROTOCOL), 2))
    landmarks = LandmarkSet.from_points(PROTOCOL, points, confidence=rng.uniform(0, 1, len(PROTOCOL)))
    landmarks = landmarks.with_point("S", points[0], Status.CORRECTED).with_point("N", points[1], Status.CONFIRMED)
    return landmarks.without_point("Go").without_point("Ar", Status.UNDEFINED)


GEOMETRIES = {
    "plain": Geometry((200, 300)),
    "spacing": Geometry((200, 300), (0.13, 0.17)),
    "turned": Geometry((200, 300), (0.13, 0.17), (12.5, -30.25, 0.0), (0, 1, 0, -1, 0, 0, 0, 0, 1)),
    "sagittal": Geometry((200, 300), (0.13, 0.17), (1.0, -30.25, 60.0), (0, 0, -1, 1, 0, 0, 0, -1, 0)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_slicer_shows_each_point_on_its_pixel(scene, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    geometry = GEOMETRIES[name]
    pixels = np.random.default_rng(0).integers(0, 4096, geometry.size[::-1]).astype(np.uint16)
    write_nrrd(Radiograph(pixels, geometry), tmp_path / "x.nrrd")
    landmarks = some_landmarks(geometry.size)
    write_markups(landmarks, geometry, tmp_path / "x.mrk.json")

    volume, node = load_volume(scene, tmp_path / "x.nrrd"), load(scene, tmp_path / "x.mrk.json")
    expected = ras_of_pixels(volume, landmarks.points)
    assert node.GetNumberOfControlPoints() == len(PROTOCOL)
    for index in np.flatnonzero(landmarks.placed):
        assert np.abs(np.array(node.GetNthControlPointPosition(index)) - expected[index]).max() < 1e-6


def test_a_round_trip_through_slicer_keeps_everything(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    geometry = GEOMETRIES["turned"]
    before = some_landmarks(geometry.size)
    write_markups(before, geometry, tmp_path / "a.mrk.json")
    save(scene, load(scene, tmp_path / "a.mrk.json"), tmp_path / "b.mrk.json")
    after = read_markups(tmp_path / "b.mrk.json", PROTOCOL, geometry)
    assert after.status == before.status
    assert np.allclose(after.points, before.points, atol=1e-6, equal_nan=True)
    assert np.allclose(after.confidence, before.confidence, atol=1e-6)


def test_what_a_person_does_in_slicer_comes_back(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """One point dragged, one placed that was undefined, one declared missing."""
    geometry = GEOMETRIES["spacing"]
    before = some_landmarks(geometry.size)
    write_markups(before, geometry, tmp_path / "a.mrk.json")
    node = load(scene, tmp_path / "a.mrk.json")

    x, y, z = geometry.pixel_to_world((50.123456, 60.654321))
    node.SetNthControlPointPosition(PROTOCOL.index("Me"), -x, -y, z)
    node.SetNthControlPointDescription(PROTOCOL.index("Me"), "corrected")
    x, y, z = geometry.pixel_to_world((10.5, 20.5))
    node.SetNthControlPointPosition(PROTOCOL.index("Ar"), -x, -y, z)
    node.SetNthControlPointPositionMissing(PROTOCOL.index("Pog"))
    save(scene, node, tmp_path / "b.mrk.json")

    after = read_markups(tmp_path / "b.mrk.json", PROTOCOL, geometry)
    assert after["Me"] == pytest.approx((50.123456, 60.654321), abs=1e-6)
    assert after["Ar"] == pytest.approx((10.5, 20.5), abs=1e-6)
    changed = {label: after.status[PROTOCOL.index(label)] for label in ("Me", "Ar", "Pog", "Go")}
    assert changed == {
        "Me": Status.CORRECTED, "Ar": Status.CORRECTED, "Pog": Status.MISSING, "Go": Status.MISSING
    }  # fmt: skip
    untouched = [i for i, label in enumerate(PROTOCOL.labels) if label not in changed]
    assert np.allclose(after.points[untouched], before.points[untouched], atol=1e-6, equal_nan=True)


def test_a_fixed_number_of_points_stays_fixed(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_markups(LandmarkSet.empty(PROTOCOL), GEOMETRIES["plain"], tmp_path / "a.mrk.json")
    node = load(scene, tmp_path / "a.mrk.json")
    assert node.GetFixedNumberOfControlPoints()
    assert node.GetNumberOfUndefinedControlPoints() == len(PROTOCOL)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii.gz"])
def test_slicer_reads_the_geometry_that_we_read(scene, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    image = sitk.GetImageFromArray(np.zeros((40, 30), np.uint8))
    image.SetSpacing((0.2, 0.3))
    image.SetOrigin((-7.0, 11.0))
    sitk.WriteImage(image, str(tmp_path / f"x.{suffix}"))
    points = np.array([[0, 0], [29, 39], [3.5, 2.25]])
    ours = read_radiograph(tmp_path / f"x.{suffix}").geometry.pixel_to_world(points) * [-1, -1, 1]
    assert np.allclose(ras_of_pixels(load_volume(scene, tmp_path / f"x.{suffix}"), points), ours, atol=1e-5)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_slicer_reads_dicom_as_we_do(scene, tmp_path: Path, photometric: str) -> None:  # type: ignore[no-untyped-def]
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30)).astype(np.uint16)
    radiograph = Radiograph(pixels, Geometry((30, 40)), (0.2, 0.3), SpacingSource.GIVEN)
    write_dicom(radiograph, tmp_path / "x.dcm", "PHANTOM", photometric=photometric)  # type: ignore[arg-type]
    ours = read_radiograph(tmp_path / "x.dcm")
    volume = load_volume(scene, tmp_path / "x.dcm")
    points = np.array([[0, 0], [29, 39], [3.5, 2.25]])
    assert ours.spacing == pytest.approx((0.2, 0.3))
    assert np.allclose(ras_of_pixels(volume, points), ours.geometry.pixel_to_world(points) * [-1, -1, 1], atol=1e-6)
    assert np.array_equal(ours.pixels, pixels)


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelSpacing": [0.1, 0.2]},
        {"ImagerPixelSpacing": [0.1, 0.2]},
        {"PixelSpacing": [0.1, 0.2], "ImagerPixelSpacing": [0.3, 0.4]},
        {"ImagerPixelSpacing": [0.1, 0.2], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
         "ImagePositionPatient": [10, -20, 30.5]},
    ],
)  # fmt: skip
def test_slicer_puts_points_where_we_do_whatever_the_spacing_attributes(  # type: ignore[no-untyped-def]
    scene, tmp_path: Path, attributes: dict
) -> None:
    """Also where Slicer's reading of the header is not the true size of a pixel."""
    path = tmp_path / "x.dcm"
    write_dicom(Radiograph.from_array(np.zeros((40, 30), np.uint16)), path, "PHANTOM")
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    points = np.array([[0, 0], [29, 39], [3.5, 2.25]])
    ours = read_radiograph(path).geometry.pixel_to_world(points) * [-1, -1, 1]
    assert np.allclose(ras_of_pixels(load_volume(scene, path), points), ours, atol=1e-6)
