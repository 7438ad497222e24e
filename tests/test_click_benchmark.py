"""The benchmark of clicks: its plan, its rows, and that an interrupted training goes on as planned."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clicks import data, rows, tables, training
from clicks.methods import DEFAULT, METHODS, PUBLISHED, configuration

import tiny
from landmarklabel.engine.interaction import by_shape, evaluate_clicks
from landmarklabel.errors import ConfigError
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.protocol import Protocol


def test_as_many_epochs_as_fit() -> None:
    cost = training.Cost(before=40, epoch=10)
    assert cost.epochs_within(250) == 20  # 96 % of 250 are 240
    assert cost.epochs_within(249) == 19
    assert cost.epochs_within(1) == 1


@pytest.mark.parametrize("layout", data.FIGURES)
def test_every_method_is_trained_alike(layout: str) -> None:
    """At one size, by one schedule: what differs is the method."""
    for name in METHODS:
        config = configuration(name, layout)
        pixels = config.input.pixels or config.input.height * config.input.width
        assert pixels == configuration(DEFAULT, layout).input.pixels
        assert (config.method, config.batch_size, config.amp) == (name, 4, "bf16")
        assert (config.optimizer.schedule, config.validation.patience) == ("cosine", 0)
        assert getattr(config.network, "pretrained", False) is False
        if config.network.name == "interactive":
            assert config.network.hint_sigma == config.loss.sigma == 7.5 * config.input.height / 512
            assert config.network.backbone == configuration(PUBLISHED, layout).network.backbone
    assert configuration(DEFAULT, layout, {"epochs": 3}).epochs == 3


def test_the_published_recipe_is_the_published_recipe() -> None:
    config = configuration(PUBLISHED, "aasce")
    assert (config.network.gate, config.network.fusion, config.network.previous) == ("max", "stem", "modified")
    assert (config.morphology.criterion, config.morphology.count, config.clicks.rounds) == ("count", 70, 2)
    assert config.clicks.noise == 0


def test_what_is_no_method_or_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no method 'magic'"):
        configuration("magic", "aasce")
    with pytest.raises(ConfigError, match="expected LAYOUT:DIR with a layout of aasce, isbi2015"):
        data.read_parts(f"jsrt:{tmp_path}")


def test_rows_of_what_is_trained() -> None:
    """Networks that take clicks stand for themselves, others for manual revision; files have names of their own."""
    found = rows.rows({DEFAULT: False, PUBLISHED: True}, data.FIGURES["aasce"])
    titles = [row.title for row in found]
    assert titles[:4] == [f"shape of {number} labels, no network" for number in (5, 12, 50, "all")]
    assert titles[4:8] == [f"{DEFAULT}, by hand", PUBLISHED, f"posterior over {DEFAULT}", f"posterior over {PUBLISHED}"]
    assert [row.order for row in found[8:]] == ["model", "random", "oracle"] * 2
    assert [row.noise for row in found[8:]] == [0, 0, 5] * 2
    assert len({row.file_name for row in found}) == len(found)
    assert len(rows.rows({}, data.FIGURES["aasce"])) == 4


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> LandmarkDataset:
    return tiny.dataset(tmp_path_factory.mktemp("benchmark") / "images", triangle, 24)


@pytest.mark.slow
def test_a_training_that_was_interrupted_goes_on(images: LandmarkDataset, tmp_path: Path) -> None:
    """With the epochs that were planned at first, and the time that was spent; one that is over is left alone."""
    config, folder = tiny.config(), tmp_path / "run"
    folder.mkdir()
    plan = {"epochs": 2, "cpu_s": 100.0, "probe": {"before_s": 0, "epoch_s": 1}}
    (folder / "plan.json").write_text(json.dumps(plan))
    content = training.train_within(config, images, folder, 500)
    assert content["epochs"] == 2
    assert content["cpu_s"] > 100
    assert json.loads((folder / "training.json").read_text()) == content
    assert training.train_within(config, images, folder, 9000) == content
    assert rows.models_in(tmp_path) == {"run": False}


@pytest.mark.slow
def test_a_probe_is_of_the_whole(images: LandmarkDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the images costs that part of an epoch."""
    monkeypatch.setattr(training, "_PROBE_STEPS", 4)
    clock = iter([0.0, 5.0, 8.0, 11.0])  # before the probe, and after each of its epochs
    monkeypatch.setattr(training.time, "process_time", lambda: next(clock))
    asked = training.training_and_validation(images, tiny.config())[0]
    cost = training.probe(tiny.config(), images)
    times = len(asked) / (4 * tiny.config().batch_size)
    assert cost.epoch == pytest.approx(3 * times)
    assert cost.before == pytest.approx(2 * times)


@pytest.fixture
def parts(images: LandmarkDataset) -> data.Parts:
    training_part = LandmarkDataset(images.name, images.protocol, images.cases[:16])
    return data.Parts("aasce", training_part, images.cases[16:], frozenset({images.cases[20].id}))


def test_a_row_is_a_mean_over_draws_and_is_kept(parts: data.Parts, tmp_path: Path) -> None:
    row = rows.Row("few", "shape", labels=6)
    content = rows.evaluate_row(row, parts, tmp_path, most=6)
    drawn = [evaluate_clicks(parts.test[:6], by_shape(shape), rows.CLICKS) for shape in rows._shapes(row, parts)]
    assert len(drawn) == rows.DRAWS
    means = np.mean([each.by_clicks.mean(axis=0) for each in drawn], axis=0)
    assert content["refined"]["mre_by_clicks"] == pytest.approx(means, abs=1e-3)
    assert content["without_leaked"]["images"] == 5 * rows.DRAWS
    path = tmp_path / "rows" / "aasce" / "few.json"
    path.write_text(json.dumps({**content, "unit": "kept"}))
    assert rows.evaluate_row(row, parts, tmp_path, most=6)["unit"] == "kept"
    assert rows.evaluate_row(row, parts, tmp_path, most=6, again=True)["unit"] == "px"
    assert rows.evaluate_row(replace(row, labels=7), parts, tmp_path, most=6)["unit"] == "px"


def test_tables_of_results(parts: data.Parts, tmp_path: Path) -> None:
    row = rows.Row("shape of all labels, no network", "shape")
    found = rows.evaluate_row(row, parts, tmp_path)
    run = {"parameters": 7.4e6, "epochs": 3, "best_epoch": 2, "cpu_s": 60.0, "peak_memory_mb": 1.0, "validation_mre": 2}
    content = {
        "unit": "px",
        "data": {"test": 8},
        "training": {"tiny": run},
        "methods": {row.title: found},
        "files": {row.title: row.file_name},
    }
    errors, note, unseen, trained, calibration, propagation = tables.tables(content)
    first = found["refined"]["mre_by_clicks"]
    assert errors.splitlines()[2].startswith(f"| {row.title} | {first[0]:.1f} | {first[1]:.1f} |")
    assert "7 images" in note
    assert len(unseen.splitlines()) == 3
    assert "| tiny | 7.4 M | 3 | 2 | 1 min |" in trained
    assert f"| {found['calibration']['0']['90']:.0f} |" in calibration
    assert "first click" in propagation
    drawn = tables.plot(tmp_path, "aasce", content)
    assert drawn == tmp_path / "clicks_aasce.png"
    assert drawn.stat().st_size > 10_000
