"""A CSV of ages, and its join with landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_bones import PROTOCOL, SIZE, SPACING, children, write_label, write_studies

from landmarklabel.boneage import join, mean_absolute_error, r_squared, read_ages
from landmarklabel.errors import DataError, LabelError
from landmarklabel.io.dataset import read_dataset
from landmarklabel.radiograph import Radiograph

GROUP = children(4)
IDS = [name for name, _, _ in GROUP]
IMAGE = Radiograph.from_array(np.zeros(SIZE[::-1], dtype=np.uint8), SPACING)


def _csv(folder: Path, text: str) -> Path:
    path = folder / "ages.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "id,age_months\n001,132\nb.c,97.5\n",
        "\ufeffAge_Years, ID ,sex\n11,001,F\n8.125,b.c,M\n\n",
        "image,age_months\nscans/001.PNG,132\nC:\\scans\\b.c.nii.gz,97.5\n",
    ],
)
def test_ages_in_months_and_years_by_id_or_image(tmp_path: Path, text: str) -> None:
    assert read_ages(_csv(tmp_path, text)) == {"001": 132, "b.c": 97.5}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no column 'id' among none; expected .* id \\(or image\\) and age_months"),
        ("name,age_months\na,1\n", "no column 'id' among name, age_months; expected"),
        ("id;age_months\na;1\n", "no column 'id' among id;age_months; expected"),
        ("id,age\na,1\n", "no column 'age_months' among id, age; expected"),
        ("id,age_months,age_years\na,12,1\n", "age_months, age_years: one column too many"),
        ("id,id,age_years\na,a,1\n", "id: one column too many"),
        ("id,age_months\n", "no ages; expected a row for each image"),
        ("id,age_months\na,1\na,2\n", "row 3: 'a' has an age already; expected one row for each image"),
        ("image,age_months\na.png,1\nx/a.dcm,2\n", "row 3: 'a' has an age already"),
        ("id,age_months\na,ten\n", "row 2: age_months is 'ten'; expected a number"),
        ("id,age_months\na,\n", "row 2: age_months is ''; expected a number"),
        ("id,age_months\na,-3\n", "row 2: age_months is -3; expected a number from 0 to 1440"),
        ("id,age_months\na,nan\n", "row 2: age_months is nan; expected a number from 0 to 1440"),
        ("id,age_years\na,132\n", "row 2: age_years is 132; expected a number from 0 to 120"),
        ("id,age_months\na\n", "row 2: 1 fields; expected one for each column"),
        ("id,age_months\n,3\n", "row 2: no id; expected the name of an image"),
    ],
)
def test_a_csv_that_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=f"ages.csv.*{sentence}"):
        read_ages(_csv(tmp_path, text))


def test_no_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv: no such file"):
        read_ages(tmp_path / "gone.csv")


def test_landmarks_come_in_mm(tmp_path: Path) -> None:
    """The images have 0.5 mm a pixel; an image without an age, and one without landmarks, don't take part."""
    dataset = read_dataset(f"studies:{write_studies(tmp_path / 'hands', GROUP)}", PROTOCOL)
    (tmp_path / "hands" / "labels" / "final" / f"{IDS[1]}.mrk.json").unlink()
    dataset = read_dataset(f"studies:{tmp_path / 'hands'}", PROTOCOL)
    data = join({name: months for name, months, _ in GROUP[:3]}, dataset)
    assert [image.case.id for image in data.images] == [IDS[0], IDS[2]]
    assert (data.unit, data.left_out, data.without_spacing) == ("mm", {IDS[1]: "no landmarks"}, ())
    for image, (_, months, points) in zip(data.images, GROUP[::2], strict=True):
        np.testing.assert_allclose(image.tested, points, atol=1e-6)
        assert (image.months, image.predicted) == (months, None)


def test_pixels_where_a_spacing_is_unknown(tmp_path: Path) -> None:
    folder = write_studies(tmp_path / "hands", GROUP, known_spacing=False)
    data = join({name: months for name, months, _ in GROUP}, read_dataset(f"studies:{folder}", PROTOCOL))
    assert (data.unit, data.without_spacing) == ("px", tuple(IDS))
    np.testing.assert_allclose(data.images[0].tested, GROUP[0][2] / SPACING, atol=1e-6)


def test_predicted_and_true_landmarks_are_both_taken(tmp_path: Path) -> None:
    """An image with predictions alone takes part, too; it is measured on what was predicted."""
    folder, predictions = write_studies(tmp_path / "hands", GROUP), tmp_path / "predictions"
    (folder / "labels" / "final" / f"{IDS[1]}.mrk.json").unlink()
    predictions.mkdir()
    for name, _, points in GROUP[:2]:
        write_label(predictions / f"{name}.mrk.json", points + 1, IMAGE)
    dataset = read_dataset(f"studies:{folder}", PROTOCOL)
    data = join({name: months for name, months, _ in GROUP}, dataset, predictions)
    assert [len(image.sources) for image in data.images] == [2, 1, 1, 1]
    np.testing.assert_allclose(data.images[0].tested, GROUP[0][2] + 1, atol=1e-6)
    np.testing.assert_allclose(data.images[2].tested, GROUP[2][2], atol=1e-6)


def test_an_age_of_no_image(tmp_path: Path) -> None:
    dataset = read_dataset(f"studies:{write_studies(tmp_path / 'hands', GROUP[:2])}", PROTOCOL)
    with pytest.raises(DataError, match=r"2 ids with an age are not in the data \(x, y\); expected its ids"):
        join({"x": 1, IDS[0]: 50, "y": 2}, dataset)


def test_predictions_that_are_not_there(tmp_path: Path) -> None:
    dataset = read_dataset(f"studies:{write_studies(tmp_path / 'hands', GROUP[:2])}", PROTOCOL)
    with pytest.raises(DataError, match=r"gone: no such folder; expected one of ID.mrk.json"):
        join({IDS[0]: 50}, dataset, tmp_path / "gone")
    with pytest.raises(DataError, match=rf"no ID.mrk.json of an image with an age there, such as {IDS[0]}"):
        join({IDS[0]: 50}, dataset, tmp_path)
    (tmp_path / f"{IDS[0]}.mrk.json").write_text("{}")
    with pytest.raises(LabelError, match=rf"{IDS[0]}.mrk.json: .* not markups JSON"):
        join({IDS[0]: 50}, dataset, tmp_path)


def test_no_landmarks_at_all(tmp_path: Path) -> None:
    folder = write_studies(tmp_path / "hands", GROUP[:2])
    (folder / "labels" / "final" / f"{IDS[0]}.mrk.json").unlink()
    with pytest.raises(DataError, match="none of the 1 images with an age has landmarks"):
        join({IDS[0]: 50}, read_dataset(f"studies:{folder}", PROTOCOL))


def test_figures_by_hand() -> None:
    assert mean_absolute_error([10, 20], [12, 26]) == 4
    assert r_squared([10, 20], [10, 20]) == 1
    assert r_squared([15, 15], [10, 20]) == 0
    assert r_squared([20, 10], [10, 20]) == -3
    assert np.isnan(r_squared([1, 2], [5, 5]))
