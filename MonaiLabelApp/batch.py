"""Batch inference: a model's answers for a whole studies folder, image by image, behind everything that is clicked.

In place of MONAI Label's own, which starts a process of its own that loads all anew, keeps what it has answered, knows
no beginning but the first image, and divides by the number of GPUs.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from monailabel.interfaces.tasks.infer_v2 import InferTask

from datastore import LandmarkDatastore
from landmarklabel.errors import (
    ConfigError,
    ImageError,
    LabelError,
    LandmarkLabelError,
    ModelError,
    NotFoundError,
    RefusedError,
    RemoteError,
    StorageError,
    listed,
)
from landmarklabel.files import atomic_write, storage_errors
from landmarklabel.io.layouts.studies import SEGMENTATION_TAG

IMAGES = ("all", "labeled", "unlabeled")

#: Tags under which people's own work is kept.
PEOPLES = ("final", "draft", "derived")

_MOST_FAILURES = 100

# How often an image is asked for that an archive, though it answers, does not give.
_ATTEMPTS = 3

_WRITE_S = 5.0
_RUNNING, _DONE, _STOPPED, _ERROR = "RUNNING", "DONE", "STOPPED", "ERROR"


class RunningError(LandmarkLabelError):
    """There is one already."""

    http_status = 429


class BatchInference:
    """One batch at a time. What is to do follows from the labels that are there, so that it goes on after a restart.

    Args:
        store: of images and labels.
        tasks: that may be run, by name; they keep little of images, and nobody else uses them.
        version: of the model that answers a task.
        file: where the state is kept; a batch that was running when the server ended goes on.
    """

    def __init__(
        self, store: LandmarkDatastore, tasks: Mapping[str, InferTask], version: Callable[[str], str], file: Path
    ) -> None:
        self._store, self._tasks, self._version, self._file = store, tasks, version, file
        self._changed = threading.Condition()
        self._state: dict[str, Any] = _read(file)
        self._todo: deque[str] | None = None  # not known yet after a start
        self._refusals = Counter[str]()  # by image
        self._written, self._begun = float("-inf"), time.monotonic()

    # Asking -------------------------------------------------------------------------------------------------

    def submit(self, model: str, images: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a batch.

        Args:
            model: name of an infer task.
            images: ``all``, ``labeled`` or ``unlabeled``.
            params: ``label_tag`` under which to save, ``original`` by default; ``max_batch_size``, how many images at
                most, 0 for all. What else MONAI Label's clients send (devices, workers) is of no use here.

        Raises:
            NotFoundError: there is no such task.
            ConfigError: images, a tag or a number that it can't be.
            ModelError: there is no model to answer with.
            RunningError: a batch is running.
        """
        if model not in self._tasks:
            raise NotFoundError(f"there is no model '{model}'; there are {listed(self._tasks)}")
        if images not in IMAGES:
            raise ConfigError(f"images is one of {listed(IMAGES)}, got {images!r}")
        request = {"model": model, "images": images, "label_tag": _tag(params), "max_batch_size": _most(params)}
        version = self._version(model)
        with self._changed:
            if self._state.get("status") == _RUNNING:
                raise RunningError(
                    f"a batch of '{self._state['request']['model']}' is running; DELETE /batch/infer ends it"
                )
            self._state = {
                "id": uuid.uuid4().hex, "status": _RUNNING, "request": request, "version": version, "start_ts": _now(),
                "done": 0, "there_already": 0, "failed": 0, "failures": {}, "details": [],
            }  # fmt: skip
            self._todo, self._begun = None, time.monotonic()
            self._write()
        return self.state()

    def state(self) -> dict[str, Any]:
        """Of the newest batch, in MONAI Label's keys and our own.

        Raises:
            NotFoundError: there was none yet.
        """
        with self._changed:
            if not self._state:
                raise NotFoundError("no batch was run yet; POST /batch/infer/MODEL begins one")
            left = None if self._todo is None else len(self._todo)
            took = time.monotonic() - self._begun
            running, done = self._state["status"] == _RUNNING, self._state["done"]
            seconds = round(left * took / done, 1) if running and left and done else None
            return {**self._state, "failures": dict(self._state["failures"]), "left": left, "seconds_left": seconds}

    def stop(self) -> dict[str, Any]:
        """End the batch that runs, after the image that is looked at just now."""
        with self._changed:
            if self._state.get("status") == _RUNNING:
                self._end(_STOPPED)
        return self.state()

    def wait(self) -> dict[str, Any]:
        """Return once no batch runs."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.get("status") != _RUNNING)
        return self.state()

    # Doing --------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Answer for one image; False if no batch runs.

        Raises:
            RemoteError: another server, which has the image, does not answer; the others go before it now.
        """
        with self._changed:
            if self._state.get("status") != _RUNNING:
                return False
            request, batch = self._state["request"], self._state["id"]
        try:
            if self._todo is None:
                self._plan(request, batch)
            name = self._next(batch)
            if name is not None:
                self._answer(name, request, batch)
        except (StorageError, ModelError, NotFoundError) as problem:
            self._fail(str(problem), batch)
        return True

    def _plan(self, request: Mapping[str, Any], batch: str) -> None:
        """Which images are to do: those that have no such label by the model as it is now.

        That may take long; another batch that was begun meanwhile makes a plan of its own.
        """
        tag, images = request["label_tag"], request["images"]
        names = {
            "all": self._store.list_images,
            "labeled": self._store.get_labeled_images,
            "unlabeled": self._store.get_unlabeled_images,
        }[images]()
        wanted = sorted(names)[: request["max_batch_size"] or None]
        version = self._version(request["model"])
        kept = f"{tag}{SEGMENTATION_TAG}" if request["model"] == "segmentation" else tag
        todo = deque(name for name in wanted if self._made_by(name, kept, request["model"]) != version)
        with self._changed:
            if not self._is_wanted(batch):
                return
            self._todo, self._begun, self._refusals = todo, time.monotonic(), Counter()
            self._state |= {"images": len(wanted), "there_already": len(wanted) - len(todo), "done": 0}

    def _made_by(self, name: str, tag: str, task: str) -> str | None:
        """Version of the model whose answer to a task a label is; None if it is none."""
        if not self._store.get_label_uri(name, tag):
            return None
        info = self._store.get_label_info(name, tag)
        return info.get("version") if info.get("model") == task else None

    def _next(self, batch: str) -> str | None:
        with self._changed:
            if not self._is_wanted(batch):
                return None
            if self._todo:
                return self._todo.popleft()
            self._end(_DONE)
            return None

    def _answer(self, name: str, request: Mapping[str, Any], batch: str) -> None:
        try:
            problem = self._tried(name, request, batch)
        except RemoteError as error:
            self._refusals[name] += isinstance(error, RefusedError)
            if self._refusals[name] < _ATTEMPTS:
                self._put_back(name, str(error), batch)
                raise
            problem = f"image {name}: {error}"
        except (StorageError, ModelError):  # no other image would fare better
            raise
        except Exception:
            self._note(name, f"image {name}: the server failed on it; its log says where", batch)
            raise
        self._note(name, problem, batch)

    def _tried(self, name: str, request: Mapping[str, Any], batch: str) -> str | None:
        """Answer for an image; why it can't be, if the reason is the image."""
        file = None
        try:
            path = self._store.require_image(name)
            file, params = self._tasks[request["model"]]({"image": str(path), "image_name": name})
            model = params["model"]
            info = {"model": request["model"], "version": model.get("version"), "params": {"model": model}}
            if self._is_wanted(batch):
                self._store.save_label(name, file, request["label_tag"], info)
        except NotFoundError:  # deleted a moment ago
            return None
        except (ImageError, LabelError) as error:
            return str(error)
        except OSError as error:
            return f"image {name}: can't be answered for ({error.strerror or type(error).__name__})"
        finally:
            if file is not None:
                Path(file).unlink(missing_ok=True)
        return None

    def _put_back(self, name: str, sentence: str, batch: str) -> None:
        with self._changed:
            if self._state["id"] == batch and self._todo is not None:
                self._todo.append(name)
                self._state["details"] = [sentence]

    def _is_wanted(self, batch: str) -> bool:
        with self._changed:
            return bool(self._state["id"] == batch and self._state["status"] == _RUNNING)

    def _note(self, name: str, problem: str | None, batch: str) -> None:
        with self._changed:
            if self._state["id"] != batch:
                return
            self._state["done"] += 1
            self._state["details"] = []
            if problem is not None:
                self._state["failed"] += 1
                if len(self._state["failures"]) < _MOST_FAILURES:
                    self._state["failures"][name] = problem
            if time.monotonic() > self._written + _WRITE_S:
                self._write()

    def _fail(self, sentence: str, batch: str) -> None:
        with self._changed:
            if self._state["id"] == batch and self._state["status"] == _RUNNING:
                self._state["details"] = [sentence]
                self._end(_ERROR)

    def _end(self, status: str) -> None:
        self._state |= {"status": status, "end_ts": _now()}
        self._changed.notify_all()
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        try:
            with storage_errors(self._file, "the state of the batch"):
                self._file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._file, json.dumps(self._state).encode(), "the state of the batch")
        except StorageError as problem:  # it is remembered as long as the server runs
            self._state["details"] = [str(problem)]


