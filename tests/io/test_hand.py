from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_folders import hand_row, plausible_points, write_image, write_text

from landmarklabel.errors import DataError
from landmarklabel.io.dataset import read_dataset

SIZE = (100, 120)
HAND = plausible_points("hand_37", SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_text(tmp_path / "all.csv", hand_row("3105", HAND) + hand_row("3106", HAND * 0.5))
    write_image(tmp_path / "images" / "boys" / "3105.jpg", SIZE)
    write_image(tmp_path / "images" / "girls" / "3106.PNG", SIZE, seed=1)
    write_image(tmp_path / "images" / "girls" / "9999.png", SIZE, seed=2)
    return tmp_path


def test_points_images_and_patients(folder: Path) -> None:
    first, second = read_dataset(f"hand:{folder}").cases
    assert [(case.id, case.patient, case.image.name) for case in (first, second)] == [
        ("3105", "3105", "3105.jpg"),
        ("3106", "3106", "3106.PNG"),
    ]
    np.testing.assert_allclose(first.points, HAND, rtol=1e-8)  # type: ignore[arg-type]
    np.testing.assert_allclose(second.points, HAND * 0.5, rtol=1e-8)  # type: ignore[arg-type]


def test_spacing_makes_the_wrist_50_mm(folder: Path) -> None:
    first, second = read_dataset(f"hand:{folder}").cases
    assert first.spacing == pytest.approx((50 / 40, 50 / 40))  # points 1 and 5 are 40 pixels apart
    assert second.spacing == pytest.approx((50 / 20, 50 / 20))
    radiograph = second.radiograph()
    wrist = radiograph.geometry.pixel_to_world(second.points)[[0, 4]]  # type: ignore[arg-type]
    assert np.linalg.norm(wrist[1] - wrist[0]) == pytest.approx(50.0)


def test_spacing_is_unknown_without_the_wrist(folder: Path) -> None:
    points = HAND.copy()
    points[4] = np.nan
    write_text(folder / "all.csv", hand_row("3105", points))
    case = read_dataset(f"hand:{folder}").cases[0]
    assert case.spacing is None
    assert case.points is not None
    assert np.isnan(case.points[4]).all()


@pytest.mark.parametrize("name", ["setup/all.csv", "points.csv"])
def test_table_elsewhere_or_of_another_name(folder: Path, name: str) -> None:
    (folder / "setup").mkdir()
    (folder / "all.csv").rename(folder / name)
    assert len(read_dataset(f"hand:{folder}").cases) == 2


def test_line_of_column_names_is_no_label(folder: Path) -> None:
    names = ",".join(["id", *(f"{axis}{number}" for number in range(1, 38) for axis in "xy")])
    write_text(folder / "all.csv", names + "\n" + hand_row("3105", HAND))
    assert [case.id for case in read_dataset(f"hand:{folder}").cases] == ["3105"]


def test_folds(folder: Path) -> None:
    write_text(folder / "cv" / "set2" / "train.txt", "3106\n")
    write_text(folder / "cv" / "set2" / "test.txt", "3105\n")
    assert [case.split for case in read_dataset(f"hand:{folder}", fold=2).cases] == ["test", "train"]
    assert read_dataset(f"hand:{folder}").splits == ()


def test_absent_fold_is_named(folder: Path) -> None:
    write_text(folder / "cv" / "set2" / "train.txt", "3106\n")
    with pytest.raises(DataError, match="expected the folder cv/set3 there; it has set2"):
        read_dataset(f"hand:{folder}", fold=3)


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [("3105", "3106\n3105", "test.txt: 3105 also in train.txt"), ("77", "3105", "train.txt: 77: no such id")],
)
def test_wrong_fold_is_told(folder: Path, train: str, test: str, sentence: str) -> None:
    write_text(folder / "cv" / "set1" / "train.txt", train)
    write_text(folder / "cv" / "set1" / "test.txt", test)
    with pytest.raises(DataError, match=sentence):
        read_dataset(f"hand:{folder}", fold=1)


def test_no_table_is_told(folder: Path) -> None:
    (folder / "all.csv").unlink()
    with pytest.raises(DataError, match=r"expected one table all.csv there, found 0"):
        read_dataset(f"hand:{folder}")


def test_several_tables_are_told(folder: Path) -> None:
    (folder / "all.csv").rename(folder / "a.csv")
    write_text(folder / "b.csv", "1,2\n")
    with pytest.raises(DataError, match=r"expected one table all.csv there, found 2 \(a.csv, b.csv\)"):
        read_dataset(f"hand:{folder}")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("3106," + ",".join(["1"] * 72), "row 2: 36 points; expected the 37 of hand_37"),
        ("3106," + ",".join(["1"] * 73), "row 2: 73 numbers after the id"),
        ("3106," + ",".join(["1"] * 73 + ["low"]), "row 2: 'low' is not a number"),
        (hand_row("3105", HAND), "row 2: the id '3105' is in the table twice"),
        (hand_row("4000", HAND), r"1 labels have no image there \(4000\)"),
    ],
)
def test_wrong_row_is_told(folder: Path, row: str, sentence: str) -> None:
    write_text(folder / "all.csv", hand_row("3105", HAND) + row)
    with pytest.raises(DataError, match=sentence):
        read_dataset(f"hand:{folder}")


def test_empty_table_is_told(folder: Path) -> None:
    write_text(folder / "all.csv", "\n")
    with pytest.raises(DataError, match=r"all.csv: no rows"):
        read_dataset(f"hand:{folder}")


def test_two_images_of_one_id_are_refused(folder: Path) -> None:
    write_image(folder / "small" / "3105.png", SIZE)
    with pytest.raises(DataError, match="two images have the id '3105'"):
        read_dataset(f"hand:{folder}")
