"""What the train tasks refuse before they train, and when they publish."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import tiny
from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.engine.data import describe_data, learn_shape, patient_hash, training_and_validation
from landmarklabel.engine.runrecord import RECORD
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.errors import ConfigError, DataError
from landmarklabel.interaction.posterior import PosteriorConfig
from landmarklabel.losses import LossConfig
from landmarklabel.modelfile import load_model, save_model
from landmarklabel.networks import build_network
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from models import PublishedModel
from trainers.base import Comparison, NetworkTrainTask, Workplace, _as_trained, _knows_too_much, _of_steps
from trainers.comparing import by_clicks, learned_templates
from trainers.denseseg import DenseSegTrainTask
from trainers.farnet import FarnetTrainTask, usual_experiment
from trainers.interactive import InteractiveTrainTask


def task(folder: Path, protocol: Protocol, name: str, experiment: str) -> NetworkTrainTask:
    landmarks = PublishedModel(folder, protocol, "landmarks")
    place = Workplace(folder / "studies", protocol.name, folder / "runs")
    if name == "farnet":
        return FarnetTrainTask(landmarks, place, experiment)
    if name == "denseseg":
        return DenseSegTrainTask(PublishedModel(folder, protocol, "segmentation", name), place, experiment)
    return InteractiveTrainTask(PublishedModel(folder, protocol, "refine", name), landmarks, place, experiment)


def test_each_task_offers_its_own_experiments(tmp_path: Path, triangle: Protocol) -> None:
    names = ("farnet", "interactive", "denseseg")
    offered = {name: task(tmp_path, triangle, name, f"{name}_light").config()["config"] for name in names}
    assert offered["farnet"][0] == "farnet_light"
    assert offered["interactive"][0] == "interactive_light"
    assert {"interactive_aasce", "interactive_ritm"} < set(offered["interactive"])
    assert offered["denseseg"][0] == "denseseg_light"
    for one, other in combinations(names, 2):
        assert not set(offered[one]) & set(offered[other])


def test_a_network_of_the_other_task_is_refused(tmp_path: Path, triangle: Protocol) -> None:
    with pytest.raises(ConfigError, match="interactive_light has the network interactive, .* 'farnet' is not for"):
        task(tmp_path, triangle, "farnet", "interactive_light")
    with pytest.raises(ConfigError, match="farnet_light has the network farnet, .* 'interactive' is not for"):
        task(tmp_path, triangle, "interactive", "farnet_light")
    with pytest.raises(ConfigError, match="denseseg_light has the network denseseg, .* 'farnet' is not for"):
        task(tmp_path, triangle, "farnet", "denseseg_light")
    with pytest.raises(ConfigError, match="denseseg_light has the network denseseg, .* 'interactive' is not for"):
        task(tmp_path, triangle, "interactive", "denseseg_light")
    with pytest.raises(ConfigError, match="heatreg_light has the network heatreg, .* 'denseseg' is not for"):
        task(tmp_path, triangle, "denseseg", "heatreg_light")


def test_structures_that_are_not_there_are_said_before_training(tmp_path: Path, triangle: Protocol) -> None:
    config = tiny.denseseg_config(network={"name": "denseseg", "structures": ["knee"]})
    with pytest.raises(ConfigError, match="knee can't be segmented in triangle"):
        task(tmp_path, triangle, "denseseg", "denseseg_light").check(config, tiny.dataset(tmp_path, triangle, 2))


def test_an_interactive_network_needs_labels_for_the_shape(tmp_path: Path, triangle: Protocol) -> None:
    """Eight labels are enough to train a network on; two of them validate, and six tell how landmarks lie."""
    trainer = task(tmp_path, triangle, "interactive", "interactive_light")
    data = tiny.dataset(tmp_path / "images", triangle, 8)
    trainer.check(tiny.interactive_config(), data)
    few = data.subset([case.id for case in data.cases[:5]])
    with pytest.raises(DataError, match="labelled images to train on are too few: how landmarks lie is learned from 5"):
        trainer.check(tiny.interactive_config(), few)


def test_a_model_goes_on_by_the_loss_that_it_was_trained_by(tmp_path: Path, triangle: Protocol) -> None:
    """What its maps mean depends on that; all else is as the configuration says."""
    wanted = load_experiment("farnet_light")
    assert wanted.loss.name == "cross_entropy"
    older = {"loss": LossConfig(name="ewc", sigma=4), "posterior": PosteriorConfig(sharpness=32), "epochs": 7}
    path = tmp_path / "older.safetensors"
    network = build_network(tiny.config().network, triangle)
    save_model(path, network, wanted.model_copy(update=older), triangle, {}, {})
    going_on = _as_trained(wanted, path)
    assert (going_on.loss, going_on.posterior) == (older["loss"], older["posterior"])
    assert going_on.epochs == wanted.epochs
    save_model(path, network, wanted, triangle, {}, {})
    assert _as_trained(wanted, path) == wanted


def test_a_training_ends_with_its_server_even_if_that_dies_before_the_training_looks() -> None:
    """Else it would train on for hours: nobody could stop it any more."""
    server = subprocess.Popen([sys.executable, "-c", ""])
    server.wait()
    code = "import time; from trainers.progress import end_with_parent; end_with_parent(0.05); time.sleep(60)"
    environment = {**os.environ, "LANDMARKLABEL_PARENT": str(server.pid), "PYTHONPATH": os.pathsep.join(sys.path)}
    left_over = subprocess.Popen([sys.executable, "-c", code], env=environment)
    assert left_over.wait(timeout=50) == -signal.SIGTERM


def test_by_default_the_network_in_use_goes_on_learning(tmp_path: Path, triangle: Protocol) -> None:
    """A server whose model is FARNet's trains that further; one without begins with what serves a reader best."""
    model = PublishedModel(tmp_path, triangle, "landmarks")
    assert usual_experiment(model) == "fpn_light"
    for name, usual in (("farnet_light", "farnet_light"), ("fpn_light", "fpn_light"), ("farnet", "fpn_light")):
        config = load_experiment(name) if name != "farnet" else tiny.config()
        model.path.parent.mkdir(parents=True, exist_ok=True)
        save_model(model.path, build_network(config.network, triangle), config, triangle, {}, {})
        assert usual_experiment(model) == usual