def batch_routes(batch: BatchInference, wake: Callable[[], None]) -> APIRouter:
    """The routes, as MONAI Label has them.

    Args:
        batch: that they begin, show and end.
        wake: is called when there is something to do.
    """
    router = APIRouter(prefix="/batch", tags=["Infer"])

    @router.get("/infer", summary="How the newest batch goes")
    def state() -> dict[str, Any]:
        return batch.state()

    @router.post("/infer/{model}", summary="Answer for many images, and save the answers as labels")
    def submit(
        model: str,
        images: str = "all",
        run_sync: bool = False,
        params: Annotated[dict[str, Any] | None, Body()] = None,
    ) -> dict[str, Any]:
        begun = batch.submit(model, images, params or {})
        wake()
        return batch.wait() if run_sync else begun

    @router.delete("/infer", summary="End the batch")
    def stop() -> dict[str, Any]:
        return batch.stop()

    return router


def _read(file: Path) -> dict[str, Any]:
    """The state of before; of a damaged file, none."""
    try:
        state = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(state, dict) and {"id", "status", "request", "done", "failed", "failures"} <= state.keys()
    return state if whole else {}


def _tag(params: Mapping[str, Any]) -> str:
    tag = params.get("label_tag") or "original"
    if not isinstance(tag, str):
        raise ConfigError(f"label_tag must be a name, got {str(tag)[:60]!r}")
    if tag.removesuffix(SEGMENTATION_TAG) in PEOPLES:
        raise ConfigError(f"label_tag '{tag}': labels of that tag are people's own; choose another, such as original")
    return tag


def _most(params: Mapping[str, Any]) -> int:
    most = params.get("max_batch_size") or 0
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise ConfigError(f"max_batch_size must be a whole number from 0 on, got {str(most)[:60]!r}")
    return most


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
