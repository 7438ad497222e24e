"""What is known of a study's images, to choose the next one by: found out in the background, image by image."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activelearning.snapshot import Snapshot
from datastore import LandmarkDatastore
from landmarklabel.active import Scorer, appearance
from landmarklabel.active.features import Features
from landmarklabel.active.scores import Known, Scores
from landmarklabel.errors import ImageError, ModelError, NotFoundError, RemoteError, StorageError
from landmarklabel.io import read_radiograph
from models import PublishedModel
from shapes import StudyShape

logger = logging.getLogger(__name__)

# While scores come in, choices are made by what was known some seconds ago.
_SNAPSHOT_S = 5.0

# In place of the content of an image that could not even be fetched, or opened; before its id.
_UNKNOWN = "@"

_NO_LOOK: Features = np.empty(0, dtype=np.float32)


@dataclass(frozen=True)
class _Model:
    """What scores: the version of the weights, and the scorer."""

    version: str
    scorer: Scorer


class ImageKnowledge:
    """Looks at every image once, and at the unlabelled ones once with each model.

    What was found out is in the index of the studies, by the content of images and the version of models: a server that
    is started again goes on where it was.

    Args:
        store: of images and labels.
        models: the first that is published scores.
        scores: where to keep what is found out.
        study: the study's own labels.
    """

    def __init__(
        self, store: LandmarkDatastore, models: Sequence[PublishedModel], scores: Scores, study: StudyShape
    ) -> None:
        self._store, self._models, self._scores, self._study = store, tuple(models), scores, study
        self._lock = threading.Lock()
        self._model: _Model | None = None
        self._todo: deque[str] = deque()
        self._looking = 0  # images at just now
        self._planned: tuple[object, ...] | None = None
        self._known, self._contents = Known(), dict[str, str]()
        self._loaded: str | None = ""  # version whose scores are in memory; at first, of none
        self._checked: set[str] = set()
        self._snapshot: Snapshot | None = None
        self._renew_after, self._stale = float("-inf"), True
        self._seconds: deque[float] = deque(maxlen=20)

    # Finding out --------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Find out about one image; False if nothing is to be found out.

        Raises:
            RemoteError: another server, which has the image, does not answer; the others go before it now.
        """
        self._plan()
        if not self._todo:
            self._renew_snapshot(at_once=True)
            return False
        start = time.perf_counter()
        with self._lock:
            name, self._looking = self._todo.popleft(), 1
        try:
            with suppress(NotFoundError, FileNotFoundError):  # deleted a moment ago
                self._look_at(name)
        except (RemoteError, StorageError):
            with self._lock:
                self._todo.append(name)
            raise
        finally:
            self._looking = 0
        self._seconds.append(time.perf_counter() - start)
        self._stale = True
        self._renew_snapshot()
        return True

    def _plan(self) -> None:
        """Note what is to do, once images, labels or the model have changed."""
        model = self._published()
        plan = self._store.revision, None if model is None else model.version
        if plan == self._planned:
            return
        version = None if model is None else model.version
        if version != self._loaded:
            self._load(version)
        todo = deque(self._missing(version is not None))
        with self._lock:
            # Labels that were saved since are told to a snapshot when it is asked.
            self._stale |= bool(todo) or model is not self._model or self._planned is None
            self._model, self._todo, self._planned = model, todo, plan

    def _load(self, version: str | None) -> None:
        """Take what is known by another model than before."""
        if version is not None:
            self._scores.keep_models({version}.union(*(model.versions() for model in self._models)))
        known, contents = self._scores.known(version), self._scores.contents()
        with self._lock:
            self._known, self._loaded, self._contents = known, version, {**contents, **self._contents}

    def _published(self) -> _Model | None:
        for published in self._models:
            try:
                predictor, header = published.predictor()
            except ModelError:
                continue
            if self._model is not None and self._model.version == header.version:
                return self._model
            return _Model(header.version, Scorer(predictor.fork()))
        return None

    def _missing(self, with_scores: bool) -> list[str]:
        """Images of which something is not known yet; those that were not looked at since the start, too."""
        unlabelled = set(self._store.get_unlabeled_images())
        return [name for name in sorted(self._store.list_images()) if self._lacks(name, with_scores, unlabelled)]

    def _lacks(self, name: str, with_scores: bool, unlabelled: set[str]) -> bool:
        content = self._contents.get(name)
        if name not in self._checked or content is None or content not in self._known.appearance:
            return True
        if content in self._known.problems:
            return self._is_another(name, content)
        return with_scores and name in unlabelled and content not in self._known.scores

    def _is_another(self, name: str, content: str) -> bool:
        """Whether the file of an image that could not be read has been replaced."""
        if content.startswith(_UNKNOWN):  # until the next start: it would be fetched with every label that is saved
            return False
        try:
            return self._opened(name)[1] != content
        except (NotFoundError, ImageError, RemoteError, OSError):
            return False

    def _opened(self, name: str) -> tuple[Path, str]:
        """The file of an image, and its content.

        Raises:
            ImageError: it can't be fetched, or opened.
            RemoteError: another server, which has it, does not answer.
            NotFoundError, FileNotFoundError: it was deleted a moment ago.
        """
        path = self._store.require_image(name)
        try:
            return path, self._scores.content(name, path)
        except FileNotFoundError:
            raise
        except OSError as problem:
            raise ImageError(f"image {name}: can't be read ({problem.strerror})") from None

    def _look_at(self, name: str) -> None:
        try:
            path, content = self._opened(name)
        except ImageError as error:
            self._keep_unopened(name, str(error))
            return
        if name not in self._checked:
            self._forget_problem(content)
        look = self._known.appearance.get(content)
        scored = content in self._known.scores or content in self._known.problems
        wanted = self._model is not None and not scored and self._is_unlabelled(name)
        score = problem = None
        try:
            if look is None or wanted:
                radiograph = read_radiograph(path)
                look = appearance(radiograph) if look is None else look
                score = self._model.scorer(radiograph) if wanted and self._model is not None else None
        except ImageError as error:
            look, problem = _NO_LOOK, str(error)
        assert look is not None
        self._keep(name, content, look, problem)
        if score is not None and self._model is not None:
            self._scores.note_score(self._model.version, content, score)
            with self._lock:
                self._known.scores[content] = score

    def _forget_problem(self, content: str) -> None:
        """What could not be read before this server was started is tried once more: it may have been the disk."""
        if content in self._known.problems:
            self._scores.forget_look(content)
            with self._lock:
                del self._known.problems[content], self._known.appearance[content]

    def _keep(self, name: str, content: str, look: Features, problem: str | None) -> None:
        if content not in self._known.appearance:
            self._scores.note_look(content, look, problem)
        with self._lock:
            self._contents[name] = content
            self._known.appearance[content] = look
            self._checked.add(name)
            if problem is not None:
                self._known.problems[content] = problem

    def _keep_unopened(self, name: str, problem: str) -> None:
        """In memory alone: what is kept for the next server goes by content."""
        content = f"{_UNKNOWN}{name}"
        with self._lock:
            self._contents[name] = content
            self._known.appearance[content] = _NO_LOOK
            self._known.problems[content] = problem
            self._checked.add(name)

    def _is_unlabelled(self, name: str) -> bool:
        return self._store.get_label_uri(name, "final") == ""

    # What is known ------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What is known, as arrays; of some seconds ago while scores come in."""
        with self._lock:
            snapshot = self._snapshot
        return snapshot if snapshot is not None else self._renew_snapshot(at_once=True)

    def _renew_snapshot(self, at_once: bool = False) -> Snapshot:
        old = self._snapshot
        if old is not None and not self._stale:
            return old
        start = time.monotonic()
        if old is not None and not at_once and start < self._renew_after:
            return old
        self._stale = False
        labels, names = self._study.placed(), sorted(self._store.list_images())
        with self._lock:
            contents, known, model = dict(self._contents), self._known, self._model
            known = Known(dict(known.appearance), dict(known.scores), dict(known.problems))
        shape = None if model is None else model.scorer.shape
        snapshot = Snapshot.of(names, set(self._store.get_unlabeled_images()), contents, known, labels, shape)
        taken = time.monotonic() - start
        with self._lock:
            self._snapshot, self._renew_after = snapshot, start + max(_SNAPSHOT_S, 20 * taken)
        return snapshot

    def progress(self) -> dict[str, Any]:
        """How far this is, as in ``active_learning`` of /info/."""
        with self._lock:
            left, model, known = len(self._todo) + self._looking, self._model, len(self._contents)
            problems, scored = len(self._known.problems), len(self._known.scores)
            seconds = list(self._seconds)
        state = "not begun" if self._planned is None else "running" if left else "done"
        return {
            "state": state,
            "model": None if model is None else model.version,
            "images_known": known,
            "images_scored": scored,
            "images_left": left,
            "unreadable": problems,
            "seconds_left": round(left * sum(seconds) / len(seconds), 1) if left and seconds else None,
        }
