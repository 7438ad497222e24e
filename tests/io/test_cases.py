from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from layout_folders import plausible_points, write_image

from landmarklabel.errors import DataError, ImageError, LabelError
from landmarklabel.io.cases import Case, LandmarkDataset, read_structures
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Geometry, SpacingSource

PROTOCOL = load_protocol("cephalometric_19")
POINTS = plausible_points("cephalometric_19", (60, 72))


@pytest.fixture
def dataset(tmp_path: Path) -> LandmarkDataset:
    cases = (
        Case("c", write_image(tmp_path / "c.png", (60, 72)), POINTS, "p1", "train"),
        Case("a", write_image(tmp_path / "a.png", (60, 72), seed=1), POINTS + 1, "p2", "test"),
        Case("b", write_image(tmp_path / "b.png", (60, 72), seed=2), None, "p2", "test"),
    )
    return LandmarkDataset("made up", PROTOCOL, cases, {"a": ("upside down",)})


def _ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.id for case in cases]


def test_radiograph_takes_the_documented_spacing(tmp_path: Path) -> None:
    case = Case("a", write_image(tmp_path / "a.png", (60, 72), dpi=(300, 300)), spacing=(0.25, 0.5))
    radiograph = case.radiograph()
    assert radiograph.spacing == radiograph.geometry.spacing == (0.25, 0.5)
    assert radiograph.spacing_source is SpacingSource.GIVEN
    assert radiograph.size == (60, 72)


def test_radiograph_without_documented_spacing_is_the_files(tmp_path: Path) -> None:
    radiograph = Case("a", write_image(tmp_path / "a.png", (60, 72), dpi=(254, 254))).radiograph()
    assert radiograph.spacing == pytest.approx((0.1, 0.1), rel=1e-3)
    assert radiograph.spacing_source is SpacingSource.FILE


def test_radiograph_of_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        Case("a", tmp_path / "a.png").radiograph()


def test_labelled_trustworthy_and_splits(dataset: LandmarkDataset) -> None:
    assert len(dataset) == 3
    assert _ids(dataset.labelled()) == ["c", "a"]
    assert _ids(dataset.trustworthy()) == ["c"]
    assert dataset.splits == ("test", "train")


def test_subset_by_ids_keeps_the_order_and_the_reasons(dataset: LandmarkDataset) -> None:
    assert _ids(dataset.subset(["a", "c"]).cases) == ["c", "a"]
    assert dataset.subset(["a"]).suspicious == {"a": ("upside down",)}
    assert dataset.subset(["c"]).suspicious == {}
    assert _ids(dataset.subset("a").cases) == ["a"]


def test_subset_by_predicate(dataset: LandmarkDataset) -> None:
    assert _ids(dataset.subset(lambda case: case.patient == "p2").cases) == ["a", "b"]


def test_subset_of_unknown_ids_is_refused(dataset: LandmarkDataset) -> None:
    with pytest.raises(DataError, match="made up has no image x, z"):
        dataset.subset(["a", "z", "x"])


def test_split_by_name(dataset: LandmarkDataset) -> None:
    assert _ids(dataset.split("test").cases) == ["a", "b"]
    with pytest.raises(DataError, match="made up has no split 'val'; it has test, train"):
        dataset.split("val")


