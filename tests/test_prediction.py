"""Predictor, evaluation and the command line, with a real model trained in seconds."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from PIL import Image

import tiny
from landmarklabel import cli
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.evaluation_report import leaked
from landmarklabel.engine.trainer import train
from landmarklabel.errors import DataError
from landmarklabel.heatmaps import DecoderConfig
from landmarklabel.io import read_radiograph
from landmarklabel.io.dataset import LandmarkDataset, read_dataset
from landmarklabel.landmarks import Status
from landmarklabel.markups import read_markups
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Radiograph


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    folder = tmp_path_factory.mktemp("model")
    data = tiny.dataset(folder / "images", triangle, 24)
    return train(tiny.config(), data, folder / "run", device="cpu", quiet=True).model


@pytest.fixture
def unseen(tmp_path: Path, triangle: Protocol) -> LandmarkDataset:
    """Images that the model has never seen."""
    data = tiny.dataset(tmp_path / "unseen", triangle, 34)
    return data.subset([case.id for case in data.cases[24:]])


def test_landmarks_of_images_it_has_not_seen(model: Path, unseen: LandmarkDataset) -> None:
    evaluation = evaluate(Predictor.load(model, "cpu"), unseen.cases)
    assert evaluation.unit == "px"
    summary = evaluation.summary()
    assert summary.median < 0.5
    assert summary.sdr[1.0] > 80


def test_one_image_and_a_batch_give_the_same(model: Path, unseen: LandmarkDataset) -> None:
    predictor = Predictor.load(model, "cpu")
    radiographs = [case.radiograph() for case in unseen.cases[:5]]
    together = list(predictor.predict_all(radiographs, batch_size=3))
    for radiograph, batched in zip(radiographs, together, strict=True):
        predictor.set_image(radiograph)
        alone = predictor.predict()
        assert np.allclose(alone.landmarks.points, batched.points, atol=1e-3)
        assert set(alone.landmarks.status) == {Status.PREDICTED}
        assert ((alone.landmarks.confidence > 0) & (alone.landmarks.confidence <= 1)).all()
        assert alone.timings.keys() == {"preprocess", "network", "decode"}
        assert alone.landmarks.provenance["version"] == read_header(model).version


def test_points_are_in_pixels_of_the_original_image(model: Path, unseen: LandmarkDataset) -> None:
    """The same picture enlarged three times gives the same landmarks, three times as far apart."""
    predictor = Predictor.load(model, "cpu")
    radiograph = unseen.cases[0].radiograph()
    predictor.set_image(radiograph)
    small = predictor.predict().landmarks.points
    predictor.set_image(Radiograph.from_array(np.kron(radiograph.pixels, np.ones((3, 3), np.uint8))))
    large = predictor.predict().landmarks.points
    assert np.abs((large + 0.5) / 3 - 0.5 - small).max() < 0.1


def test_depth_and_brightness_do_not_matter(model: Path, unseen: LandmarkDataset) -> None:
    predictor = Predictor.load(model, "cpu")
    radiograph = unseen.cases[0].radiograph()
    predictor.set_image(radiograph)
    expected = predictor.predict().landmarks.points
    predictor.set_image(Radiograph.from_array(radiograph.pixels.astype(np.int16) * 12 - 700))
    assert np.allclose(predictor.predict().landmarks.points, expected, atol=0.01)


def test_a_predictor_without_an_image_says_so(model: Path) -> None:
    with pytest.raises(RuntimeError, match="call set_image before predict"):
        Predictor.load(model, "cpu").predict()


def test_the_decoder_can_be_changed(model: Path, unseen: LandmarkDataset) -> None:
    whole = evaluate(Predictor.load(model, "cpu", DecoderConfig(method="maximum")), unseen.cases)
    assert np.allclose(whole.predicted, np.rint(whole.predicted), atol=1e-6)


def test_spacing_turns_errors_into_mm(model: Path, unseen: LandmarkDataset, tmp_path: Path) -> None:
    in_pixels = evaluate(Predictor.load(model, "cpu"), unseen.cases)
    for case in unseen.cases:
        image = sitk.ReadImage(str(case.image))
        image.SetSpacing((0.5, 0.5))
        sitk.WriteImage(image, str(tmp_path / f"{case.id}.nrrd"))
    moved = [type(case)(case.id, tmp_path / f"{case.id}.nrrd", case.points) for case in unseen.cases]
    in_mm = evaluate(Predictor.load(model, "cpu"), moved)
    assert in_mm.unit == "mm"
    assert np.allclose(in_mm.errors, in_pixels.errors / 2, atol=1e-3)


def test_some_of_the_images_are_in_the_unit_of_all(model: Path, unseen: LandmarkDataset) -> None:
    """Else those that the model has not seen stood in mm below all of them in pixels."""
    known = [replace(case, spacing=(0.5, 0.5)) for case in unseen.cases[:2]]
    evaluation = evaluate(Predictor.load(model, "cpu"), [*known, unseen.cases[2]])
    assert evaluation.unit == "px"
    some = evaluation.subset([True, True, False])
    assert some.unit == some.subset([True, False]).unit == "px"
    np.testing.assert_array_equal(some.errors, evaluation.errors[:2])
    assert evaluate(Predictor.load(model, "cpu"), known).subset([True, False]).unit == "mm"


def test_leaked_images_are_told_apart(model: Path, unseen: LandmarkDataset, tmp_path: Path, triangle: Protocol) -> None:
    """By patient: a repeated picture counts as the patient's, whatever its own name."""
    seen = tiny.dataset(tmp_path / "seen", triangle, 2).cases[0]
    repeated = type(seen)("another_name", seen.image, seen.points, patient=seen.patient)
    cases = (unseen.cases[0], seen, repeated)
    assert leaked(cases, read_header(model)).tolist() == [False, True, True]