def test_landmarks_that_recur_are_taught_to_a_network_that_shares_maps(tmp_path: Path) -> None:
    spine = load_protocol("spine_68")
    model = PublishedModel(tmp_path, spine, "landmarks")
    assert usual_experiment(model) == "fpn_shared"
    for name, usual in (("farnet_light", "farnet_light"), ("fpn_light", "fpn_light"), ("fpn_shared", "fpn_shared")):
        config = load_experiment(name)
        model.path.parent.mkdir(parents=True, exist_ok=True)
        save_model(model.path, build_network(config.network, spine), config, spine, {}, {})
        assert usual_experiment(model) == usual


def test_what_was_not_good_enough_yet_goes_on_learning(tmp_path: Path, triangle: Protocol) -> None:
    """Where nothing answers, a training begins where the last one ended, not at nothing once more."""
    models = tmp_path / "models"
    model = PublishedModel(models, triangle, "landmarks")
    trainer = FarnetTrainTask(model, Workplace(tmp_path, "triangle", model.path.parent / "runs"), "farnet_light")
    config = tiny.config()

    def run(number: int, protocol: Protocol, state: str, config: ExperimentConfig = config) -> Path:
        folder = model.path.parent / "runs" / f"farnet-2026010{number}-120000"
        folder.mkdir(parents=True)
        record = {"state": state, "started": f"2026-01-0{number} 12:00:00", "trainer": "farnet"}
        (folder / RECORD).write_text(json.dumps(record))
        save_model(folder / "model.safetensors", build_network(config.network, protocol), config, protocol, {}, {})
        return folder / "model.safetensors"

    assert trainer._start_from({}, config) is None
    first = run(1, triangle, "done")
    assert trainer._start_from({}, config) == first
    assert trainer._start_from({"start_from": "scratch"}, config) is None
    assert trainer._start_from({}, load_experiment("fpn_light")) is None  # its weights are of another network
    second = run(2, triangle, "done")
    run(3, triangle, "failed")
    assert trainer._start_from({}, config) == second
    shutil.copyfile(first, model.path)
    assert trainer._start_from({}, config) == model.path
    model.path.unlink()
    renamed = triangle.model_copy(update={"landmarks": triangle.landmarks[::-1]})
    run(4, renamed, "done")
    assert trainer._start_from({}, config) is None  # of other landmarks


def test_weights_that_know_the_validation_images_are_not_gone_on_with(tmp_path: Path, triangle: Protocol) -> None:
    """Those of another seed do; as labels grow with the same seed they do not. An older file does not say."""
    data, config = tiny.dataset(tmp_path / "images", triangle, 24), tiny.config()
    few = data.subset([case.id for case in data.cases[:12]])
    path, network = tmp_path / "landmarks.safetensors", build_network(config.network, triangle)
    said = describe_data(few, *training_and_validation(few, config))
    save_model(path, network, config, triangle, said, {})
    assert _knows_too_much(path, data, config) == ""
    other = tiny.config(seed=5)
    _, validation = training_and_validation(data, other)
    learned = sum(patient_hash(case.patient) in said["trained"] for case in validation)
    assert 0 < learned < len(validation)
    assert _knows_too_much(path, data, other) == (
        f"began with fresh weights: landmarks.safetensors has learned from {learned} of the {len(validation)} images "
        "that validate"
    )
    del said["trained"]
    save_model(path, network, config, triangle, said, {})
    assert _knows_too_much(path, data, other) == ""


