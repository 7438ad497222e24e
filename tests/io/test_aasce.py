from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from layout_folders import plausible_points, write_aasce, write_text

from landmarklabel.errors import DataError
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.layouts.aasce import patient_of

SIZE = (80, 200)
SPINE = np.round(plausible_points("spine_68", SIZE))
FIRST, SECOND = "sunhl-1th-02-Jan-2017-162 A AP.jpg", "sunhl-1th-03-Jan-2017-162 B AP.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_aasce(
        tmp_path / "boostnet_labeldata", "training", {FIRST: SPINE, SECOND: SPINE + np.array([2, 3])}, SIZE
    )


def test_points_are_in_pixels_of_the_image(folder: Path) -> None:
    first, second = read_dataset(f"aasce:{folder}").cases
    np.testing.assert_allclose(first.points, SPINE, atol=0.005)  # type: ignore[arg-type]
    np.testing.assert_allclose(second.points, SPINE + np.array([2, 3]), atol=0.005)  # type: ignore[arg-type]


def test_ids_split_patient_angles_and_unknown_spacing(folder: Path) -> None:
    first, second = read_dataset(f"aasce:{folder}").cases
    assert (first.id, second.id) == (FIRST[:-4], SECOND[:-4])
    assert first.split == "train"
    assert first.patient == second.patient == "162"
    assert first.extra["cobb_angles"] == (0.0, 1.0, 2.0)
    assert second.extra["cobb_angles"] == (1.0, 2.0, 3.0)
    assert first.spacing is None
    assert not first.radiograph().spacing_known


def test_the_folder_above_is_found_too(folder: Path) -> None:
    assert read_dataset(f"aasce:{folder.parent}").fingerprint == read_dataset(f"aasce:{folder}").fingerprint


def test_both_splits(folder: Path) -> None:
    write_aasce(folder, "test", {"sunhl-1th-05-Jan-2017-170 A AP.jpg": SPINE}, SIZE)
    dataset = read_dataset(f"aasce:{folder}")
    assert dataset.splits == ("test", "train")
    assert [case.patient for case in dataset.split("test").cases] == ["170"]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("sunhl-1th-22-Nov-2016-142 A AP (2).jpg", "142"),
        ("sunhl-1th-21-Nov-2016-138 D AP2.jpg", "138"),
        ("sunhl-1th-20-Jul-2016-coronal3.jpg", "coronal3"),
        ("sunhl-1th-20-Jul-2016-coronal10.jpg", "coronal3"),
        ("sunhl-1th-20-Jul-2016-coronal4.jpg", "1"),
        ("sunhl-1th-10-Jan-2017-239 B AP.jpg", "238"),
        ("of another kind.jpg", "of another kind"),
    ],
)
def test_patient_is_the_number_after_the_date(name: str, patient: str) -> None:
    assert patient_of(name) == patient


def test_label_that_differs_from_its_mat_file_is_suspicious(folder: Path) -> None:
    path = folder / "labels" / "training" / f"{FIRST}.mat"
    scipy.io.savemat(path, {"p2": SPINE + np.array([0.0, 4.0])})
    dataset = read_dataset(f"aasce:{folder}")
    assert dataset.suspicious == {FIRST[:-4]: (f"differs from {FIRST}.mat by up to 4.0 px",)}
    scipy.io.savemat(path, {"p2": SPINE + 1.0})  # within the tolerance
    assert read_dataset(f"aasce:{folder}").suspicious == {}


@pytest.mark.parametrize("keep", [0, 10, 126, 150, 300])
def test_damaged_mat_file_is_suspicious(folder: Path, keep: int) -> None:
    path = folder / "labels" / "training" / f"{FIRST}.mat"
    path.write_bytes(path.read_bytes()[:keep])
    assert read_dataset(f"aasce:{folder}").suspicious == {FIRST[:-4]: (f"{FIRST}.mat can't be read",)}


def test_mat_file_of_another_shape_is_suspicious(folder: Path) -> None:
    scipy.io.savemat(folder / "labels" / "training" / f"{FIRST}.mat", {"p2": SPINE[:60]})
    assert "holds (60, 2) numbers" in read_dataset(f"aasce:{folder}").suspicious[FIRST[:-4]][0]


def test_mat_files_may_be_absent(folder: Path) -> None:
    for path in (folder / "labels" / "training").glob("*.mat"):
        path.unlink()
    assert len(read_dataset(f"aasce:{folder}").trustworthy()) == 2


@pytest.mark.parametrize("missing", ["labels", "data", "data/training"])
def test_missing_folder_is_named(folder: Path, missing: str) -> None:
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=f"expected the folder {missing} there"):
        read_dataset(f"aasce:{folder}")


def test_missing_splits_are_named(folder: Path) -> None:
    (folder / "labels" / "training").rename(folder / "elsewhere")
    with pytest.raises(DataError, match="expected one of the folders training, test"):
        read_dataset(f"aasce:{folder}")


@pytest.mark.parametrize("name", ["filenames", "landmarks", "angles"])
def test_missing_table_is_named(folder: Path, name: str) -> None:
    (folder / "labels" / "training" / f"{name}.csv").unlink()
    with pytest.raises(DataError, match=f"{name}.csv: no such file"):
        read_dataset(f"aasce:{folder}")


def test_label_without_image_is_named(folder: Path) -> None:
    (folder / "data" / "training" / SECOND).unlink()
    with pytest.raises(DataError, match=r"1 labels have no image there \(sunhl-1th-03-Jan-2017-162 B AP.jpg\)"):
        read_dataset(f"aasce:{folder}")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["0.5"] * 134, "row 2: 67 points; expected the 68 of spine_68"),
        (["0.5"] * 135, "row 2: 135 numbers; expected 68 x, then 68 y"),
        (["0.5"] * 135 + ["high"], "row 2: 'high' is not a number"),
    ],
)
def test_wrong_row_is_told(folder: Path, row: list[str], sentence: str) -> None:
    path = folder / "labels" / "training" / "landmarks.csv"
    write_text(path, path.read_text().splitlines()[0] + "\n" + ",".join(row) + "\n")
    with pytest.raises(DataError, match=sentence):
        read_dataset(f"aasce:{folder}")


@pytest.mark.parametrize("name", ["landmarks", "angles"])
def test_tables_of_different_length_are_told(folder: Path, name: str) -> None:
    path = folder / "labels" / "training" / f"{name}.csv"
    write_text(path, path.read_text().splitlines()[0])
    with pytest.raises(DataError, match=f"{name}.csv has 1 rows, but filenames.csv has 2"):
        read_dataset(f"aasce:{folder}")


def test_file_named_twice_is_refused(folder: Path) -> None:
    write_text(folder / "labels" / "training" / "filenames.csv", f"{FIRST}\n{FIRST}\n")
    with pytest.raises(DataError, match="two images have the id"):
        read_dataset(f"aasce:{folder}")
