"""What was known of all images at one moment, as arrays: a choice among 50,000 takes milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from landmarklabel.active import Pool, combined, distance_to_nearest
from landmarklabel.active.features import APPEARANCE, Features
from landmarklabel.active.scores import Known
from landmarklabel.landmarks import Points

Array = NDArray[np.float64]
ShapeOf = Callable[[Points, tuple[int, int]], Features]


@dataclass
class Snapshot:
    """Images, by row.

    Attributes:
        rows: of each image.
        errors: (N,), expected, in ``unit``; NaN where it is not known.
        unit: ``mm`` if the spacing of every image that was scored is known, else parts of the longer side.
        features: (N, D).
        unreadable: images that can't be read, and why.
    """

    rows: dict[str, int]
    errors: Array
    unit: str
    features: Features
    unreadable: dict[str, str]
    _covered: NDArray[np.bool_] = field(init=False)
    _nearest: Array = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._covered = np.zeros(len(self.rows), dtype=bool)
        self._nearest = np.full(len(self.rows), np.inf)

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        unlabelled: Collection[str],
        contents: Mapping[str, str],
        known: Known,
        labels: Mapping[str, tuple[Points, tuple[int, int]]],
        shape: ShapeOf | None,
    ) -> Snapshot:
        """What is known of images.

        Args:
            names: of all images.
            unlabelled: those without a final label.
            contents: digest of each, as far as it is known.
            known: by digest.
            labels: landmarks and image size of the labelled ones.
            shape: how the scoring model describes landmarks; None without a model.
        """
        ids = [contents.get(name, "") for name in names]
        scores = [known.scores.get(content) for content in ids]
        in_mm = all(score.mm is not None for score in scores if score is not None)
        errors = [np.nan if score is None else score.mm if in_mm else score.relative for score in scores]
        looks = _rows([known.appearance.get(content) for content in ids], APPEARANCE)
        lying = [None if score is None else score.shape for score in scores]
        if shape is not None:
            lying = [shape(*labels[n]) if n in labels else row for n, row in zip(names, lying, strict=True)]
        shapes = _rows(lying, max((len(row) for row in lying if row is not None), default=0))
        unreadable = {n: known.problems[c] for n, c in zip(names, ids, strict=True) if c in known.problems}
        rows = {name: index for index, name in enumerate(names)}
        unit = "mm" if in_mm else "of the longer side"
        made = cls(rows, np.array(errors, dtype=np.float64), unit, combined(looks, shapes), unreadable)
        made._cover(made._labelled(unlabelled))
        return made

    def pool(self, candidates: Sequence[str], unlabelled: Collection[str], in_work: Collection[str]) -> Pool:
        """What there is to choose one from.

        Args:
            candidates: images to choose from; those that came since are taken as like the average.
            unlabelled: all images without a final label.
            in_work: those that somebody labels just now, which count as covered.
        """
        if not self.rows:  # made of empty studies: there is no row that could stand for an image that came since
            return Pool.of(candidates)
        rows, working = self._rows_of(candidates), self._rows_of(in_work)
        with self._lock:
            nearest = self._cover(self._labelled(unlabelled))[rows]
        errors, features, new = self.errors[rows], self.features[rows], rows < 0
        if working.max(initial=-1) >= 0 and features.shape[1]:
            np.minimum(nearest, distance_to_nearest(features, self.features[working[working >= 0]]), out=nearest)
        errors[new], nearest[new], features[new] = np.nan, np.nan, 0.0
        known = nearest if np.isfinite(nearest).any() else None
        return Pool(candidates, errors, features, self.features[:0], known)

    def _labelled(self, unlabelled: Collection[str]) -> NDArray[np.bool_]:
        labelled, rows = np.ones(len(self.rows), dtype=bool), self._rows_of(unlabelled)
        labelled[rows[rows >= 0]] = False
        return labelled

    def _rows_of(self, names: Collection[str]) -> NDArray[np.intp]:
        """(N,), -1 for images that came since."""
        return np.fromiter(map(self.rows.get, names, repeat(-1)), dtype=np.intp, count=len(names))

    def _cover(self, labelled: NDArray[np.bool_]) -> Array:
        """(N,), distances to the nearest labelled image; what was labelled since the last time is added."""
        if (self._covered & ~labelled).any():  # a label was deleted
            self._covered[:], self._nearest[:] = False, np.inf
        new = labelled & ~self._covered
        if new.any() and self.features.shape[1]:
            np.minimum(self._nearest, distance_to_nearest(self.features, self.features[new]), out=self._nearest)
        self._covered |= new
        return self._nearest


def _rows(rows: Sequence[Features | None], width: int) -> Features:
    """(N, width), NaN where nothing of that width is known."""
    unknown = np.full(width, np.nan, dtype=np.float32)
    whole = [row if row is not None and len(row) == width else unknown for row in rows]
    return np.stack(whole) if whole else np.empty((0, width), dtype=np.float32)
