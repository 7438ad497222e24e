from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from layout_folders import plausible_points, write_dicom, write_image, write_text

from landmarklabel.errors import DataError
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.headers import read_geometry
from landmarklabel.io.layouts.common import image_id
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import write_markups
from landmarklabel.protocol import load_protocol

PROTOCOL = load_protocol("cephalometric_19")
SIZE = (60, 72)
POINTS = plausible_points("cephalometric_19", SIZE)


def _label(folder: Path, name: str, image: Path, points: np.ndarray = POINTS) -> Path:
    path = folder / "labels" / "final" / f"{name}.mrk.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_markups(LandmarkSet.from_points(PROTOCOL, points), read_geometry(image), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _label(tmp_path, "a", write_image(tmp_path / "a.PNG", SIZE))
    _label(tmp_path, "b.c", write_dicom(tmp_path / "b.c.dcm", SIZE, "P 7"), POINTS + 1)
    write_image(tmp_path / "d.jpg", SIZE)
    write_text(tmp_path / "datastore_v2.json", "{}")
    write_text(tmp_path / ".half.png.part", "")
    write_text(tmp_path / ".hidden.png", "")
    return tmp_path


def test_images_labels_and_patients(folder: Path) -> None:
    dataset = read_dataset(f"studies:{folder}", "cephalometric_19")
    assert [(case.id, case.patient) for case in dataset.cases] == [("a", "a"), ("b.c", "P 7"), ("d", "d")]
    first, second, third = (case.points for case in dataset.cases)
    np.testing.assert_allclose(first, POINTS, atol=1e-9)  # type: ignore[arg-type]
    np.testing.assert_allclose(second, POINTS + 1, atol=1e-9)  # type: ignore[arg-type]
    assert third is None
    assert dataset.suspicious == {}


def test_spacing_is_the_files(folder: Path) -> None:
    case = read_dataset(f"studies:{folder}", "cephalometric_19").cases[1]
    assert case.spacing is None
    assert case.radiograph().spacing == (0.5, 0.5)


def test_protocol_is_required(folder: Path) -> None:
    with pytest.raises(DataError, match=r"does not say which landmarks .* protocol='cephalometric_19'"):
        read_dataset(f"studies:{folder}")


def test_damaged_label_is_listed_and_stops_nothing(folder: Path) -> None:
    write_text(folder / "labels" / "final" / "a.mrk.json", '{"markups": [')
    dataset = read_dataset(f"studies:{folder}", "cephalometric_19")
    assert dataset.cases[0].points is None
    assert [case.id for case in dataset.trustworthy()] == ["b.c"]
    assert list(dataset.suspicious) == ["a"]
    assert dataset.suspicious["a"][0].startswith("a.mrk.json: not JSON")


def test_label_of_another_protocol_is_listed(folder: Path) -> None:
    dataset = read_dataset(f"studies:{folder}", "hand_37")
    assert set(dataset.suspicious) == {"a", "b.c"}
    assert "not a landmark of hand_37" in dataset.suspicious["a"][0]


def test_label_without_image_is_listed(folder: Path) -> None:
    (folder / "a.PNG").unlink()
    dataset = read_dataset(f"studies:{folder}", "cephalometric_19")
    assert [case.id for case in dataset.cases] == ["b.c", "d"]
    assert dataset.suspicious == {"a": ("labels/final/a.mrk.json has no image 'a' in the folder",)}


def test_damaged_image_is_listed(folder: Path) -> None:
    write_text(folder / "a.PNG", "not a picture")
    dataset = read_dataset(f"studies:{folder}", "cephalometric_19")
    assert dataset.cases[0].points is None
    assert "a.PNG is a text file" in dataset.suspicious["a"][0]


def test_labels_that_break_rules_are_suspicious_not_an_error(tmp_path: Path) -> None:
    upside_down = [0, SIZE[1]] + POINTS * [1, -1]
    for number in range(6):
        _label(tmp_path, str(number), write_image(tmp_path / f"{number}.png", SIZE), upside_down)
    dataset = read_dataset(f"studies:{tmp_path}", "cephalometric_19")
    assert len(dataset.suspicious) == 6
    assert dataset.suspicious["0"][0] == "N is not above ANS"


