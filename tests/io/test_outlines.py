"""The layouts of outlines in NumPy files: JSRT and GRAZPEDWRI-DX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_folders import plausible_points, write_image, write_outlines, write_text

from landmarklabel.errors import DataError
from landmarklabel.io.dataset import read_dataset

CHEST = plausible_points("chest_166", (64, 64))
WRIST = plausible_points("wrist_720", (64, 64))
GRAZ_NAME = "0007_1297860395_01_WRI-L1_M014"


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    names = [f"JPCLN{number:03d}" for number in range(1, 6)]
    return write_outlines(tmp_path, {name: CHEST + number for number, name in enumerate(names)})


def test_chest_points_and_patients(chest: Path) -> None:
    cases = read_dataset(f"jsrt:{chest}").cases
    assert [case.id for case in cases] == [case.patient for case in cases] == [f"JPCLN{n:03d}" for n in range(1, 6)]
    for number, case in enumerate(cases):
        np.testing.assert_array_equal(case.points, CHEST + number)  # type: ignore[arg-type]


def test_flat_array_is_x_y_x_y(chest: Path) -> None:
    np.save(chest / "landmarks" / "JPCLN001.npy", CHEST.ravel().astype(np.float32))
    case = read_dataset(f"jsrt:{chest}").cases[0]
    np.testing.assert_allclose(case.points, CHEST, rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "spacing"), [(2048, 0.175), (1024, 0.35), (256, 1.4)])
def test_chest_spacing_is_that_of_the_field(tmp_path: Path, width: int, spacing: float) -> None:
    write_outlines(tmp_path, {"JPCNN001": CHEST})
    write_image(tmp_path / "images" / "JPCNN001.png", (width, width))
    case = read_dataset(f"jsrt:{tmp_path}").cases[0]
    assert case.spacing == pytest.approx((spacing, spacing), rel=1e-12)


def test_chest_split_without_lists_is_the_papers_part_of_the_sorted_names(tmp_path: Path) -> None:
    write_outlines(tmp_path, {f"JPCLN{number:03d}": None for number in range(247)}, size=(2, 2))
    cases = read_dataset(f"jsrt:{tmp_path}").cases
    assert [case.split for case in cases] == ["train"] * 160 + ["test"] * 87


def test_chest_split_of_another_total_is_the_same_part(chest: Path) -> None:
    splits = [case.split for case in read_dataset(f"jsrt:{chest}").cases]
    assert splits == ["train"] * 3 + ["test"] * 2  # 5 * 160 / 247 = 3.2


def test_chest_split_by_lists(chest: Path) -> None:
    write_text(chest / "train.txt", "JPCLN004\nJPCLN001.png\n\n")
    write_text(chest / "test.txt", "JPCLN002\n")
    splits = {case.id: case.split for case in read_dataset(f"jsrt:{chest}").cases}
    assert splits == {"JPCLN001": "train", "JPCLN002": "test", "JPCLN003": "", "JPCLN004": "train", "JPCLN005": ""}


def test_list_that_names_an_absent_image_is_refused(chest: Path) -> None:
    write_text(chest / "test.txt", "JPCLN009\n")
    with pytest.raises(DataError, match=r"test.txt: JPCLN009: no such image"):
        read_dataset(f"jsrt:{chest}")


def test_name_in_both_lists_is_refused(chest: Path) -> None:
    for split in ("train", "test"):
        write_text(chest / f"{split}.txt", "JPCLN001\n")
    with pytest.raises(DataError, match=r"test.txt: JPCLN001 also in train.txt"):
        read_dataset(f"jsrt:{chest}")


def test_image_without_label_has_no_points_and_label_without_image_is_refused(chest: Path) -> None:
    (chest / "landmarks" / "JPCLN001.npy").unlink()
    assert read_dataset(f"jsrt:{chest}").cases[0].points is None
    (chest / "images" / "JPCLN002.png").unlink()
    with pytest.raises(DataError, match=r"1 labels have no image there \(JPCLN002\)"):
        read_dataset(f"jsrt:{chest}")


@pytest.mark.parametrize("missing", ["images", "landmarks"])
@pytest.mark.parametrize("layout", ["jsrt", "graz"])
def test_missing_folder_is_named(chest: Path, layout: str, missing: str) -> None:
    (chest / missing).rename(chest / "elsewhere")
    with pytest.raises(DataError, match=f"expected the folder {missing} there .*images/NAME.png"):
        read_dataset(f"{layout}:{chest}")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((165, 2)), "165 points; expected the 166 of chest_166"),
        (np.zeros(330), "165 points; expected the 166 of chest_166"),
        (np.zeros(333), r"an array \(333,\); expected \(166, 2\) or \(332,\)"),
        (np.zeros((166, 3)), r"an array \(166, 3\)"),
        (np.zeros((2, 166)), r"an array \(2, 166\)"),
        (np.full((166, 2), "a"), "holds <U1; expected numbers"),
        (np.full((166, 2), 1j), "holds complex128"),
    ],
)
def test_wrong_array_is_told(chest: Path, values: np.ndarray, sentence: str) -> None:
    np.save(chest / "landmarks" / "JPCLN003.npy", values)
    with pytest.raises(DataError, match=f"JPCLN003.npy: {sentence}"):
        read_dataset(f"jsrt:{chest}")


def test_pickle_is_not_run(chest: Path) -> None:
    np.save(chest / "landmarks" / "JPCLN003.npy", np.array([{"x": 1}]), allow_pickle=True)
    with pytest.raises(DataError, match=r"JPCLN003.npy: not a NumPy file of numbers"):
        read_dataset(f"jsrt:{chest}")


@pytest.mark.parametrize("content", [b"", b"1,2\n3,4\n", b"\x93NUMPY\x01"])
def test_other_file_is_told(chest: Path, content: bytes) -> None:
    (chest / "landmarks" / "JPCLN003.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"JPCLN003.npy: not a NumPy file of numbers"):
        read_dataset(f"jsrt:{chest}")


def test_point_with_one_coordinate_is_absent(chest: Path) -> None:
    values = CHEST.copy()
    values[3, 1] = np.nan
    np.save(chest / "landmarks" / "JPCLN001.npy", values)
    points = read_dataset(f"jsrt:{chest}").cases[0].points
    assert points is not None
    assert np.isnan(points[3]).all()
    assert np.isfinite(points).all(axis=1).sum() == 165


def test_wrist_patient_is_the_first_part_of_the_name(tmp_path: Path) -> None:
    write_outlines(tmp_path, {GRAZ_NAME: WRIST})
    case = read_dataset(f"graz:{tmp_path}").cases[0]
    assert (case.id, case.patient, case.split, case.spacing) == (GRAZ_NAME, "0007", "", None)
    np.testing.assert_array_equal(case.points, WRIST)  # type: ignore[arg-type]


def test_wrist_of_another_number_of_points_says_what_to_do(tmp_path: Path) -> None:
    write_outlines(tmp_path, {GRAZ_NAME: WRIST[:700]})
    with pytest.raises(DataError, match=r"700 points; expected the 720 of wrist_720; .* copy the protocol's file"):
        read_dataset(f"graz:{tmp_path}")


def test_wrist_of_another_protocol(tmp_path: Path) -> None:
    protocol = write_text(
        tmp_path / "two.yaml",
        "name: two\ntitle: Two bones\nlandmarks:\n"
        '  - {contour: a, count: 3, label: "A{index}", name: "A {index}"}\n'
        '  - {contour: b, count: 4, label: "B{index}", name: "B {index}"}\n',
    )
    write_outlines(tmp_path, {GRAZ_NAME: WRIST[:7]})
    assert len(read_dataset(f"graz:{tmp_path}", protocol).protocol) == 7


def test_wrong_order_of_points_is_refused(tmp_path: Path) -> None:
    names = [f"{number:04d}_1_WRI-L1" for number in range(6)]
    write_outlines(tmp_path, dict.fromkeys(names, WRIST[::-1]))
    with pytest.raises(DataError, match=r"6 of 6 labels break the rules .* the order of the points is not"):
        read_dataset(f"graz:{tmp_path}")
