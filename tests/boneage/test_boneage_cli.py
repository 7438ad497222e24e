"""``landmarklabel bone-age``: from a CSV of ages to ages of landmarks, and one sentence for what is wrong."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_bones import PROTOCOL, SIZE, SPACING, YOUNGEST, children, finger, write_label

from landmarklabel import cli
from landmarklabel.boneage import load_bone_age, predict_labels
from landmarklabel.boneage.modelfile import BoneAgeModel
from landmarklabel.boneage.prediction import estimate_one
from landmarklabel.errors import DataError, LabelError, NotFoundError
from landmarklabel.io.writing import write_nrrd
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import write_markups
from landmarklabel.radiograph import Geometry, Radiograph

Fails = Callable[..., str]
GROUP = children(3, seed=21)
NAME, MONTHS, POINTS = GROUP[0]
SETTINGS = "class_months: 12\nmembers: 2\nepochs: 60\n"


def succeeds(*arguments: object) -> None:
    cli.app(["bone-age", *map(str, arguments)], standalone_mode=False)


def _image(known: bool = True) -> Radiograph:
    return Radiograph.from_array(np.zeros(SIZE[::-1], dtype=np.uint8), SPACING if known else None)


@pytest.fixture(scope="module")
def protocol_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "finger.yaml"
    path.write_text(PROTOCOL.model_dump_json())  # JSON is YAML
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Three children's landmarks, of images of 0.5 mm a pixel."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for name, _, points in GROUP:
        write_label(folder / f"{name}.mrk.json", points, _image())
    return folder


@pytest.mark.slow
def test_from_ages_to_ages(
    tmp_path: Path, studies: Path, protocol_file: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on labels and predictions of 100 children, three unseen ones are told by their landmarks alone."""
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for name, _, points in children(100, seed=3):
        write_label(predictions / f"{name}.mrk.json", points + 0.1, _image())
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    ages, model, table = studies.with_suffix(".csv"), tmp_path / "age.safetensors", tmp_path / "out.csv"
    succeeds(
        "train", "--ages", ages, "--data", f"studies:{studies}", "--protocol", protocol_file,
        "--predictions", predictions, "--config", tmp_path / "settings.yaml", "--seed", 7, "--out", model,
    )  # fmt: skip
    header = load_bone_age(model).header
    assert (header.unit, header.config.members, header.config.seed) == ("mm", 2, 7)
    assert header.data["images"] + header.metrics["val_images"] == 100
    assert header.data["landmark_sets"] == 2 * header.data["images"]
    assert header.metrics["val_mae"] < 0.6 * header.metrics["val_mae_mean_age"]
    assert f"MAE {header.metrics['val_mae']:.1f} months" in capsys.readouterr().out

    true = tmp_path / "true.csv"
    true.write_text("id,age_months\nnobody,3\n" + "".join(f"{name},{months}\n" for name, months, _ in GROUP))
    succeeds("predict", model, labels, "--csv", table, "--ages", true)
    said = capsys.readouterr().out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["id"] for row in rows] == [name for name, _, _ in GROUP]
    errors = [abs(float(row["age_months"]) - months) for row, (_, months, _) in zip(rows, GROUP, strict=True)]
    assert f"3 images: MAE {np.mean(errors):.1f} months" in said
    told = dict(re.findall(r"^(\S+): ([\d.]+) months", said, re.MULTILINE))
    assert list(told) == [row["id"] for row in rows]
    for row in rows:  # each rounded in its own way
        assert float(told[row["id"]]) == pytest.approx(float(row["age_months"]), abs=0.056)


