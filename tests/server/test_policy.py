"""The server trains by itself: when labels have grown, one run at a time, and rightly after it was killed."""

import json
import signal
import sys
import threading
from pathlib import Path

import pytest
from monailabel.utils.async_tasks import utils
from servers import TRAIN_S, Server, prepare

import tiny
from landmarklabel.errors import ConfigError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from models import PublishedModel
from policy import PolicyOptions, TrainingPolicy, known_to


def policy(folder: Path, labels: int, known: int = 0, **conf: str) -> TrainingPolicy:
    options = PolicyOptions.of({"auto_train": "yes", **conf})
    return TrainingPolicy(options, lambda: labels, lambda: known, dict, folder / "policy.json")


# When, and how long ------------------------------------------------------------------------------------------


def test_runs_come_ever_more_rarely_and_take_ever_longer() -> None:
    options = PolicyOptions(on=True)
    counts = [options.next_at(0)]
    while counts[-1] < 150:
        counts.append(options.next_at(counts[-1]))
    assert counts == [6, 8, 10, 13, 17, 22, 28, 35, 44, 55, 69, 87, 109, 137, 172]
    assert [options.effort(count)["steps"] for count in (10, 35, 1000)] == [400, 650, 10300]
    assert PolicyOptions.of({"auto_train_seconds": "60"}).effort(10)["seconds"] == 60


def test_a_run_follows_only_more_labels() -> None:
    """However little they are to grow."""
    assert [PolicyOptions(on=True, growth=1.0).next_at(used) for used in (0, 10, 11)] == [6, 11, 12]
    assert PolicyOptions(on=True, first=2, growth=1.1).next_at(10) == 11


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"auto_train": "maybe"}, "auto_train maybe: expected yes or no"),
        ({"auto_train_first": "1"}, "auto_train_first 1: expected a whole number of 2 or more"),
        ({"auto_train_first": "2.5"}, "auto_train_first 2.5: expected a whole number"),
        ({"auto_train_growth": "0.9"}, "auto_train_growth 0.9: expected a number of 1 or more"),
        ({"auto_train_seconds": "nan"}, "auto_train_seconds nan: expected a number of 1 or more"),
    ],
)
def test_settings_that_are_not_right_are_said(conf: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        PolicyOptions.of(conf)


def test_without_being_told_to_it_does_nothing(tmp_path: Path) -> None:
    off = policy(tmp_path, labels=100, auto_train="no")
    assert off.step() is False
    assert (off.state()["state"], off.state()["next_at"]) == ("off", None)
    assert not list(tmp_path.iterdir())


def test_what_it_waits_for(tmp_path: Path) -> None:
    assert policy(tmp_path, labels=1).state() == {
        "state": "waiting",
        "next_at": 6,
        "labels": 1,
        "reason": "1 final label; training begins at 6",
    }
    assert policy(tmp_path, labels=20, known=20).state()["next_at"] == 25  # a model that was put there knows them


@pytest.mark.parametrize(
    ("last", "next_at"),
    [
        ({"labels": 12, "attempts": 1, "ended": True}, 15),
        ({"labels": 12, "attempts": 1, "ended": False}, 6),  # the server ended first: again
        ({"labels": 12, "attempts": 2, "ended": False}, 15),  # twice: it may be the run that ends the server
        ({"labels": "12"}, 6),
        ([], 6),
    ],
)
def test_a_server_that_is_started_again_knows_the_last_run(tmp_path: Path, last: object, next_at: int) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(last))
    assert policy(tmp_path, labels=3).state()["next_at"] == next_at


def test_nothing_begins_while_somebody_begins_another(tmp_path: Path) -> None:
    asked = policy(tmp_path, labels=1)
    other = threading.Thread(target=asked.step)
    with asked.giving_way():
        asked.state()  # as MONAI Label asks while it takes a task
        other.start()
        other.join(0.5)
        assert other.is_alive()
    other.join(10)
    assert not other.is_alive()


