"""The server trains by itself: when enough labels are new, and nobody else trains.

What was trained on, and what is there to train on, is read from files: a server that is started again goes on rightly.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from monailabel.endpoints.train import run_model
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import processes, tasks

from conf_values import number, whole, yes_or_no
from landmarklabel.engine.data import patient_hash
from landmarklabel.errors import ConfigError, DataError, ModelError, NotFoundError, listed
from landmarklabel.files import atomic_write, storage_errors
from landmarklabel.io.layouts.studies import read_patients
from models import PublishedModel

logger = logging.getLogger(__name__)

#: The names of the settings.
SETTINGS = ("auto_train", "auto_train_first", "auto_train_growth", "auto_train_steps", "auto_train_seconds")

#: What a run of the policy says of who started it.
POLICY = "policy"

#: The train task that is run, which makes the model of ``landmarks``, by which ``refine`` answers as well.
TRAINER = "farnet"

# Of a run, beside those that any number of labels needs.
_STEPS_PER_LABEL = 10

# A server that ends before its run begins the run anew; but not for ever, if it is the run that ends it.
_ATTEMPTS = 2

# A run that has no process by then, and nothing before it has one, could not be started: MONAI Label waits for ever.
_START_S = 60.0

# A run's settings are an argument of its command, of which Linux takes 128 kB.
_LONGEST = 100_000

_OFF = "the server trains when it is asked to: it was started without --conf auto_train yes"


@dataclass(frozen=True)
class PolicyOptions:
    """When the server trains by itself, and how long.

    Attributes:
        on: whether it does.
        first: how many final labels there are to be for the first run.
        growth: by what factor they are to have grown since the last one for the next.
        steps: of the optimiser in a run, and ten more for each label.
        seconds: that they may take; a run that has had them ends early.
    """

    on: bool = False
    first: int = 6
    growth: float = 1.25
    steps: int = 300
    seconds: float = 900.0

    @classmethod
    def of(cls, conf: Mapping[str, str]) -> PolicyOptions:
        """From MONAI Label's settings.

        Raises:
            ConfigError: a value is not what it should be.
        """
        return cls(
            on=yes_or_no(conf, "auto_train"),
            first=whole(conf, "auto_train_first", cls.first, least=2),
            growth=number(conf, "auto_train_growth", cls.growth, least=1),
            steps=whole(conf, "auto_train_steps", cls.steps, least=2),
            seconds=number(conf, "auto_train_seconds", cls.seconds, least=1),
        )

    def next_at(self, used: int) -> int:
        """How many labels there are to be for the next run, after one on ``used`` of them; 0 for none."""
        return max(self.first, used + 1, math.ceil(round(used * self.growth, 6))) if used else self.first

    def effort(self, labels: int) -> dict[str, float]:
        """How long a run on so many labels is, as a train task takes it."""
        return {"steps": self.steps + _STEPS_PER_LABEL * labels, "seconds": self.seconds}


@dataclass(frozen=True)
class _Last:
    """The last run that the policy began.

    Attributes:
        labels: on how many.
        attempts: how often it was begun, as servers ended before it did.
        ended: whether it came to an end, whichever.
    """

    labels: int = 0
    attempts: int = 0
    ended: bool = True

    @property
    def used(self) -> int:
        """The labels that it has had its chance with."""
        return self.labels if self.ended or self.attempts >= _ATTEMPTS else 0


class TrainingPolicy:
    """Begins trainings of its own in the background, in the process and under the rules of all trainings.

    Args:
        options: when, and how long.
        labels: how many final labels count.
        known: how many of them the model in use has seen.
        runs: the newest run of each train task, whoever asked for it, as in ``train_stats``.
        file: where the last run is noted.
    """

    def __init__(
        self,
        options: PolicyOptions,
        labels: Callable[[], int],
        known: Callable[[], int],
        runs: Callable[[], Mapping[str, Mapping[str, Any]]],
        file: Path,
    ) -> None:
        self._options, self._labels, self._known, self._runs, self._file = options, labels, known, runs, file
        self._lock = threading.RLock()  # MONAI Label asks for /info/ while it takes a task
        self._last = _read(file)
        self._task: dict[str, Any] | None = None

    def step(self) -> bool:
        """Begin a run if it is worth it; False, since nothing is left to be done in either case."""
        if not self._options.on:
            return False
        with self._lock:
            self._note_end()
            labels = self._labels()
            if not self._anything_runs() and labels >= self._next_at():
                self._begin(labels)
        return False

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Somebody begins another run in the block: one that goes on and is the policy's own is stopped for it.

        It is begun anew after that, and not in the block.
        """
        with self._lock:
            self._give_way()
            yield

    def _give_way(self) -> None:
        if self._task is None or not _goes_on(self._task):
            return
        while self._task["status"] == "SUBMITTED" and _goes_on(self._task):  # no process yet that could be stopped
            time.sleep(0.01)
        AsyncTask.stop("train")
        self._note(_Last(self._last.labels, 0, ended=False))
        self._task = None

    def state(self) -> dict[str, Any]:
        """``state``: ``off``, ``waiting`` or ``running``; ``next_at``: how many final labels there are to be for the
        next run, None if there will be none; ``labels``: how many count now; ``reason``: a sentence.
        """  # fmt: skip
        if not self._options.on:
            return {"state": "off", "next_at": None, "labels": self._labels(), "reason": _OFF}
        with self._lock:
            labels, next_at = self._labels(), self._next_at()
            said = {"next_at": next_at, "labels": labels}
            if self._task is not None and _goes_on(self._task):
                began = f"training on {self._last.labels} final labels since {self._task['start_ts']}"
                return {"state": "running", **said, "reason": began}
            if self._anything_runs():
                return {"state": "waiting", **said, "reason": "a training that somebody asked for is running"}
        return {"state": "waiting", **said, "reason": self._why_not_yet(labels, next_at)}

    def _next_at(self) -> int:
        run = self._runs().get(TRAINER, {})
        trained = run.get("labels", 0) if run.get("state") == "done" else 0
        ended = self._task is not None and not _goes_on(self._task)
        return self._options.next_at(max(self._last.labels if ended else self._last.used, trained, self._known()))

    def _why_not_yet(self, labels: int, next_at: int) -> str:
        there = f"{labels} final label{'' if labels == 1 else 's'}"
        run = self._runs().get(TRAINER, {})
        if run.get("state") == "failed" and run.get("started_by") == POLICY:
            there += f"; the last training failed: {run.get('reason')}"
        return f"{there}; training begins " + ("in a moment" if labels >= next_at else f"at {next_at}")

    def _anything_runs(self) -> bool:
        """Whether anything trains or waits to, asked for here or in another process."""
        here = any(map(_goes_on, tasks("train")))
        return here or any(run.get("state") == "running" for run in self._runs().values())

    def _begin(self, labels: int) -> None:
        again = not self._last.ended and labels == self._last.labels
        self._note(_Last(labels, self._last.attempts + 1 if again else 1, ended=False))
        request = {"model": TRAINER, **self._options.effort(labels), "started_by": POLICY}
        task, problem = AsyncTask.run("train", request=request)
        if task is None:  # somebody was faster
            self._note(_Last(self._last.labels, 0, ended=False))
            logger.info("no training by itself now: %s", problem)
            return
        self._task = task
        logger.info("training by itself on %d labels", labels)

    def _note_end(self) -> None:
        """Note that the run of before has ended: done, failed, or stopped by somebody."""
        if self._task is not None and not _goes_on(self._task):
            self._note(_Last(self._last.labels, self._last.attempts, ended=True))
            self._task = None

    def _note(self, last: _Last) -> None:
        with storage_errors(self._file, "the state of the training policy"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._file, json.dumps(asdict(last)).encode(), "the state of the training policy")
        self._last = last