def test_nothing_to_evaluate(model: Path) -> None:
    with pytest.raises(DataError, match="no labelled image to evaluate on"):
        evaluate(Predictor.load(model, "cpu"), [])


# The command line --------------------------------------------------------------------------------------------


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "landmarklabel.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]


def succeeds(*arguments: object) -> None:
    cli.app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.slow
def test_a_whole_day_on_the_command_line(tmp_path: Path, triangle: Protocol, triangle_file: Path) -> None:
    """Train, resume (nothing left to do), evaluate, predict."""
    studies = tiny.write_studies(tmp_path / "studies", triangle, 28, labelled=24)
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny.config().model_dump(mode="json")))
    source = ["--data", f"studies:{studies}", "--protocol", triangle_file]
    training = run("train", config, *source, "--out", tmp_path / "run", "--device", "cpu")
    assert training.returncode == 0, training.stderr
    assert "best epoch" in training.stdout
    again = run("train", config, *source, "--out", tmp_path / "run", "--device", "cpu")
    assert again.stdout == training.stdout

    model = tmp_path / "run" / "model.safetensors"
    outputs = ["--json", tmp_path / "e.json", "--csv", tmp_path / "e.csv", "--plot", tmp_path / "e.png"]
    evaluation = run("evaluate", model, *source, *outputs)
    assert evaluation.returncode == 0, evaluation.stderr
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["images"] == 24
    assert figures["overall"]["median"] < 0.5
    assert set(figures["by_landmark"]) == {"left", "right", "top"}
    assert figures["data"]["fingerprint"] == read_dataset(f"studies:{studies}", triangle_file).fingerprint
    assert figures["without_leaked"]["images"] == 0
    with (tmp_path / "e.csv").open() as file:
        rows = list(csv.DictReader(file))
    errors = [float(row["error_px"]) for row in rows]
    assert len(rows) == 72
    assert np.mean(errors) == pytest.approx(figures["overall"]["mre"], abs=1e-3)
    assert Image.open(tmp_path / "e.png").size[0] > 800

    images = [studies / "image_026.png", studies / "image_027.png"]
    prediction = run("predict", model, *images, "--out", tmp_path / "out", "--overlay")
    assert prediction.returncode == 0, prediction.stderr
    for seed, image in zip((26, 27), images, strict=True):
        geometry = read_radiograph(image).geometry
        landmarks = read_markups(tmp_path / "out" / f"{image.stem}.mrk.json", triangle, geometry)
        assert np.median(np.abs(landmarks.points - tiny.triangle_image(seed)[1])) < 1
        assert (tmp_path / "out" / f"{image.stem}.overlay.png").exists()


