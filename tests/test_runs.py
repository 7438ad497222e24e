"""Runs: what is known of each, however it ended; a model comes into use whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from typer.testing import CliRunner

import tiny
from landmarklabel.cli import app
from landmarklabel.engine.publishing import previous_of, publish
from landmarklabel.engine.runrecord import MemoryShortError, is_alive, memory_errors, process_mark, read_record
from landmarklabel.engine.runs import list_runs, models_of, publish_run
from landmarklabel.errors import ConfigError, ModelError, NotFoundError, StorageError
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol


def model(path: Path, protocol: Protocol, seed: int) -> str:
    """A model file; gives its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return read_header(tiny.untrained_model(path, protocol, tiny.config(), seed)).version


def record(models: Path, run: str, **state: object) -> Path:
    folder = models / "triangle" / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"run": run, "trainer": "farnet", **state}))
    return folder


def mark_of_the_gone() -> dict[str, Any]:
    """What a process that has gone since would have noted of itself."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    mark = {**process_mark(), "pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    process.communicate()
    return mark


def test_a_process_that_has_ended_does_not_run_though_nobody_has_asked_how() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    mark = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    assert is_alive(mark)
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still there to be asked
    assert not is_alive(mark)
    process.wait()
    assert not is_alive(mark)


# Publishing --------------------------------------------------------------------------------------------------


def test_the_one_before_is_kept_and_comes_back(tmp_path: Path, triangle: Protocol) -> None:
    target = tmp_path / "models" / "landmarks.safetensors"
    first, second = (model(tmp_path / f"{seed}.safetensors", triangle, seed) for seed in (1, 2))
    publish(tmp_path / "1.safetensors", target)
    assert not previous_of(target).exists()
    publish(tmp_path / "2.safetensors", target)
    assert [read_header(path).version for path in (target, previous_of(target))] == [second, first]
    publish(previous_of(target), target)
    assert [read_header(path).version for path in (target, previous_of(target))] == [first, second]
    publish(target, target)
    assert read_header(previous_of(target)).version == second


def test_with_the_disk_full_the_old_one_answers(tmp_path: Path, triangle: Protocol, full_disk: Path) -> None:
    """At the folder of models: neither the model nor the one before it changes, and nothing half-written is left."""
    model(tmp_path / "new.safetensors", triangle, 1)
    filler = full_disk / "filler"
    os.truncate(filler, filler.stat().st_size - 3 * 4096)
    target = full_disk / "landmarks.safetensors"
    target.write_bytes(b"old")
    previous_of(target).write_bytes(b"older")
    with pytest.raises(StorageError, match="the disk is full: the model landmarks.safetensors could not be written"):
        publish(tmp_path / "new.safetensors", target)
    assert (target.read_bytes(), previous_of(target).read_bytes()) == (b"old", b"older")
    assert not list(full_disk.glob(".*.part"))


# Records -----------------------------------------------------------------------------------------------------


def test_a_process_that_has_gone_without_a_word(tmp_path: Path) -> None:
    mark = mark_of_the_gone()
    state = {"state": "running", "memory_mb": 3000}
    path = record(tmp_path, "farnet-1", **state, process=mark) / "run.json"
    assert read_record(path)["state"] == "stopped"
    assert "stopped (DELETE /train/), killed, or its server ended; the published" in read_record(path)["reason"]
    assert "process" not in read_record(path)
    if mark["oom_kills"] is not None:
        earlier = {**mark, "oom_kills": mark["oom_kills"] - 1}
        record(tmp_path, "farnet-1", **state, process=earlier)
        assert read_record(path)["state"] == "failed"
        assert "ran out of memory" in read_record(path)["reason"]
        assert "it held 3000 MB" in read_record(path)["reason"]
    record(tmp_path, "farnet-1", **state, process=process_mark())
    assert read_record(path)["state"] == "running"
    record(tmp_path, "farnet-1", state="done", process=mark)
    assert read_record(path) == {"run": "farnet-1", "trainer": "farnet", "state": "done"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert read_record(tmp_path / "run.json") == {}
    assert read_record(tmp_path / "nowhere.json") == {}


def test_a_record_of_something_else_is_no_running_process(tmp_path: Path) -> None:
    for process in (None, 7, {}, {"pid": "x", "started": 0}, {"pid": 1, "started": "y"}, {"pid": -3, "started": 1}):
        assert read_record(record(tmp_path, "farnet-1", state="running", process=process) / "run.json")["state"] == (
            "stopped"
        )


def test_too_little_memory_is_one_sentence() -> None:
    with (
        pytest.raises(MemoryShortError, match="memory is too small for this run; a smaller batch_size"),
        memory_errors(),
    ):
        torch.empty(1 << 50)
    with pytest.raises(MemoryShortError), memory_errors():
        bytearray(1 << 60)
    with pytest.raises(RuntimeError, match="something else"), memory_errors():
        raise RuntimeError("something else")


@pytest.mark.slow
def test_training_gives_way() -> None:
    code = (
        "import json, os, torch; from landmarklabel.engine.runrecord import give_way; give_way(1, 7); give_way(1, 7); "
        "print(json.dumps([os.nice(0), torch.get_num_threads(), os.environ['OMP_NUM_THREADS']]))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(output.stdout.splitlines()[-1]) == [max(os.nice(0), 7), 1, "1"]


# Runs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, triangle: Protocol) -> Path:
    """Two runs with a model, one that failed before it had one, one of an older release; the second is in use."""
    models = tmp_path / "studies.models"
    for number in (1, 2):
        started = f"2026-01-0{number} 10:00:00"
        folder = record(models, f"farnet-2026010{number}-100000", state="done", published=True, started=started)
        model(folder / "model.safetensors", triangle, number)
        publish(folder / "model.safetensors", models / "triangle" / "landmarks.safetensors")
    record(models, "farnet-20260103-100000", state="failed", reason="1 label is too few", started="2026-01-03 10:00:00")
    model(models / "triangle" / "runs" / "denseseg-20250101-100000" / "model.safetensors", triangle, 7)
    return models


def test_runs_say_what_they_were(models: Path) -> None:
    runs = {run.id: run for run in list_runs(models)}
    assert list(runs) == [f"{name}-100000" for name in ("farnet-20260101", "farnet-20260102", "farnet-20260103",
                                                       "denseseg-20250101")]  # fmt: skip
    older, newer, failed, unknown = runs.values()
    assert [run.in_use for run in runs.values()] == [False, True, False, False]
    assert newer.config["method"] == "tiny"
    assert newer.version == read_header(models / "triangle" / "landmarks.safetensors").version != older.version
    assert (failed.state, failed.reason, failed.model, failed.version) == ("failed", "1 label is too few", None, "")
    assert (unknown.state, unknown.task) == ("done", "segmentation")
    json.dumps([run.summary() for run in runs.values()])
    assert list_runs(models / "nowhere") == []


def test_going_back(models: Path) -> None:
    first = publish_run(models, "farnet-20260101-100000")
    assert first.in_use
    target = models / "triangle" / "landmarks.safetensors"
    assert read_header(target).version == first.version
    assert [run.id for run in list_runs(models) if run.in_use] == [first.id]


def test_a_model_of_no_run_is_listed_and_comes_back(models: Path, triangle: Protocol, tmp_path: Path) -> None:
    """Somebody has put a model into the folder: it is not lost when a run takes its place."""
    version = model(tmp_path / "given.safetensors", triangle, 9)
    target = models / "triangle" / "landmarks.safetensors"
    publish(tmp_path / "given.safetensors", target)
    assert next((run.id, run.in_use) for run in list_runs(models)) == ("landmarks", True)
    publish_run(models, "farnet-20260101-100000")
    assert next((run.id, run.state) for run in list_runs(models)) == ("landmarks.previous", "kept")
    publish_run(models, "landmarks.previous")
    assert read_header(target).version == version


def test_what_can_not_be_gone_back_to(models: Path) -> None:
    target = models / "triangle" / "landmarks.safetensors"
    before = target.read_bytes()
    with pytest.raises(NotFoundError, match="there is no run 'x'; there are farnet-20260101-100000"):
        publish_run(models, "x")
    with pytest.raises(ModelError, match=r"farnet-20260103-100000 has no model: it failed \(1 label is too few\)"):
        publish_run(models, "farnet-20260103-100000")
    file = models / "triangle" / "runs" / "farnet-20260101-100000" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        publish_run(models, "farnet-20260101-100000")
    record(models, "farnet-20260102-100000", state="running", process=process_mark())
    with pytest.raises(ConfigError, match="is running"):
        publish_run(models, "farnet-20260102-100000")
    assert target.read_bytes() == before


def test_the_command_line(models: Path) -> None:
    studies = models.with_name("studies")
    studies.mkdir()
    assert models_of(studies) == models_of(models) == models
    run = CliRunner().invoke
    listed = run(app, ["runs", "list", str(studies)])
    assert listed.exit_code == 0, listed.output
    assert "farnet-20260103-100000: 1 label is too few" in listed.output
    shown = json.loads(run(app, ["runs", "list", str(models), "--json"]).output)
    assert [each["in_use"] for each in shown] == [False, True, False, False]
    done = run(app, ["runs", "rollback", str(studies), "farnet-20260101-100000"])
    assert f"triangle: 'landmarks' answers with model {shown[0]['version']} of farnet-20260101-100000" in done.output
    with pytest.raises(ConfigError, match="holds no models"):
        models_of(studies / "none")
