"""The training engine: it learns, the same way each time, also after a kill, and says what is wrong in words."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tiny
from landmarklabel.engine import trainer as engine
from landmarklabel.engine.checkpoint import load_state, save_state
from landmarklabel.engine.data import patient_hash
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.runfolder import RunFolder
from landmarklabel.engine.trainer import learning_rate_factor, train
from landmarklabel.errors import ConfigError, DataError, ModelError, StorageError
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> LandmarkDataset:
    return tiny.dataset(tmp_path_factory.mktemp("tiny"), triangle, 24)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: LandmarkDataset) -> tuple[Path, list]:
    """A finished run and what it reported after each epoch."""
    out, reports = tmp_path_factory.mktemp("run") / "out", []
    train(tiny.config(), data, out, device="cpu", quiet=True, on_epoch=reports.append)
    return out, reports


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory, begun: Path) -> Path:
    """A run of one epoch, to do with as one likes."""
    return Path(shutil.copytree(begun, tmp_path_factory.mktemp("short") / "run"))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, data: LandmarkDataset) -> Path:
    out = tmp_path_factory.mktemp("begun") / "run"
    train(tiny.config(epochs=1), data, out, device="cpu", quiet=True)
    return out


def test_the_error_falls_to_a_quarter(finished: tuple[Path, list]) -> None:
    errors = [report.metrics["val_mre"] for report in finished[1]]
    assert len(errors) == 8
    assert min(errors) < errors[0] / 4
    assert min(errors) < 1.0


def test_what_a_run_leaves_behind(finished: tuple[Path, list], data: LandmarkDataset) -> None:
    out, reports = finished
    folder = RunFolder(out)
    history = json.loads(folder.metrics_json.read_text())
    assert [row["epoch"] for row in history["epochs"]] == list(range(1, 9))
    assert len(folder.metrics_csv.read_text().splitlines()) == 9
    assert yaml.safe_load(folder.config.read_text())["method"] == "tiny"
    assert len(list(folder.pictures.glob("validation_*.png"))) == 8
    header = read_header(folder.model)
    best = min(reports, key=lambda report: report.metrics["val_mre"])
    assert header.metrics["epoch"] == best.metrics["epoch"] == history["best_epoch"]
    assert header.metrics["val_mre"] == pytest.approx(best.metrics["val_mre"])
    assert header.metrics["unit"] == "px"
    assert header.data["fingerprint"] == data.fingerprint
    assert header.data["training_images"] + header.data["validation_images"] == 24


def test_curves_in_tensorboard(finished: tuple[Path, list]) -> None:
    events = EventAccumulator(str(RunFolder(finished[0]).tensorboard))
    events.Reload()
    curve = [event.value for event in events.Scalars("val_mre")]
    assert curve == pytest.approx([report.metrics["val_mre"] for report in finished[1]], rel=1e-5)


def test_the_kept_model_scores_what_its_header_says(finished: tuple[Path, list], data: LandmarkDataset) -> None:
    """Training's own validation and the evaluation of the file agree."""
    model = RunFolder(finished[0]).model
    _, validation = engine.training_and_validation(data, tiny.config())
    mre = evaluate(Predictor.load(model, "cpu"), validation).summary().mre
    assert mre == pytest.approx(read_header(model).metrics["val_mre"], rel=0.02)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(
    finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path
) -> None:
    train(tiny.config(), data, tmp_path / "again", device="cpu", quiet=True)
    train(tiny.config(seed=1), data, tmp_path / "other", device="cpu", quiet=True)
    reference = weights(RunFolder(finished[0]).model)
    assert same(weights(RunFolder(tmp_path / "again").model), reference)
    assert not same(weights(RunFolder(tmp_path / "other").model), reference)


@pytest.mark.slow
def test_a_run_that_stopped_goes_on_to_the_same_end(
    finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by an error in the middle of an epoch."""
    monkeypatch.setattr(engine, "STATE_INTERVAL_S", 0.0)

    def stop(report: engine.EpochReport) -> None:
        if report.metrics["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny.config(), data, tmp_path, device="cpu", quiet=True, on_epoch=stop)
    result = train(tiny.config(), data, tmp_path, device="cpu", quiet=True)
    assert result.epochs == 8
    assert same(weights(tmp_path / "model.safetensors"), weights(RunFolder(finished[0]).model))
    rows = json.loads((tmp_path / "metrics.json").read_text())["epochs"]
    assert [row["epoch"] for row in rows] == list(range(1, 9))


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tiny
from landmarklabel.engine import trainer
from landmarklabel.protocol import load_protocol
trainer.STATE_INTERVAL_S = 0.0
data = tiny.dataset(Path(sys.argv[3]), load_protocol(sys.argv[2]), 24)
trainer.train(tiny.config(), data, Path(sys.argv[4]), device="cpu", quiet=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_killed_run_goes_on_to_the_same_end(
    finished: tuple[Path, list], tmp_path: Path, triangle_file: Path, epoch: int
) -> None:
    """SIGKILL, at whatever moment after an epoch; then the same command again."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        RUN,
        str(Path(__file__).parent),
        str(triangle_file),
        str(tmp_path / "images"),
        str(out),
    ]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while len((out / "metrics.csv").read_text().splitlines()) < epoch + 1 if (out / "metrics.csv").exists() else True:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True)
    assert same(weights(out / "model.safetensors"), weights(RunFolder(finished[0]).model))


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path, triangle_file: Path) -> None:
    """As torchrun starts them, on the CPU."""
    images = tmp_path / "studies"
    from landmarklabel.protocol import load_protocol

    tiny.write_studies(images, load_protocol(triangle_file), 24)
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny.config(epochs=3, batch_size=1).model_dump(mode="json")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "landmarklabel.cli", "train", str(config), "--data", f"studies:{images}"]
    command += ["--protocol", str(triangle_file), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    )
    assert result.returncode == 0, result.stderr[-2000:]
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert min(row["loss"] for row in rows) < rows[0]["loss"] / 4