def test_labels_alone_and_with_their_images_say_the_same(model: BoneAgeModel, labels: Path, tmp_path: Path) -> None:
    """Also where the image lies elsewhere in the world."""
    images = tmp_path / "images"
    images.mkdir()
    for name, _, _ in GROUP:
        write_nrrd(_image(), images / f"{name}.nrrd")
    alone = [answer for _, answer in predict_labels(model, [labels])]
    within = [answer for _, answer in predict_labels(model, sorted(labels.iterdir()), images)]
    for (name, _, points), one, other in zip(GROUP, alone, within, strict=True):
        assert not isinstance(one, str)
        assert not isinstance(other, str)
        assert one.id == other.id == name
        assert one.months == pytest.approx(other.months, abs=1e-3)
        assert one.months == pytest.approx(float(model.ensemble.estimate(points[None]).months[0]), abs=1e-3)


def test_a_spacing_that_the_image_does_not_say(model: BoneAgeModel, tmp_path: Path) -> None:
    label, images = tmp_path / f"{NAME}.mrk.json", tmp_path / "images"
    images.mkdir()
    write_nrrd(_image(known=False), images / f"{NAME}.nrrd")
    write_label(label, POINTS, _image(known=False))
    [(_, answer)] = predict_labels(model, [label], images)
    assert answer == f"{NAME}.nrrd: unknown spacing, and the model takes mm; give the mm a pixel (--spacing)"
    expected = estimate_one(model, NAME, POINTS).months
    for folder in (images, None):
        [(_, answer)] = predict_labels(model, [label], folder, spacing=0.5)
        assert not isinstance(answer, str)
        assert answer.months == pytest.approx(expected, abs=1e-3)


def test_an_image_turned_in_the_world_needs_to_be_named(model: BoneAgeModel, tmp_path: Path) -> None:
    """Its labels are not in the plane of x and y; with the image they are what they were."""
    geometry = Geometry(SIZE, SPACING, (0, 0, 7), (1.0, 0, 0, 0, 0, 1.0, 0, -1.0, 0))
    radiograph = Radiograph(np.zeros(SIZE[::-1], dtype=np.uint8), geometry)
    (tmp_path / "images").mkdir()
    write_nrrd(radiograph, tmp_path / "images" / f"{NAME}.nrrd")
    label = tmp_path / f"{NAME}.mrk.json"
    write_markups(LandmarkSet.from_points(PROTOCOL, POINTS / SPACING), geometry, label)
    [(_, answer)] = predict_labels(model, [label])
    assert answer == f"{label.name}: does not lie in the plane of x and y; name its image (--images)"
    [(_, answer)] = predict_labels(model, [label], tmp_path / "images", spacing=0.5)
    assert not isinstance(answer, str)
    assert answer.months == pytest.approx(estimate_one(model, NAME, POINTS).months, abs=1e-3)


def test_bones_of_another_size_are_no_ages(model: BoneAgeModel) -> None:
    with pytest.raises(LabelError, match=r"x: the bones are .* times as large .* expected landmarks in mm"):
        estimate_one(model, "x", 10 * POINTS)
    with pytest.raises(LabelError, match=r"x: the bones are 0\.0.* times as large"):
        estimate_one(model, "x", 0.05 * POINTS)
    with pytest.raises(LabelError, match=r"x: no bone has two landmarks; expected those of shaft, epiphysis, carpal"):
        estimate_one(model, "x", np.full((36, 2), np.nan))


def test_what_is_to_be_known_about_an_answer(model: BoneAgeModel) -> None:
    """At the ends of training the age may lie beyond; a bone absent that every training image had is said."""
    rng = np.random.default_rng(0)
    grown, child = finger(300, rng, noise=0), finger(YOUNGEST, rng, noise=0)
    end = model.header.classes.end
    assert estimate_one(model, "x", grown).notes == (f"may be older: trained on 24 to {end:g} months",)
    assert not any("may be older" in note for note in estimate_one(model, "x", child).notes)
    middle = finger(110, rng, noise=0)
    assert estimate_one(model, "x", middle).notes == ()
    middle[:16] = np.nan
    assert "without shaft, which every training image had" in estimate_one(model, "x", middle).notes
    assert not any("carpal" in note for note in estimate_one(model, "x", child).notes)


