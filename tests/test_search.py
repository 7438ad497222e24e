"""The search of loss weights: what it recommends, and that it goes on as if it had never been cut off."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tiny
from landmarklabel import cli
from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.search import (
    WEIGHTS,
    SearchResult,
    SearchTrial,
    compromise,
    pareto_front,
    plot_search,
    search,
)
from landmarklabel.errors import ConfigError, ModelError
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.segmenting import segment

SCORES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(SCORES)
def test_the_front_is_what_no_other_beats(scores: list[tuple[int, int]]) -> None:
    dsc, mre = zip(*scores, strict=True)
    beaten = [any(d >= own and m <= err and (d, m) != (own, err) for d, m in scores) for own, err in scores]
    front = pareto_front(dsc, mre)
    assert sorted(front) == [place for place, worse in enumerate(beaten) if not worse]
    assert [dsc[place] for place in front] == sorted(dsc[place] for place in front)


@given(SCORES, st.sampled_from([0.125, 2.0, 64.0]))
def test_the_recommended_trial_does_not_depend_on_units(scores: list[tuple[int, int]], factor: float) -> None:
    """It is on the front; mm in place of pixels, or per cent in place of parts, choose the same trial."""
    dsc, mre = (np.array(values, dtype=float) for values in zip(*scores, strict=True))
    chosen = compromise(dsc, mre)
    assert chosen in pareto_front(dsc, mre)
    assert compromise(dsc, mre * factor) == compromise(dsc * factor, mre) == chosen


def test_the_recommended_trial_by_hand() -> None:
    """Of three on the front the middle one, 0.2 and 0.25 of the ranges from the ideal; a bad one moves nothing."""
    dsc, mre = [0.80, 0.88, 0.90, 0.10], [2.0, 2.5, 4.0, 90.0]
    assert compromise(dsc, mre) == 1
    assert compromise([0.9], [3.0]) == 0
    assert compromise([0.9, 0.9], [3.0, 3.0]) == 0, "of equal ones the first"
    assert compromise([0.5, 0.9], [9.0, 3.0]) == 1, "one that beats all"


def test_the_picture(tmp_path: Path) -> None:
    trials = tuple(
        SearchTrial(number, dict.fromkeys(WEIGHTS, 0.5), dsc, mre, 1)
        for number, (dsc, mre) in enumerate([(0.8, 2.0), (0.9, 3.0), (0.7, 4.0)])
    )
    found = SearchResult(trials, {}, (0, 1), trials[0], tiny.denseseg_config(), "mm")
    plot_search(found, tmp_path / "pareto.png")
    assert Image.open(tmp_path / "pareto.png").format == "PNG"


def test_what_can_not_be_searched(
    tmp_path: Path, triangle: Protocol, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.dataset(tmp_path / "data", triangle, 4)
    with pytest.raises(ConfigError, match="those of denseseg; this run trains unet"):
        search(tiny.config(), data, tmp_path / "out", 1)
    with pytest.raises(ModelError, match="there is no device 'fast'"):
        search(tiny.denseseg_config(), data, tmp_path / "out", 1, device="fast")
    studies = tiny.write_studies(tmp_path / "studies", triangle, 3)
    (tmp_path / "triangle.yaml").write_text(yaml.safe_dump(triangle.model_dump(mode="json")))
    options = ("--data", f"studies:{studies}", "--protocol", tmp_path / "triangle.yaml")
    out = tmp_path / "damaged"
    out.mkdir()
    (out / "search.db").write_text("not a data base, but some text that is long enough")
    assert "can't be read as a search" in fails(
        "search", "denseseg_light", *options, "--out", out, "--trials", 1, "--device", "cpu"
    )
    monkeypatch.setitem(sys.modules, "optuna", None)  # as Python does for a package that is not there
    sentence = fails("search", "denseseg_light", *options, "--out", tmp_path / "s", "--trials", 1, "--device", "cpu")
    assert sentence == "Optuna is not installed; install landmarklabel[search]"


@pytest.fixture
def data(tmp_path: Path, triangle: Protocol) -> LandmarkDataset:
    """Eight images to search by, and two of a test split whose files are gone: nobody may look at them."""
    full = tiny.dataset(tmp_path / "data", triangle, 10)
    for case in full.cases[8:]:
        case.image.unlink()
    cases = (replace(case, split="test" if index > 7 else "train") for index, case in enumerate(full.cases))
    return replace(full, cases=tuple(cases))


@pytest.mark.slow
def test_a_search_that_is_resumed_is_the_one_that_was_not(tmp_path: Path, data: LandmarkDataset) -> None:
    """Stopped after two of three trials, and then in the middle of the third, as by Ctrl-C."""
    config = tiny.denseseg_config(test_on="test", validation={"fraction": 0.25, "pictures": 0})
    whole = search(config, data, tmp_path / "whole", 3, seed=5, epochs=1, device="cpu")
    first = search(config, data, tmp_path / "parts", 2, seed=5, epochs=1, device="cpu")
    assert len(first.trials) == 2

    import optuna

    study = optuna.load_study(study_name="loss weights", storage=f"sqlite:///{tmp_path / 'parts' / 'search.db'}")
    study.ask()  # begun, never told
    seen: list[int] = []
    resumed = search(
        config, data, tmp_path / "parts", 3, seed=5, epochs=1, device="cpu", on_trial=lambda t: seen.append(t.number)
    )
    assert seen == [2]
    assert resumed == whole
    assert len({tuple(trial.weights.values()) for trial in whole.trials}) == 3
    assert all(0 <= value <= 1 for trial in whole.trials for value in trial.weights.values())
    other = search(config, data, tmp_path / "other", 1, seed=6, epochs=1, device="cpu")
    assert other.trials[0].weights != whole.trials[0].weights

    report = json.loads((tmp_path / "parts" / "search.json").read_text())
    assert [trial["number"] for trial in report["trials"]] == [0, 1, 2]
    assert report["validation_images"] == 2
    assert report["recommended"]["number"] == whole.recommended.number
    assert Image.open(tmp_path / "parts" / "pareto.png").format == "PNG"
    best = load_experiment(tmp_path / "parts" / "best.yaml")
    assert best == resumed.config
    assert best.epochs == config.epochs, "those of the run, not of the trials"
    assert {name: getattr(best.dense, name) for name in WEIGHTS} == whole.recommended.weights

    # Figures are those of the models that the trials have left.
    number = whole.recommended.number
    predictor = Predictor.load(tmp_path / "whole" / "trials" / f"{number:03d}" / "model.safetensors", "cpu")
    held_out = json.loads((tmp_path / "whole" / "trials" / f"{number:03d}" / "data.json").read_text())["validation"]
    overlaps, errors = [], []
    for case in data.subset(held_out).cases:
        predictor.set_image(case.radiograph())
        assert case.points is not None
        true, found = predictor.readout.regions.masks(case.points, tiny.SIZE), segment(predictor).masks  # type: ignore[attr-defined]
        overlaps.append(2 * (true & found).sum() / (true.sum() + found.sum()))
        errors.append(np.linalg.norm(predictor.predict().landmarks.points - case.points, axis=1).mean())
    assert whole.recommended.dsc == pytest.approx(np.mean(overlaps))
    assert whole.recommended.mre == pytest.approx(np.mean(errors), abs=1e-3)


@pytest.mark.slow
def test_a_search_on_the_command_line(
    tmp_path: Path, triangle: Protocol, triangle_file: Path, fails: Callable[..., str]
) -> None:
    """Its best.yaml is an experiment; a folder is for one search."""
    studies, config = tiny.write_studies(tmp_path / "studies", triangle, 6), tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny.denseseg_config().model_dump(mode="json")))
    source = ["--data", f"studies:{studies}", "--protocol", str(triangle_file), "--device", "cpu"]
    options = [*source, "--out", str(tmp_path / "s"), "--trials", "1", "--epochs", "1"]
    cli.app(["search", str(config), *options], standalone_mode=False)
    best = tmp_path / "s" / "best.yaml"
    cli.app(["train", str(best), *source, "--out", str(tmp_path / "run"), "--set", "epochs=1"], standalone_mode=False)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert "holds a search with another seed" in fails("search", config, *options, "--seed", 1)
    assert "holds a search with another configuration" in fails("search", config, *options, "--set", "batch_size=1")
    assert "holds a search with another data set" in fails(
        "search", config, *options[2:], "--data", f"studies:{tiny.write_studies(tmp_path / 'more', triangle, 7)}"
    )