@pytest.mark.slow
def test_early_stopping(data: LandmarkDataset, tmp_path: Path) -> None:
    """With a learning rate of almost nothing the first epoch stays about the best."""
    config = tiny.config(
        epochs=30,
        optimizer={"learning_rate": 1e-12, "schedule": "constant"},
        validation={"fraction": 0.25, "patience": 2},
    )
    result = train(config, data, tmp_path, device="cpu", quiet=True)
    assert result.epochs == result.best_epoch + 2 < 30
    # A run that has stopped so stays stopped.
    assert train(config, data, tmp_path, device="cpu", quiet=True).epochs == result.epochs


@pytest.mark.slow
def test_going_on_from_a_model(finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path) -> None:
    start = RunFolder(finished[0]).model
    reports: list = []
    train(tiny.config(epochs=1), data, tmp_path, start_from=start, device="cpu", quiet=True, on_epoch=reports.append)
    assert reports[0].metrics["val_mre"] < finished[1][0].metrics["val_mre"] / 2
    other = tiny.config(network={"name": "unet", "channels": [4, 8]})
    with pytest.raises(ModelError, match="holds another network than this run trains"):
        train(other, data, tmp_path / "other", start_from=start, device="cpu", quiet=True)


def test_whom_a_model_knows_is_kept_when_another_goes_on_from_it(
    finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path
) -> None:
    """Labels that are gone are of no unseen images; and a run that is resumed knows it from its own state."""
    start = RunFolder(finished[0]).model
    before = read_header(start).data
    training, validation = engine.training_and_validation(data, tiny.config())
    assert before["trained"] == sorted(patient_hash(case.patient) for case in training)
    assert before["seen"] == sorted(patient_hash(case.patient) for case in (*training, *validation))
    fewer = data.subset([case.id for case in (*training[:4], *validation)])
    train(tiny.config(epochs=1), fewer, tmp_path, device="cpu", quiet=True, start_from=start)
    result = train(tiny.config(epochs=2), fewer, tmp_path, device="cpu", quiet=True)
    state = load_state(RunFolder(tmp_path).state)
    assert state["known_before"] == {"seen": before["seen"], "trained": before["trained"]}
    after = read_header(result.model).data
    assert after["training_images"] == 4
    assert (after["seen"], after["trained"]) == (before["seen"], before["trained"])


def test_weights_that_have_learned_what_validates_are_refused(
    finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path
) -> None:
    """Another seed holds out others: validation, calibration and publishing would go by images that were learned."""
    start, config = RunFolder(finished[0]).model, tiny.config(seed=5)
    learned = set(read_header(start).data["trained"])
    _, validation = engine.training_and_validation(data, config)
    known = [case.id for case in validation if patient_hash(case.patient) in learned]
    assert known
    sentence = f"model.safetensors has learned from {len(known)} of the {len(validation)} images that are to validate"
    with pytest.raises(ConfigError, match=rf"{sentence} this run \({known[0]}.* take the seed \(0\)"):
        train(config, data, tmp_path / "run", device="cpu", quiet=True, start_from=start)
    assert not (tmp_path / "run").exists()


def test_another_configuration_does_not_resume(finished: tuple[Path, list], data: LandmarkDataset) -> None:
    with pytest.raises(ConfigError, match="holds a run with another batch_size; resume with the same configuration"):
        train(tiny.config(batch_size=3), data, finished[0], device="cpu", quiet=True)


@pytest.mark.slow
def test_more_epochs_go_on(finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "longer")
    assert train(tiny.config(epochs=9), data, tmp_path / "longer", device="cpu", quiet=True).epochs == 9


@pytest.mark.slow
def test_a_longer_run_follows_its_own_schedule(data: LandmarkDataset, tmp_path: Path) -> None:
    """A cosine that has come to zero goes on where a longer one is."""
    optimizer = {**tiny.config().model_dump()["optimizer"], "schedule": "cosine"}
    train(tiny.config(epochs=1, optimizer=optimizer), data, tmp_path, device="cpu", quiet=True)
    train(tiny.config(epochs=4, optimizer=optimizer), data, tmp_path, device="cpu", quiet=True)
    rates = [row["learning_rate"] for row in json.loads(RunFolder(tmp_path).metrics_json.read_text())["epochs"]]
    full = optimizer["learning_rate"]
    assert rates == pytest.approx([full, full * 0.8536, full * 0.5, full * 0.1464], rel=1e-3)