def test_a_network_in_use_is_replaced_by_what_leaves_a_reader_less_to_do(tmp_path: Path, triangle: Protocol) -> None:
    """Whichever finds more by itself: a reader has network and shape together, and goes on clicking."""
    trainer = task(tmp_path, triangle, "farnet", "farnet_light")
    data = tiny.dataset(tmp_path / "images", triangle, 24)
    _, validation = training_and_validation(data, tiny.config())
    shape = learn_shape(data.cases)
    untrained = tiny.untrained_model(tmp_path / "fresh.safetensors", triangle, tiny.config())
    network, header, _ = load_model(untrained)
    for path in (untrained, tmp_path / "triangle" / "landmarks.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, network, header.config, triangle, {}, {}, shape)
    found = trainer.compare(TrainingResult(untrained, 1, {}, validation, 1), data)
    assert found.details["compared_with"] == "the model of 'landmarks'"
    mine, others = (found.details[f"{whose}_by_clicks"] for whose in ("validation", "published"))
    assert mine == others
    assert len(mine) == 1 + 5
    assert not found.better  # the same again
    assert found.new == pytest.approx(np.mean(mine), abs=1e-3)


def test_steps_are_epochs_of_as_many_images_as_there_are(tmp_path: Path, triangle: Protocol) -> None:
    data, config = tiny.dataset(tmp_path, triangle, 24), tiny.config()
    batches = -(-len(training_and_validation(data, config)[0]) // config.batch_size)
    assert _of_steps(config, data, {"steps": 100}).epochs == -(-100 // batches)
    assert _of_steps(config, data, {"steps": 1}).epochs == 1
    for unbound in ({}, {"steps": 0}, {"steps": 100, "epochs": 8}):
        assert _of_steps(config, data, unbound) is config
    for wrong in (-1, "5", True, float("inf")):
        with pytest.raises(ConfigError, match="steps: expected a number above 0, or 0 for no bound, got"):
            _of_steps(config, data, {"steps": wrong})


def test_a_first_model_has_to_be_better_than_the_mean_shape(tmp_path: Path, triangle: Protocol) -> None:
    """Else people would be shown worse than what the labels alone say."""
    trainer = task(tmp_path, triangle, "farnet", "farnet_light")
    data = tiny.dataset(tmp_path / "images", triangle, 24)
    _, validation = training_and_validation(data, tiny.config())
    untrained = tiny.untrained_model(tmp_path / "fresh.safetensors", triangle, tiny.config())
    network, header, _ = load_model(untrained)
    shape = learn_shape(data.cases)
    save_model(untrained, network, header.config, triangle, {}, {}, shape)
    found = trainer.compare(TrainingResult(untrained, 1, {}, validation, 1), data)
    assert found.details == {"compared_with": "the mean shape of labels"}
    assert not found.better
    truth = np.stack([case.points for case in validation])
    size = validation[0].radiograph().size
    expected = np.linalg.norm(shape.in_pixels(size).mean.numpy() - truth, axis=2).mean()
    assert found.old == pytest.approx(expected)


def test_few_images_do_not_speak_against_a_model_of_more_labels(tmp_path: Path, triangle: Protocol) -> None:
    """One image finds the worse of two models better as often as not; nothing is allowed to one of the same labels."""
    trainer = task(tmp_path, triangle, "farnet", "farnet_light")
    data = tiny.dataset(tmp_path / "images", triangle, 24)
    _, validation = training_and_validation(data, tiny.config())
    network, header, _ = load_model(tiny.untrained_model(tmp_path / "new.safetensors", triangle, tiny.config()))
    paths = tmp_path / "triangle" / "landmarks.safetensors", tmp_path / "new.safetensors"
    paths[0].parent.mkdir(parents=True)

    def compared(old: int, new: int, images: int) -> Comparison:
        for path, labels in zip(paths, (old, new), strict=True):
            counts = {"training_images": labels - 1, "validation_images": 1}
            save_model(path, network, header.config, triangle, counts, {}, learn_shape(data.cases))
        return trainer.compare(TrainingResult(paths[1], 1, {}, validation[:images], 1), data)

    assert compared(6, 9, 1).allowance == pytest.approx(0.25)
    assert compared(6, 9, 4).allowance == pytest.approx(0.125)
    assert compared(6, 9, 4).better  # just as good, and of more labels
    for labels in (6, 5):
        assert compared(6, labels, 4).allowance == 0
        assert not compared(6, labels, 4).better
    shape = learn_shape(data.cases)
    assert shape is not None
    first = by_clicks(TrainingResult(paths[1], 1, {}, validation[:4], 1), shape, (), data)
    assert first.allowance == pytest.approx(-0.125)  # the shape alone does no harm


def test_templates_are_not_learned_from_images_that_validate(tmp_path: Path, triangle: Protocol) -> None:
    data = tiny.dataset(tmp_path / "images", triangle, 6)
    templates = learned_templates(TrainingResult(tmp_path / "model.safetensors", 1, {}, data.cases[:2], 1), data)
    assert templates is not None and templates.labels == 4
    assert learned_templates(TrainingResult(tmp_path / "model.safetensors", 1, {}, data.cases[1:], 1), data) is None


def test_only_what_is_better_is_published() -> None:
    assert Comparison(2.1, 2.0, allowance=0.1).better
    assert not Comparison(2.3, 2.0, allowance=0.1).better
    assert not Comparison(math.nan, 2.0, allowance=0.1).better
    assert Comparison(2.0, None).better
    assert Comparison(1.9, 2.0).better
    assert not Comparison(2.0, 2.0).better
    assert not Comparison(math.nan, None).better
