"""How landmarks lie in a study's own final labels: learned again whenever a label is saved."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from datastore import LandmarkDatastore
from landmarklabel.errors import LandmarkLabelError
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
from landmarklabel.io.plausibility import suspicious
from landmarklabel.landmarks import Points
from landmarklabel.markups import parse_markups

_Stamp = tuple[int, int]
_Label = tuple[Points, tuple[int, int]] | None


class StudyShape:
    """The shape of a study's final labels. Labels are read once; those that can't be right don't count."""

    def __init__(self, store: LandmarkDatastore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._revision = -1
        self._labels: dict[str, tuple[_Stamp, _Label]] = {}
        self._shape: ShapePrior | None = None

    def shape(self) -> ShapePrior | None:
        """The shape; None while there is no label."""
        with self._lock:
            return self._up_to_date()

    def labels(self) -> int:
        """How many final labels count."""
        with self._lock:
            self._up_to_date()
            return sum(label is not None for _, label in self._labels.values())

    def placed(self) -> dict[str, tuple[Points, tuple[int, int]]]:
        """The labels that count: landmarks (K, 2), and the size (W, H) of the image, by image."""
        with self._lock:
            self._up_to_date()
            return {name: label for name, (_, label) in self._labels.items() if label is not None}

    def _up_to_date(self) -> ShapePrior | None:
        revision = self._store.revision  # before anything is read: a label that is saved meanwhile is another one
        if self._revision != revision:
            self._learn()
            self._revision = revision
        return self._shape

    def _learn(self) -> None:
        store, labels = self._store.store, dict[str, tuple[_Stamp, _Label]]()
        for name, (suffix, stamp) in store.label_stamps("final").items():  # to ask each file takes ten times as long
            known = self._labels.get(name)
            if known and known[0] == stamp:
                labels[name] = known
                continue
            with suppress(LandmarkLabelError, OSError):  # deleted a moment ago, or it can't be read, but may next time
                labels[name] = self._read(name, store.layout.label(name, "final", suffix))
        if {name: label[0] for name, label in labels.items()} == {name: each[0] for name, each in self._labels.items()}:
            return
        good = [label for _, label in labels.values() if label is not None]
        self._shape, self._labels = None, labels
        if good:
            points, sizes = (np.array(part) for part in zip(*good, strict=True))
            learn = ShapePrior.fit if len(good) >= FEWEST_LABELS else ShapePrior.of_few
            self._shape = learn(points, sizes)

    def _read(self, name: str, path: Path) -> tuple[_Stamp, _Label]:
        """A label, and of which file it is: the index speaks of a new one a moment before it is there."""
        status, geometry = path.stat(), self._store.geometry(name)
        stamp, data = (status.st_mtime_ns, status.st_size), path.read_bytes()
        try:
            points = parse_markups(data, self._store.protocol, geometry, path.name).points
        except LandmarkLabelError:  # wrong, and stays so
            return stamp, None
        wrong = suspicious(self._store.protocol, points, geometry.size) or not np.isfinite(points).any()
        return stamp, None if wrong else (points, geometry.size)