@pytest.mark.slow
def test_predict_goes_on_after_a_bad_image(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("no image")
    Image.fromarray(tiny.triangle_image(1)[0]).save(tmp_path / "in" / "b.png")
    result = run("predict", model, tmp_path / "in", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert result.stderr.startswith("error: a.png is a text file; expected a radiograph")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mrk.json"]


def test_mistakes_on_the_command_line(
    model: Path, tmp_path: Path, triangle_file: Path, fails: Callable[..., str]
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model.read_bytes()[:-100])
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there is no protocol 'skull'" in fails("protocols", "skull")
    assert "is damaged" in fails("predict", damaged, tmp_path, "--out", tmp_path / "o")
    assert "there is no model file" in fails("evaluate", tmp_path / "no.safetensors", "--data", "studies:.")
    assert "holds no images" in fails("predict", model, empty, "--out", tmp_path / "o")
    assert "there is no experiment 'best'" in fails("train", "best", "--data", "aasce:.", "--out", tmp_path / "o")
    assert "expected KEY=VALUE" in fails(
        "train", "farnet_light", "--data", "aasce:.", "--out", tmp_path / "o", "--set", "epochs"
    )
    assert "'dicomweb' is not a known layout" in fails(
        "train", "farnet_light", "--data", "dicomweb:x", "--out", tmp_path / "o"
    )
    assert "there are no phantoms for 'hand_37'" in fails("phantom", "hand_37", "--out", tmp_path / "o")
    assert "expected WIDTHxHEIGHT" in fails("phantom", "spine_68", "--out", tmp_path / "o", "--size", "big")
    assert "expected the folder RawImage there" in fails("import", "isbi2015", empty, tmp_path / "s")
    assert "--decoder, method: got 'best'" in fails(
        "evaluate", model, "--data", f"studies:{empty}", "--protocol", triangle_file, "--decoder", "best"
    )
    assert "there is no studies folder" in fails("serve", tmp_path / "none", "--protocol", "spine_68")


def test_predictions_never_replace_an_image(model: Path, tmp_path: Path) -> None:
    """Not even when they go into the folder of the images, with pictures."""
    picture = tmp_path / "knee.png"
    Image.fromarray(tiny.triangle_image(50)[0]).save(picture)
    before = picture.read_bytes()
    succeeds("predict", model, tmp_path, "--out", tmp_path, "--overlay")
    assert picture.read_bytes() == before
    assert Image.open(tmp_path / "knee.overlay.png").mode == "RGB"


def test_two_images_of_one_id_are_refused(model: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(tiny.triangle_image(50)[0]).save(tmp_path / folder / "001.png")
    out = tmp_path / "out"
    assert "two images have the id '001'" in fails("predict", model, tmp_path / "a", tmp_path / "b", "--out", out)
    assert not list(out.glob("*.json"))


def strict(path: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content: dict = json.loads(path.read_text(), parse_constant=refuse)
    return content


def test_evaluating_a_model_of_ones_own_protocol(
    model: Path, tmp_path: Path, triangle: Protocol, fails: Callable[..., str]
) -> None:
    """The protocol is in the model; figures that can't be had are null; another protocol is refused before the work."""
    studies, out = tiny.write_studies(tmp_path / "studies", triangle, 3), tmp_path / "figures.json"
    succeeds("evaluate", model, "--data", f"studies:{studies}", "--json", out)
    assert strict(out)["images"] == 3
    reordered = triangle.model_dump(mode="json")
    reordered["landmarks"] = reordered["landmarks"][::-1]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(reordered))
    options = ("evaluate", model, "--data", f"studies:{studies}")
    assert "not for triangle (3 landmarks), whose labels or their order differ" in fails(
        *options, "--protocol", tmp_path / "other.yaml"
    )
    assert "there is no folder" in fails(*options, "--json", tmp_path / "none" / "x.json")
    assert "is a folder; expected the name of a file" in fails(*options, "--plot", tmp_path)
    assert "there is no device 'fast'" in fails(*options, "--device", "fast")


def test_a_model_of_a_split_is_evaluated_on_other_data(tmp_path: Path, triangle: Protocol) -> None:
    """The split that its configuration tests on is one of its own data set."""
    data = tiny.dataset(tmp_path / "images", triangle, 8)
    cases = tuple(replace(case, split="left" if index else "right") for index, case in enumerate(data.cases))
    config = tiny.config(epochs=1, train_on="left", test_on="right")
    trained = train(config, replace(data, cases=cases), tmp_path / "run", device="cpu", quiet=True).model
    studies = tiny.write_studies(tmp_path / "studies", triangle, 3)
    succeeds("evaluate", trained, "--data", f"studies:{studies}", "--csv", tmp_path / "errors.csv")
    assert len((tmp_path / "errors.csv").read_text().splitlines()) == 1 + 3 * 3


def test_output_that_can_not_be_made(model: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for command in (
        ("phantom", "spine_68", "-n", 1, "--size", "64x64", "--out", file),
        ("predict", model, tmp_path, "--out", file / "below"),
        ("train", "farnet_light", "--data", f"studies:{tmp_path}", "--protocol", "spine_68", "--out", 300 * "x"),
    ):
        assert len(fails(*command).splitlines()) == 1
    assert file.read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["protocols", "phantom", "import", "train", "evaluate", "predict", "carry", "search", "serve"]
)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run(command, "--help", env={**os.environ, "COLUMNS": "200", "TERM": "dumb"})
    assert result.returncode == 0
    assert f"Example: landmarklabel {command} " in result.stdout


@pytest.mark.slow
def test_listing_protocols_is_quick_to_load() -> None:
    """Without PyTorch: a user waits for nothing."""
    code = "import sys; import landmarklabel.cli; import landmarklabel.protocol; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    assert "cephalometric_19" in run("protocols").stdout
    assert "Sella" in run("protocols", "cephalometric_19").stdout


@pytest.mark.slow
def test_phantoms_become_studies(tmp_path: Path) -> None:
    result = run(
        "phantom",
        "spine_68",
        "-n",
        3,
        "--seed",
        5,
        "--size",
        "96x224",
        "--dicom",
        1,
        "--unlabelled",
        1,
        "--out",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    dataset = read_dataset(f"studies:{tmp_path}", "spine_68")
    assert [case.image.suffix for case in dataset.cases] == [".dcm", ".nrrd", ".nrrd"]
    assert [case.points is not None for case in dataset.cases] == [True, True, False]
    assert dataset.suspicious == {}
    assert all(case.radiograph().spacing_known for case in dataset.cases)
    protocol = load_protocol("spine_68")
    assert dataset.cases[0].points is not None
    assert dataset.cases[0].points.shape == (len(protocol), 2)