def training_routes(policy: TrainingPolicy, trainers: Collection[str]) -> APIRouter:
    """MONAI Label's route to train, for which the policy's own run gives way.

    Args:
        policy: of the server.
        trainers: names of the train tasks.
    """
    router = APIRouter(prefix="/train", tags=["Train"])

    @router.post("/{model}", summary="Run Training Task for specific model")
    def train(
        model: str,
        params: dict[str, Any] | None = None,
        run_sync: bool | None = False,
        enqueue: bool | None = False,
    ) -> Any:
        if model not in trainers:
            raise NotFoundError(f"there is no train task '{model[:80]}'; there are {listed(trainers)}")
        _require_startable(params or {})
        with nullcontext() if run_sync else policy.giving_way():  # run_sync is refused, and stops nothing
            return run_model(model, params, run_sync, enqueue)

    return router


def _require_startable(params: Mapping[str, Any]) -> None:
    """Refuse what MONAI Label would take and never start.

    Raises:
        ConfigError: parameters of which no process can be told.
    """
    if not isinstance(params.get("gpus", ""), str):
        raise ConfigError(f"gpus: expected text, such as all or 0,1; got {json.dumps(params['gpus'])[:80]}")
    if len(json.dumps(params)) > _LONGEST:
        raise ConfigError(f"the parameters of a training may be {_LONGEST // 1000} kB long, these are longer")


def _goes_on(task: Mapping[str, Any]) -> bool:
    """Whether a task of MONAI Label runs, or waits to."""
    if task["status"] == "SUBMITTED" and not processes("train"):
        return (datetime.now() - datetime.strptime(task["start_ts"], "%Y-%m-%d %H:%M:%S")).total_seconds() < _START_S
    return task["status"] in ("SUBMITTED", "RUNNING")


def known_to(model: PublishedModel, images: Iterable[str], studies: Path) -> int:
    """How many images of a studies folder a model has seen, at most; none without a model.

    By their patients, as far as ``patients.json`` or the ids of images name them: none is known of those that DICOM
    files do. And no more than it has seen in all: of a patient there may be new ones.
    """
    try:
        data, patients = model.predictor()[1].data, read_patients(studies)
    except (ModelError, DataError):
        return 0
    seen = set(data.get("seen", ()))
    there = sum(patient_hash(patients.get(image, image)) in seen for image in images)
    return min(there, data.get("training_images", 0) + data.get("validation_images", 0))


def _read(file: Path) -> _Last:
    """The last run; of a damaged file, none."""
    try:
        last = _Last(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return _Last()
    return last if isinstance(last.labels, int) and isinstance(last.attempts, int) else _Last()