def test_a_model_in_pixels_takes_pixels(model: BoneAgeModel, labels: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write_nrrd(_image(), images / f"{NAME}.nrrd")
    in_pixels = BoneAgeModel(model.ensemble, model.header.model_copy(update={"unit": "px"}))
    [(_, answer)] = predict_labels(in_pixels, [labels / f"{NAME}.mrk.json"], images)
    assert not isinstance(answer, str)
    assert answer.months == pytest.approx(estimate_one(model, NAME, POINTS / SPACING).months, abs=1e-3)
    with pytest.raises(DataError, match="the model takes pixels, .* give no spacing"):
        list(predict_labels(in_pixels, [labels], spacing=0.5))


def test_one_bad_file_does_not_stop_the_rest(
    model_file: Path, labels: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    (labels / "a.mrk.json").write_text("{")
    table = tmp_path / "out.csv"
    with pytest.raises(SystemExit) as ended:
        cli.main(["bone-age", "predict", str(model_file), str(labels), "--csv", str(table)])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: a.mrk.json: not JSON")
    assert said.err.count("error: ") == 1
    assert len(said.out.splitlines()) == 3
    assert len(table.read_text().splitlines()) == 4


def test_labels_of_another_protocol(model_file: Path, labels: Path, fails: Fails) -> None:
    path = labels / f"{NAME}.mrk.json"
    path.write_text(path.read_text().replace("carpal01", "thumb01"))
    assert "thumb01: not a landmark of finger" in fails("bone-age", "predict", model_file, path)


def test_predict_says_what_is_wrong(model_file: Path, labels: Path, tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "ages.csv").write_text("id,age_months\nnobody,3\n")
    predict = ("bone-age", "predict")
    assert "there is no model file gone" in fails(*predict, tmp_path / "gone", labels)
    assert "holds no landmark files" in fails(*predict, model_file, tmp_path / "empty")
    assert "gone: no such file; expected landmarks" in fails(*predict, model_file, tmp_path / "gone")
    assert "gone: no such folder" in fails(*predict, model_file, labels, "--images", tmp_path / "gone")
    one = labels / f"{NAME}.mrk.json"
    assert f"there is no image '{NAME}'" in fails(*predict, model_file, one, "--images", tmp_path / "empty")
    assert "a spacing of -1 mm" in fails(*predict, model_file, labels, "--spacing", -1)
    assert "there is no folder" in fails(*predict, model_file, labels, "--csv", tmp_path / "gone" / "out.csv")
    assert f"--ages: none of the ids of these labels ({NAME}, " in fails(
        *predict, model_file, labels, "--ages", tmp_path / "ages.csv"
    )


def test_train_says_what_is_wrong(studies: Path, protocol_file: Path, tmp_path: Path, fails: Fails) -> None:
    ages, out = tmp_path / "ages.csv", tmp_path / "age.safetensors"
    ages.write_text("id,age_months\nnobody,3\n")
    settings = tmp_path / "settings.yaml"
    settings.write_text("epoch: 3\n")
    common = ("bone-age", "train", "--data", f"studies:{studies}", "--protocol", protocol_file, "--ages")
    assert "no such file" in fails(*common, tmp_path / "gone.csv", "--out", out)
    assert "there is no folder" in fails(*common, ages, "--out", tmp_path / "gone" / "age")
    assert "1 ids with an age are not in the data (nobody)" in fails(*common, ages, "--out", out)
    assert "settings.yaml" in fails(*common, ages, "--out", out, "--config", settings)
    assert not out.exists()


def test_no_such_file_is_an_error_of_the_library_too(model: BoneAgeModel, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gone: no such file"):
        list(predict_labels(model, [tmp_path / "gone"]))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "predict"])
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "landmarklabel.cli", "bone-age", command, "--help"],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
    )  # fmt: skip
    assert result.returncode == 0
    assert f"Example: landmarklabel bone-age {command} " in result.stdout
