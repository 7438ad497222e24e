from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_folders import plausible_points, write_dicom, write_image, write_text

from landmarklabel.errors import DataError
from landmarklabel.io import read_radiograph
from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.importing import import_dataset, require_safe_id
from landmarklabel.landmarks import Status
from landmarklabel.markups import read_markups
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import SpacingSource

PROTOCOL = load_protocol("cephalometric_19")
SIZE = (60, 72)
POINTS = plausible_points("cephalometric_19", SIZE)


@pytest.fixture
def dataset(tmp_path: Path) -> LandmarkDataset:
    """A JPEG with a documented spacing, a DICOM that knows its own, a suspicious label and an unlabelled image."""
    source = tmp_path / "source"
    absent = POINTS.copy()
    absent[4] = np.nan
    cases = (
        Case("001", write_image(source / "001.jpg", SIZE), POINTS, split="train", spacing=(0.1, 0.2)),
        Case("scan 2", write_dicom(source / "x.dcm", SIZE, "P"), absent, split="train"),
        Case("bad", write_image(source / "bad.PNG", SIZE), POINTS[::-1], split="test"),
        Case("new", write_image(source / "new.bmp", SIZE), None, split="test"),
    )
    return LandmarkDataset("made up", PROTOCOL, cases, {"bad": ("upside down",)})


def _names(studies: Path) -> list[str]:
    return sorted(path.relative_to(studies).as_posix() for path in studies.rglob("*") if path.is_file())


def test_images_and_labels_are_where_the_server_looks(dataset: LandmarkDataset, tmp_path: Path) -> None:
    report = import_dataset(dataset, tmp_path / "new" / "studies")
    assert _names(tmp_path / "new" / "studies") == [
        "001.nrrd", "bad.png", "labels/final/001.mrk.json", "labels/final/scan 2.mrk.json", "new.bmp", "scan 2.dcm",
    ]  # fmt: skip
    assert (report.images, report.labels, report.present) == (4, 2, 0)
    assert report.unlabelled == ("new",)
    assert report.left_out == {"bad": ("upside down",)}
    assert str(report) == (
        "4 images and 2 final labels imported, 0 were there already; 1 images have no label; "
        "1 suspicious labels left out"
    )