def test_two_images_of_one_id_are_refused(folder: Path) -> None:
    write_image(folder / "a.tif", SIZE)
    with pytest.raises(DataError, match="two images have the id 'a'"):
        read_dataset(f"studies:{folder}", "cephalometric_19")


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        read_dataset(f"studies:{tmp_path}", "cephalometric_19")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "a"),
        ("A.B.JPEG", "A.B"),
        ("x.nii.gz", "x"),
        ("x.NII.GZ", "x"),
        ("x.nii", "x"),
        ("x.png_copy.png", "x.png_copy"),
        ("x.gz", "x.gz"),
        ("x", "x"),
        (".png", ".png"),
    ],
)
def test_image_id(name: str, expected: str) -> None:
    assert image_id(name) == expected


CHEST = load_protocol("chest_166")


def _label_image(folder: Path, name: str, value: int = 1, size: tuple[int, int] = SIZE) -> Path:
    values = np.zeros((1, size[1], size[0]), np.uint8)
    values[0, 5:9, 7:12] = value
    path = folder / "labels" / "final_segmentation" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return path


@pytest.fixture
def chests(tmp_path: Path) -> Path:
    """Images a to e, without landmarks."""
    for name in "abcde":
        write_image(tmp_path / f"{name}.png", SIZE)
    return tmp_path


def test_label_images_are_read_beside_the_landmarks(chests: Path) -> None:
    """A label image alone makes no case one with landmarks."""
    paths = [_label_image(chests, name) for name in ("a.nrrd", "b.nii.gz", "c.seg.nrrd")]
    _label_image(chests, ".d.nrrd")
    write_text(chests / "labels" / "final_segmentation" / "d.mrk.json", "{}")
    points = plausible_points("chest_166", SIZE)
    label = chests / "labels" / "final" / "a.mrk.json"
    label.parent.mkdir()
    write_markups(LandmarkSet.from_points(CHEST, points), read_geometry(chests / "a.png"), label)
    dataset = read_dataset(f"studies:{chests}", CHEST)
    assert [case.segmentation for case in dataset.cases] == [*paths, None, None]
    assert [case.has_landmarks for case in dataset.cases] == [True, False, False, False, False]
    assert [case.id for case in dataset.labelled()] == ["a"]
    structures = dataset.cases[1].structures(CHEST)
    assert structures is not None
    assert structures.masks[0].sum() == structures.masks.sum() == 20
    assert "b" not in dataset.suspicious


def test_damaged_label_images_are_listed_and_stop_nothing(chests: Path) -> None:
    write_text(_label_image(chests, "a.nrrd"), "hello")
    _label_image(chests, "b.nrrd", value=77)
    _label_image(chests, "c.nrrd", size=(61, 72))
    _label_image(chests, "d.nrrd"), _label_image(chests, "d.seg.nrrd")
    _label_image(chests, "z.nii.gz")
    dataset = read_dataset(f"studies:{chests}", CHEST)
    assert [case.segmentation for case in dataset.cases] == [None] * 5
    assert sorted(dataset.suspicious) == ["a", "b", "c", "d", "z"]
    expected = {
        "a": "a.nrrd is a text file",
        "b": "b.nrrd holds the value 77",
        "c": "c.nrrd has 61 x 72 pixels, its image 60 x 72",
        "d": "d.nrrd, d.seg.nrrd: more than one label image; keep one of them",
        "z": "labels/final_segmentation/z.nii.gz has no image 'z' in the folder",
    }
    for name, sentence in expected.items():
        (reason,) = dataset.suspicious[name]
        assert reason.startswith(sentence)


def test_landmarks_stay_where_the_label_image_is_damaged(folder: Path) -> None:
    write_text(folder / "labels" / "final_segmentation" / "a.nrrd", "hello")
    write_text(folder / "labels" / "final" / "b.c.mrk.json", "hello")
    dataset = read_dataset(f"studies:{folder}", "cephalometric_19")
    np.testing.assert_allclose(dataset.cases[0].points, POINTS, atol=1e-9)  # type: ignore[arg-type]
    assert sorted(dataset.suspicious) == ["a", "b.c"]