def test_other_data_do_not_resume(finished: tuple[Path, list], data: LandmarkDataset, tmp_path: Path) -> None:
    """Nor another protocol; the old figures could not be compared with the new."""
    fewer = data.subset([case.id for case in data.cases[:-1]])
    with pytest.raises(ConfigError, match=r"holds a run on other data \(another labels\b.*; give another --out"):
        train(tiny.config(), fewer, finished[0], device="cpu", quiet=True)


def test_a_run_without_a_state_is_not_overwritten(data: LandmarkDataset, short: Path) -> None:
    """Killed before its first state: its model is there already."""
    RunFolder(short).state.unlink()
    with pytest.raises(ConfigError, match="holds a run with another batch_size"):
        train(tiny.config(epochs=1, batch_size=3), data, short, device="cpu", quiet=True)


def test_a_run_whose_model_is_gone_is_said(data: LandmarkDataset, short: Path) -> None:
    RunFolder(short).model.unlink()
    with pytest.raises(ModelError, match="its model is gone"):
        train(tiny.config(epochs=1), data, short, device="cpu", quiet=True)


def test_labels_without_a_placed_landmark(data: LandmarkDataset, tmp_path: Path) -> None:
    empty = tuple(replace(case, points=np.full_like(case.points, np.nan)) for case in data.cases)
    with pytest.raises(DataError, match="has a landmark that is placed"):
        train(tiny.config(), replace(data, cases=empty), tmp_path, device="cpu", quiet=True)


def test_two_runs_in_one_folder(data: LandmarkDataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create()
    with folder.locked(), pytest.raises(ConfigError, match="another training run is using"):
        train(tiny.config(), data, tmp_path, device="cpu", quiet=True)


def test_a_damaged_state_is_said(data: LandmarkDataset, short: Path) -> None:
    (short / "state.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="state.safetensors, the state of the training run, is damaged"):
        train(tiny.config(), data, short, device="cpu", quiet=True)


def test_too_few_labels(data: LandmarkDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 usable labelled images are too few to train on"):
        train(tiny.config(), data.subset(["image_000"]), tmp_path, device="cpu", quiet=True)
    with pytest.raises(DataError, match="has no labelled images in a split 'train'; it has no splits"):
        train(tiny.config(train_on="train"), data, tmp_path, device="cpu", quiet=True)


def test_suspicious_labels_are_left_out(data: LandmarkDataset) -> None:
    marked = LandmarkDataset("tiny", data.protocol, data.cases, {"image_003": ("looks wrong",)})
    training, validation = engine.training_and_validation(marked, tiny.config())
    assert "image_003" not in {case.id for case in (*training, *validation)}
    training, validation = engine.training_and_validation(marked, tiny.config(include_suspicious=True))
    assert "image_003" in {case.id for case in (*training, *validation)}


def test_a_loss_that_is_no_number_is_said(data: LandmarkDataset, tmp_path: Path) -> None:
    config = tiny.config(optimizer={"learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(ModelError, match="the loss became .* try a lower learning rate"):
        train(config, data, tmp_path, device="cpu", quiet=True)


def test_a_full_disk_is_said(data: LandmarkDataset, full_disk: Path) -> None:
    with pytest.raises(StorageError, match="the disk is full|could not be written"):
        train(tiny.config(), data, full_disk / "run", device="cpu", quiet=True)


def test_a_folder_without_permission(data: LandmarkDataset, read_only_folder: Path) -> None:
    with pytest.raises(StorageError, match="no permission to write the run folder"):
        train(tiny.config(), data, read_only_folder / "run", device="cpu", quiet=True)


def test_states_without_pickles(tmp_path: Path) -> None:
    state = {"a": [1, 2.5, None, "x", (3, torch.arange(3))], "b": {0: torch.ones(2, 2), 1: {"c": True}}, "e": {}}
    save_state(tmp_path / "s.safetensors", state)
    loaded = load_state(tmp_path / "s.safetensors")
    assert torch.equal(
        loaded["a"][4].pop(1) if isinstance(loaded["a"][4], list) else loaded["a"][4][1], torch.arange(3)
    )
    assert torch.equal(loaded["b"][0], torch.ones(2, 2))
    assert loaded["b"][1] == {"c": True}
    assert loaded["a"][:4] == [1, 2.5, None, "x"]
    assert loaded["e"] == {}


def test_schedules() -> None:
    settings = tiny.config().optimizer
    cosine = [learning_rate_factor(settings, epoch, 10) for epoch in range(11)]
    assert cosine[0] == 1
    assert cosine[5] == pytest.approx(0.5)
    assert cosine[10] == pytest.approx(0, abs=1e-12)
    step = settings.model_copy(update={"schedule": "step", "steps": (0.5, 0.9), "factor": 0.1})
    assert [learning_rate_factor(step, epoch, 10) for epoch in (0, 4, 5, 8, 9)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
