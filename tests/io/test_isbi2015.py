from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_folders import plausible_points, write_image, write_isbi2015, write_text

from landmarklabel.errors import DataError
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.layouts import isbi2015
from landmarklabel.protocol import load_protocol

SENIOR = np.round(plausible_points("cephalometric_19", (600, 720)))
JUNIOR = SENIOR + np.array([3.0, -1.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = {"TrainingData": ["001.bmp", "002.JPG"], "Test1Data": ["275.png"], "Test2Data": ["301.tif"]}
    numbers = ("001", "002", "275", "301", "400")
    labels = {"senior": dict.fromkeys(numbers, SENIOR), "junior": dict.fromkeys(numbers, JUNIOR)}
    return write_isbi2015(tmp_path / "isbi", images, labels, size=(600, 720))


def test_ids_splits_and_files(folder: Path) -> None:
    cases = read_dataset(f"isbi2015:{folder}").cases
    assert [(case.id, case.split, case.image.name) for case in cases] == [
        ("001", "train", "001.bmp"),
        ("002", "train", "002.JPG"),
        ("275", "test1", "275.png"),
        ("301", "test2", "301.tif"),
    ]


def test_other_pictures_in_the_folder_are_no_cases(folder: Path) -> None:
    write_image(folder / "RawImage" / "TrainingData" / "overview.png", (4, 4))
    assert [case.id for case in read_dataset(f"isbi2015:{folder}").cases] == ["001", "002", "275", "301"]


def test_points_are_the_mean_of_both_readers_and_both_are_kept(folder: Path) -> None:
    case = read_dataset(f"isbi2015:{folder}").cases[0]
    assert case.points is not None
    np.testing.assert_array_equal(case.points, SENIOR + np.array([1.5, -0.5]))
    np.testing.assert_array_equal(case.extra["senior"], SENIOR)
    np.testing.assert_array_equal(case.extra["junior"], JUNIOR)


@pytest.mark.parametrize(("reader", "expected"), [("senior", SENIOR), ("junior", JUNIOR)])
def test_points_of_one_reader(folder: Path, reader: str, expected: np.ndarray) -> None:
    case = read_dataset(f"isbi2015:{folder}", reader=reader).cases[0]
    np.testing.assert_array_equal(case.points, expected)  # type: ignore[arg-type]


def test_spacing_is_a_tenth_of_a_millimetre_whatever_the_file_says(folder: Path) -> None:
    radiograph = read_dataset(f"isbi2015:{folder}").cases[1].radiograph()
    assert radiograph.spacing == radiograph.geometry.spacing == (0.1, 0.1)
    assert radiograph.spacing_source.value == "given"
    np.testing.assert_allclose(radiograph.geometry.pixel_to_world([10.0, 20.0]), [1.0, 2.0, 0.0])


def test_patient_is_the_number_and_a_repeated_picture_has_that_of_the_first(folder: Path) -> None:
    patients = {case.id: case.patient for case in read_dataset(f"isbi2015:{folder}").cases}
    assert patients == {"001": "001", "002": "002", "275": "001", "301": "301"}


def test_splits_may_be_absent(tmp_path: Path) -> None:
    labels = {"senior": {"151": SENIOR}, "junior": {"151": JUNIOR}}
    folder = write_isbi2015(tmp_path, {"Test1Data": ["151.png"]}, labels, size=(600, 720))
    assert read_dataset(f"isbi2015:{folder}").splits == ("test1",)


def test_image_that_nobody_labelled_has_no_points(tmp_path: Path) -> None:
    labels = {"senior": {"001": SENIOR}, "junior": {"001": JUNIOR}}
    folder = write_isbi2015(tmp_path, {"TrainingData": ["001.png", "002.png"]}, labels, size=(600, 720))
    dataset = read_dataset(f"isbi2015:{folder}")
    assert [case.id for case in dataset.labelled()] == ["001"]
    assert dataset.cases[1].points is None


@pytest.mark.parametrize("missing", ["RawImage", "AnnotationsByMD"])
def test_missing_folder_is_named(folder: Path, missing: str) -> None:
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=f"expected the folder {missing} there .*RawImage/.TrainingData"):
        read_dataset(f"isbi2015:{folder}")


def test_missing_splits_are_named(folder: Path) -> None:
    for name in isbi2015.SPLITS:
        (folder / "RawImage" / name).rename(folder / name)
    with pytest.raises(DataError, match="at least one of the folders TrainingData, Test1Data, Test2Data"):
        read_dataset(f"isbi2015:{folder}")


def test_missing_reader_is_named_and_the_other_can_be_read_alone(folder: Path) -> None:
    (folder / "AnnotationsByMD" / "400_junior").rename(folder / "elsewhere")
    with pytest.raises(DataError, match="expected the folder 400_junior"):
        read_dataset(f"isbi2015:{folder}")
    assert len(read_dataset(f"isbi2015:{folder}", reader="senior").labelled()) == 4


def test_missing_label_of_one_reader_is_named(folder: Path) -> None:
    (folder / "AnnotationsByMD" / "400_junior" / "002.txt").unlink()
    with pytest.raises(DataError, match=r"400_junior/002.txt: no such file, but the senior .* reader='senior'"):
        read_dataset(f"isbi2015:{folder}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1,2\n" * 18, "18 points; expected the 19 of cephalometric_19"),
        ("1,2\n" * 5 + "a,3\n" + "1,2\n" * 20, "line 6: 'a' is not a number"),
        ("1,2\n" * 5 + "1\n" + "1,2\n" * 20, "line 6: '1'; expected x,y"),
        ("1,2\n" * 5 + "inf,1\n" + "1,2\n" * 20, "line 6: 'inf' is not a coordinate"),
        ("", "0 points"),
    ],
)
def test_wrong_label_is_told_by_file_and_line(folder: Path, text: str, sentence: str) -> None:
    write_text(folder / "AnnotationsByMD" / "400_senior" / "001.txt", text)
    with pytest.raises(DataError, match=sentence) as caught:
        read_dataset(f"isbi2015:{folder}")
    assert "001.txt" in str(caught.value)


def test_label_that_is_not_text_is_told(folder: Path) -> None:
    (folder / "AnnotationsByMD" / "400_senior" / "001.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"001.txt: can't be read as text"):
        read_dataset(f"isbi2015:{folder}")


def test_two_formats_of_one_image_are_refused(folder: Path) -> None:
    (folder / "RawImage" / "TrainingData" / "001.png").write_bytes(b"x")
    with pytest.raises(DataError, match="two images have the id '001'"):
        read_dataset(f"isbi2015:{folder}")


def test_same_number_in_two_splits_is_refused(folder: Path) -> None:
    source = folder / "RawImage" / "TrainingData" / "001.bmp"
    (folder / "RawImage" / "Test1Data" / "001.bmp").write_bytes(source.read_bytes())
    with pytest.raises(DataError, match="two images have the id '001'"):
        read_dataset(f"isbi2015:{folder}")


def test_unknown_reader_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="reader 'chief': expected one of mean, senior, junior"):
        isbi2015.read(folder, load_protocol("cephalometric_19"), reader="chief")


def test_repeated_pairs_are_21_of_different_images() -> None:
    numbers = [number for pair in isbi2015.REPEATED_PAIRS for number in pair]
    assert len(isbi2015.REPEATED_PAIRS) == 21
    assert len(set(numbers)) == 42
    assert all(1 <= int(number) <= 300 for number in numbers)
