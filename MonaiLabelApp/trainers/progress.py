"""The state of a training run in a small file: the training process writes it, the server reads it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from landmarklabel.engine.report import EpochReport
from landmarklabel.errors import ConfigError, LandmarkLabelError
from landmarklabel.files import atomic_write, storage_errors


class TrainingProgress:
    """State of the newest run of a train task.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The state; a run whose process has gone without a word counts as stopped."""
        try:
            state: dict[str, Any] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        process = state.pop("process", None)
        if state.get("state") == "running" and not _alive(process):
            state["state"] = "stopped"
        return state

    @contextmanager
    def run(self, name: str) -> Iterator[TrainingProgress]:
        """Mark a run as running while the block lasts, then as done or failed.

        Raises:
            ConfigError: another process is training.
        """
        if self.read().get("state") == "running":
            raise ConfigError(f"a training of this model is running already ({self.read().get('run')})")
        with storage_errors(self._path, "the state of training"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        process = {"pid": os.getpid(), "started": psutil.Process().create_time()}
        self._state = {"run": name, "state": "running", "started": _now(), "process": process}
        self._write()
        try:
            yield self
        except BaseException as problem:
            reason = str(problem) if isinstance(problem, LandmarkLabelError) else f"{type(problem).__name__}: {problem}"
            self.update(state="failed", reason=reason, ended=_now())
            raise
        self.update(state="done", ended=_now())

    def epoch(self, report: EpochReport) -> None:
        """Note an epoch that is done."""
        seconds = report.metrics["seconds"]
        left = (report.epochs - report.metrics["epoch"]) * seconds
        self.update(
            **report.metrics,
            epochs=report.epochs,
            best_epoch=report.best_epoch,
            best_metric=report.best_metrics.get("val_mre"),
            seconds_left=round(left, 1),
        )

    def update(self, **values: Any) -> None:
        """Note further values."""
        self._state.update(values)
        self._write()

    def _write(self) -> None:
        atomic_write(self._path, json.dumps(self._state).encode(), "the state of training")


def _alive(process: Any) -> bool:
    try:
        return bool(abs(psutil.Process(process["pid"]).create_time() - process["started"]) < 1)
    except (psutil.Error, TypeError, KeyError):
        return False


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def end_with_parent(every_s: float = 1.0) -> None:
    """End this process when the one that started it is gone: nobody could stop it any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