def test_documented_spacing_is_in_the_stored_file(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    stored = read_radiograph(tmp_path / "studies" / "001.nrrd")
    assert stored.spacing == stored.geometry.spacing == (0.1, 0.2)
    assert stored.spacing_source is SpacingSource.FILE
    np.testing.assert_array_equal(stored.pixels, dataset.cases[0].radiograph().pixels)


def test_stored_nrrd_says_that_its_axes_are_lps_and_is_compressed(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    header = (tmp_path / "studies" / "001.nrrd").read_bytes().split(b"\n\n")[0].decode()
    assert "space: left-posterior-superior" in header
    assert "encoding: gzip" in header
    assert sitk.ReadImage(str(tmp_path / "studies" / "001.nrrd")).GetSize() == (*SIZE, 1)


def test_other_images_are_copied_unchanged(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    for case, name in zip(dataset.cases[1:], ("scan 2.dcm", "bad.png", "new.bmp"), strict=True):
        assert (tmp_path / "studies" / name).read_bytes() == case.image.read_bytes()


def test_image_that_carries_the_documented_spacing_is_copied(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((72, 60), np.uint8))
    image.SetSpacing((0.1, 0.1))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    case = Case("a", tmp_path / "a.mha", POINTS, spacing=(0.1, 0.1))
    import_dataset(LandmarkDataset("x", PROTOCOL, (case,)), tmp_path / "studies")
    assert _names(tmp_path / "studies") == ["a.mha", "labels/final/a.mrk.json"]


def test_labels_lie_on_the_same_pixels_of_the_stored_image(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    for case, name in zip(dataset.cases, ("001.nrrd", "scan 2.dcm"), strict=False):
        geometry = read_radiograph(tmp_path / "studies" / name).geometry
        label = read_markups(tmp_path / "studies" / "labels" / "final" / f"{case.id}.mrk.json", PROTOCOL, geometry)
        np.testing.assert_allclose(label.points, case.points, atol=1e-9)  # type: ignore[arg-type]
    assert label.status[4] is Status.MISSING
    assert set(label.status) == {Status.CONFIRMED, Status.MISSING}


def test_world_positions_are_pixels_times_the_documented_spacing(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    content = json.loads((tmp_path / "studies" / "labels" / "final" / "001.mrk.json").read_text())
    positions = [point["position"] for point in content["markups"][0]["controlPoints"]]
    np.testing.assert_allclose(positions, np.pad(POINTS * (0.1, 0.2), ((0, 0), (0, 1))), atol=1e-12)


def test_reading_the_studies_back_gives_the_same_labels(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    back = {case.id: case for case in read_dataset(f"studies:{tmp_path / 'studies'}", "cephalometric_19").cases}
    assert sorted(back) == ["001", "bad", "new", "scan 2"]
    assert back["bad"].points is None
    for case in dataset.cases[:2]:
        np.testing.assert_allclose(back[case.id].points, case.points, atol=1e-9)  # type: ignore[arg-type]


def test_patients_stay_whole(dataset: LandmarkDataset, tmp_path: Path) -> None:
    """A patient of two images is one patient after the import, too, and after a second one into the same folder."""
    pair = (replace(dataset.cases[0], patient="P"), replace(dataset.cases[1], patient="P"), *dataset.cases[2:])
    import_dataset(replace(dataset, cases=pair[:1]), tmp_path / "studies")
    import_dataset(replace(dataset, cases=pair), tmp_path / "studies")
    back = read_dataset(f"studies:{tmp_path / 'studies'}", "cephalometric_19")
    assert {case.id: case.patient for case in back.cases} == {case.id: case.patient or case.id for case in pair}


def test_damaged_patients_are_said(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    (tmp_path / "studies" / "patients.json").write_text("{")
    with pytest.raises(DataError, match="patients.json: damaged"):
        read_dataset(f"studies:{tmp_path / 'studies'}", "cephalometric_19")


def test_one_split(dataset: LandmarkDataset, tmp_path: Path) -> None:
    assert import_dataset(dataset, tmp_path / "studies", split="test").images == 2
    assert _names(tmp_path / "studies") == ["bad.png", "new.bmp"]
    with pytest.raises(DataError, match="has no split 'validation'; it has test, train"):
        import_dataset(dataset, tmp_path / "studies", split="validation")


def test_suspicious_labels_on_request(dataset: LandmarkDataset, tmp_path: Path) -> None:
    report = import_dataset(dataset, tmp_path / "studies", include_suspicious=True)
    assert (report.labels, report.left_out) == (3, {})
    assert "labels/final/bad.mrk.json" in _names(tmp_path / "studies")


def test_suspicious_label_that_could_not_be_read_is_reported(dataset: LandmarkDataset, tmp_path: Path) -> None:
    damaged = replace(dataset, suspicious={"new": ("not JSON",)})
    report = import_dataset(damaged, tmp_path / "studies", include_suspicious=True)
    assert report.left_out == {"new": ("not JSON",)}
    assert report.unlabelled == ()


def test_second_import_changes_nothing(dataset: LandmarkDataset, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    import_dataset(dataset, studies)
    before = {name: (studies / name).stat().st_mtime_ns for name in _names(studies)}
    report = import_dataset(dataset, studies)
    assert (report.images, report.labels, report.present) == (0, 0, 6)
    assert before == {name: (studies / name).stat().st_mtime_ns for name in _names(studies)}


def test_interrupted_import_is_completed(dataset: LandmarkDataset, tmp_path: Path) -> None:
    studies = tmp_path / "studies"

    def interrupt(done: int, total: int) -> None:
        assert total == 4
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(dataset, studies, progress=interrupt)
    assert _names(studies) == ["001.nrrd", "labels/final/001.mrk.json"]
    report = import_dataset(dataset, studies)
    assert (report.images, report.labels, report.present) == (3, 1, 2)


def test_interruption_while_writing_leaves_no_half_file(
    dataset: LandmarkDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", half)
    with pytest.raises(KeyboardInterrupt):
        import_dataset(dataset, tmp_path / "studies")
    assert _names(tmp_path / "studies") == ["001.nrrd", "labels/final/001.mrk.json"]


def test_progress_counts_every_image(dataset: LandmarkDataset, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    import_dataset(dataset, tmp_path / "studies", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_different_final_label_is_never_overwritten(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    path = tmp_path / "studies" / "labels" / "final" / "001.mrk.json"
    before = path.read_bytes()
    first = replace(dataset.cases[0], points=POINTS + np.array([0.0, 0.01]))
    with pytest.raises(DataError, match=r"001.mrk.json: a different final label is there already"):
        import_dataset(replace(dataset, cases=(first,)), tmp_path / "studies")
    assert path.read_bytes() == before


def test_final_label_that_cannot_be_read_is_never_overwritten(dataset: LandmarkDataset, tmp_path: Path) -> None:
    path = write_text(tmp_path / "studies" / "labels" / "final" / "001.mrk.json", "{}")
    with pytest.raises(DataError, match=r"001.mrk.json: a final label is there already; it is not overwritten"):
        import_dataset(dataset, tmp_path / "studies")
    assert path.read_text() == "{}"


@pytest.mark.parametrize("name", ["001.nrrd", "001.png", "scan 2.dcm", "scan 2.jpg"])
def test_another_image_of_the_id_is_never_overwritten(dataset: LandmarkDataset, tmp_path: Path, name: str) -> None:
    (tmp_path / "studies").mkdir()
    path = write_image(tmp_path / "other.png", SIZE, seed=9).rename(tmp_path / "studies" / name)
    before = path.read_bytes()
    with pytest.raises(DataError, match=f"{name}: another image with the id"):
        import_dataset(dataset, tmp_path / "studies")
    assert path.read_bytes() == before


def test_same_pixels_with_another_spacing_are_another_image(dataset: LandmarkDataset, tmp_path: Path) -> None:
    import_dataset(dataset, tmp_path / "studies")
    first = replace(dataset.cases[0], spacing=(0.1, 0.1))
    with pytest.raises(DataError, match=r"001.nrrd: another image with the id '001'"):
        import_dataset(replace(dataset, cases=(first,)), tmp_path / "studies")


def test_file_in_place_of_the_folder_is_told(dataset: LandmarkDataset, tmp_path: Path) -> None:
    write_text(tmp_path / "studies", "")
    with pytest.raises(DataError, match="studies is a file; expected a folder"):
        import_dataset(dataset, tmp_path / "studies")


@pytest.mark.parametrize(
    "case_id",
    [
        "",
        " ",
        ".",
        "..",
        "../a",
        "a/b",
        "a\\b",
        "/etc/passwd",
        ".hidden",
        "a.",
        "a ",
        "a\nb",
        "a\0b",
        "a:b",
        "a*",
        "é" * 101,
    ],
)
def test_unsafe_ids_are_refused_before_anything_is_written(
    dataset: LandmarkDataset, tmp_path: Path, case_id: str
) -> None:
    unsafe = replace(dataset, cases=(*dataset.cases, replace(dataset.cases[0], id=case_id)))
    with pytest.raises(DataError, match="can't be a file name"):
        import_dataset(unsafe, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("case_id", ["001", "sunhl-1th-22-Nov-2016-142 A AP (2)", "x.png", "é", "a" * 200])
def test_safe_ids(case_id: str) -> None:
    require_safe_id(case_id)


@settings(max_examples=10)  # each reads and writes files
@given(st.floats(0.01, 3), st.floats(0.01, 3), st.integers(0, 2**32))
def test_any_points_and_spacing_survive(
    tmp_path_factory: pytest.TempPathFactory, sx: float, sy: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("import")
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 59.5, (19, 2))
    points[rng.random(19) < 0.2] = np.nan
    case = Case("a", write_image(folder / "a.png", SIZE, seed=seed), points, spacing=(sx, sy))
    import_dataset(LandmarkDataset("x", PROTOCOL, (case,)), folder / "studies")
    (back,) = read_dataset(f"studies:{folder / 'studies'}", "cephalometric_19").cases
    np.testing.assert_allclose(back.points, points, atol=1e-6)  # type: ignore[arg-type]
    assert back.radiograph().geometry.spacing == pytest.approx((sx, sy), rel=1e-12)
