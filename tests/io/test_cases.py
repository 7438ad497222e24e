from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layout_folders import plausible_points, write_image

from landmarklabel.errors import DataError, ImageError
from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import SpacingSource

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


@pytest.mark.parametrize("change", ["id", "points", "absent", "no label", "file", "protocol", "less"])
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
        "less": [],
    }.get(change, [first])
    assert LandmarkDataset("made up", protocol, (*changed, *rest)).fingerprint != before