@pytest.mark.parametrize(("started", "waits"), [("2026-01-01 00:00:00", False), ("2999-01-01 00:00:00", True)])
def test_a_run_that_never_got_a_process_stands_in_no_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str, waits: bool
) -> None:
    monkeypatch.setitem(utils.background_tasks, "train", [{"status": "SUBMITTED", "start_ts": started}])
    assert (policy(tmp_path, labels=9).state()["reason"] == "a training that somebody asked for is running") is waits


def test_what_a_model_knows_is_counted_by_patients(tmp_path: Path, triangle: Protocol) -> None:
    model = PublishedModel(tmp_path, triangle, "landmarks")
    assert known_to(model, ["image_000"], tmp_path) == 0
    model.path.parent.mkdir(parents=True)
    tiny.trained_on(model.path, triangle, ["anna", "image_001"])
    (tmp_path / "patients.json").write_text('{"image_000": "anna", "image_002": "anna", "image_003": "ben"}')
    assert known_to(model, [f"image_{number:03d}" for number in range(5)], tmp_path) == 3
    (tmp_path / "patients.json").write_text("{")
    assert known_to(model, ["image_001"], tmp_path) == 0


# A server that does ------------------------------------------------------------------------------------------


def label(server: Server, *seeds: int) -> None:
    template = json.loads((server.studies / "labels" / "final" / "image_000.mrk.json").read_text())
    for seed in seeds:
        for control, point in zip(template["markups"][0]["controlPoints"], tiny.triangle_image(seed)[1], strict=True):
            control["position"] = [*point.tolist(), 0.0]
        assert server.put_label(f"image_{seed:03d}", template).ok


@pytest.mark.slow
def test_a_server_trains_by_itself(tmp_path: Path, triangle: Protocol) -> None:
    """Not while a person's run goes, for which it gives way; on what came since, and anew after it was killed."""
    conf = {"auto_train": "yes", "auto_train_first": "8", "auto_train_growth": "1.5", "auto_train_steps": "2"}
    server = prepare(tmp_path / "s", triangle, images=16, labelled=7, **conf)

    def state() -> dict:
        return server.get("/info/")["training_policy"]

    try:
        server.start()
        assert state()["reason"] == "7 final labels; training begins at 8"
        assert server("POST", "/train/farnet", json={"epochs": 5000}).ok
        server.wait_for(lambda: server.get("/info/")["train_stats"]["farnet"].get("epoch"), TRAIN_S)
        label(server, 7)
        assert state()["reason"] == "a training that somebody asked for is running"
        assert server("DELETE", "/train/").ok
        server.wait_for(lambda: state()["state"] == "running", TRAIN_S)
        server.wait_for(lambda: state()["state"] == "waiting", TRAIN_S)
        assert (state()["labels"], state()["next_at"]) == (8, 12)
        newest, asked_for = server.get("/runs/")
        assert (asked_for["started_by"], asked_for["state"]) == ("person", "stopped")
        assert (newest["started_by"], newest["state"], newest["in_use"]) == ("policy", "done", True)
        assert server.infer("image_015")["model"]["version"] == newest["version"]

        label(server, 8, 9, 10, 11)
        server.wait_for(lambda: server.get("/info/")["train_stats"]["farnet"].get("labels") == 12, TRAIN_S)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server.start()
        server.wait_for(lambda: state()["state"] == "running", TRAIN_S)
        assert state()["reason"].startswith("training on 12 final labels since")
        assert state()["next_at"] == 18

        server.wait_for(lambda: server.get("/info/")["train_stats"]["farnet"]["state"] == "running", TRAIN_S)
        assert server("POST", "/train/nothing", json={}).status_code == 404
        assert state()["state"] == "running"
        assert server("POST", "/train/farnet", json={"epochs": 5000}).ok
        assert state()["reason"] == "a training that somebody asked for is running"
        own = [run["id"] for run in server.get("/runs/") if run["started_by"] == "policy"]
        server.wait_for(lambda: server.get(f"/runs/{own[0]}")["state"] == "stopped", TRAIN_S)
    finally:
        server.stop()