def test_fingerprint_is_the_same_elsewhere_and_in_another_order(dataset: LandmarkDataset, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    moved = [replace(case, image=case.image.rename(other / case.image.name)) for case in reversed(dataset.cases)]
    before = LandmarkDataset("x", PROTOCOL, tuple(moved)).fingerprint
    restored = [replace(case, image=case.image.rename(tmp_path / case.image.name)) for case in moved]
    assert before == LandmarkDataset("y", PROTOCOL, tuple(reversed(restored))).fingerprint
    assert len(before) == 16


def test_fingerprint_is_the_hash_that_is_documented(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    points = np.full((19, 2), np.nan)
    points[0] = (1.25, 3.0004)
    thousandths = np.full((19, 2), -(2**63), dtype="<i8")
    thousandths[0] = (1250, 3000)
    expected = hashlib.sha256(PROTOCOL.fingerprint.encode() + b"\na\x005\x00" + thousandths.tobytes()).hexdigest()
    dataset = LandmarkDataset("x", PROTOCOL, (Case("a", tmp_path / "a", points),))
    assert dataset.fingerprint == expected[:16]


@pytest.mark.parametrize("change", ["id", "points", "absent", "no label", "file", "protocol", "segmentation", "less"])
def test_fingerprint_changes_with_the_data(dataset: LandmarkDataset, change: str) -> None:
    first, *rest = dataset.cases
    before, protocol = dataset.fingerprint, PROTOCOL
    moved = POINTS.copy()
    moved[7, 1] += 0.01
    if change == "file":
        first.image.write_bytes(first.image.read_bytes() + b"x")
    if change == "absent":
        moved[7] = np.nan
    if change == "protocol":
        protocol = load_protocol("hand_37")
    changed = {
        "id": [replace(first, id="d")],
        "points": [replace(first, points=moved)],
        "absent": [replace(first, points=moved)],
        "no label": [replace(first, points=None)],
        "segmentation": [replace(first, segmentation=first.image)],
        "less": [],
    }.get(change, [first])
    assert LandmarkDataset("made up", protocol, (*changed, *rest)).fingerprint != before


def test_fingerprint_follows_the_label_image_not_its_name(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", (60, 72))

    def fingerprint(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        case = Case("a", image, POINTS, segmentation=tmp_path / name)
        return LandmarkDataset("x", PROTOCOL, (case,)).fingerprint

    first = fingerprint("a.nrrd", b"12345")
    assert first == fingerprint("b.nrrd", b"12345")
    assert first != fingerprint("a.nrrd", b"12346")


TWO_OUTLINES = Protocol.model_validate(
    {
        "name": "two_outlines",
        "title": "Two outlines and a line",
        "landmarks": [{"label": letter, "name": letter} for letter in "abcdef"],
        "structures": [
            {"name": "first", "landmarks": ["a", "b", "c"]},
            {"name": "line", "landmarks": ["a", "d"], "closed": False},
            {"name": "second", "title": "The second one", "landmarks": ["d", "e", "f"]},
        ],
    }
)


def _label_image(path: Path, values: np.ndarray, **segments: int) -> Path:
    """Values (H, W) as a file of one slice, with the value of each segment where they are named."""
    image = sitk.GetImageFromArray(values[None].astype(np.uint8))
    for number, (name, value) in enumerate(segments.items()):
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{number}")
        image.SetMetaData(f"Segment{number}_Name", name.replace("_", " "))
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        image.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(image, str(path))
    return path


VALUES = np.zeros((72, 60), np.uint8)
VALUES[3:9, 2:5], VALUES[20:40, 30:50] = 1, 2


@pytest.mark.parametrize("name", ["x.nrrd", "x.nii.gz"])
def test_values_of_a_label_image_are_the_closed_structures_in_order(tmp_path: Path, name: str) -> None:
    case = Case("x", write_image(tmp_path / "x.png", (60, 72)), segmentation=_label_image(tmp_path / name, VALUES))
    structures = case.structures(TWO_OUTLINES)
    assert structures is not None
    assert (structures.names, structures.titles) == (("first", "second"), ("first", "The second one"))
    assert np.array_equal(structures.masks, [VALUES == 1, VALUES == 2])
    assert not case.has_landmarks


def test_names_of_segments_count_where_there_are_some(tmp_path: Path) -> None:
    path = _label_image(tmp_path / "x.seg.nrrd", VALUES, The_second_one=1, first=2)
    structures = read_structures(path, TWO_OUTLINES, Geometry((60, 72)))
    assert np.array_equal(structures["first"], VALUES == 2)
    assert np.array_equal(structures["second"], VALUES == 1)
    with pytest.raises(LabelError, match="the segment 'line' is no structure of the protocol, which has first, second"):
        read_structures(_label_image(path, VALUES, line=1), TWO_OUTLINES, Geometry((60, 72)))


def test_a_case_without_label_image_has_no_structures(tmp_path: Path) -> None:
    assert Case("x", tmp_path / "x.png").structures(TWO_OUTLINES) is None


def test_a_protocol_without_outlines_has_no_label_images(tmp_path: Path) -> None:
    path = _label_image(tmp_path / "x.nrrd", VALUES)
    with pytest.raises(LabelError, match="x.nrrd: a label image, but cephalometric_19 has no closed structures"):
        read_structures(path, PROTOCOL, Geometry((60, 72)))
