"""The state of a training run in small files: the training process writes them, the server reads them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from landmarklabel.engine.report import EpochReport
from landmarklabel.engine.runrecord import RECORD, memory_errors, memory_mb, process_mark, read_record
from landmarklabel.errors import ConfigError, LandmarkLabelError, StorageError
from landmarklabel.files import atomic_write, storage_errors

# The environment variable of a server's own process id.
_PARENT = "LANDMARKLABEL_PARENT"


class TrainingProgress:
    """State of the newest run of a train task, and of each run in its own folder.

    Args:
        path: of the task's file; the folders of runs lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The state; a run whose process has gone without a word has stopped, and ``reason`` says what is known."""
        return read_record(self._path)

    @contextmanager
    def run(self, name: str, **about: Any) -> Iterator[TrainingProgress]:
        """Mark a run as running while the block lasts, then as done or failed.

        Args:
            name: of its folder.
            about: what else to note.

        Raises:
            ConfigError: another process is training.
            MemoryShortError: memory was too small for what is done in the block.
        """
        if self.read().get("state") == "running":
            raise ConfigError(f"a training of this model is running already ({self.read().get('run')})")
        self._state = {"run": name, "state": "running", **about, "started": _now(), "process": process_mark()}
        with storage_errors(self._path, "the state of training"):
            (self._path.parent / name).mkdir(parents=True, exist_ok=True)
        self._write()
        try:
            with memory_errors():
                yield self
        except BaseException as problem:
            reason = str(problem) if isinstance(problem, LandmarkLabelError) else f"{type(problem).__name__}: {problem}"
            with suppress(StorageError):  # what went wrong first is what is to be said
                self.update(state="failed", reason=reason, ended=_now())
            raise
        self.update(state="done", ended=_now())

    def epoch(self, report: EpochReport) -> None:
        """Note an epoch that is done."""
        seconds = report.metrics["seconds"]
        left = min((report.epochs - report.metrics["epoch"]) * seconds, report.time_left)
        self.update(
            **report.metrics,
            epochs=report.epochs,
            best_epoch=report.best_epoch,
            best_metric=report.best_metrics.get("val_mre"),
            seconds_left=round(left, 1),
            memory_mb=memory_mb(),
        )

    def update(self, **values: Any) -> None:
        """Note further values."""
        self._state.update(values)
        self._write()

    def _write(self) -> None:
        content = json.dumps(self._state).encode()
        for path in (self._path.parent / self._state["run"] / RECORD, self._path):
            atomic_write(path, content, "the state of training")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def note_parent() -> None:
    """Tell the processes that this one starts who it is: one that dies before they ask leaves no trace of itself."""
    os.environ[_PARENT] = str(os.getpid())


def end_with_parent(every_s: float = 1.0) -> None:
    """End this process when the one that started it is gone: nobody could stop it any more."""
    parent = int(os.environ.get(_PARENT, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
