"""How far a click reaches: what it does to landmarks that nobody touched, by their distance from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Reach:
    """What clicks did to untouched landmarks at one distance.

    Attributes:
        count: of pairs of a click and an untouched landmark.
        before, after: mean error of those landmarks before and after the click.
        mean_drop, median_drop: of the error of each; negative where it grew.
    """

    count: int
    before: float
    after: float
    mean_drop: float
    median_drop: float

    @property
    def percentage(self) -> float:
        """By how much the error falls, of what it was before."""
        return 100 * self.mean_drop / self.before if self.before else math.nan


def propagation(
    errors: ArrayLike, clicked: ArrayLike, points: ArrayLike, edges: Sequence[float], clicks: slice = slice(None)
) -> list[Reach]:
    """Fall of the error of untouched landmarks by a click, by distance from it.

    Args:
        errors: (N, C + 1, K), after 0 to C clicks; NaN is not counted.
        clicked: (N, C), which landmark each click put right; -1 where there was none left.
        points: (N, K, 2), true landmarks, in the unit of ``edges``.
        edges: rising; n + 1 of them make n bins, each with its lower edge.
        clicks: which of the C to count.

    Returns:
        for each bin.
    """
    errors, points = np.asarray(errors, dtype=np.float64), np.asarray(points, dtype=np.float64)
    clicked = np.asarray(clicked)
    distances, before, after = [], [], []
    for image, click in np.ndindex(*clicked.shape):
        index = clicked[image, click]
        if index < 0 or click not in range(clicked.shape[1])[clicks]:
            continue
        untouched = np.setdiff1d(np.arange(errors.shape[2]), clicked[image, : click + 1])
        distances.append(np.linalg.norm(points[image, untouched] - points[image, index], axis=1))
        before.append(errors[image, click, untouched])
        after.append(errors[image, click + 1, untouched])
    return _binned(_joined(distances), _joined(before), _joined(after), edges)


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.empty(0)


def _binned(
    distances: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64], edges: Sequence[float]
) -> list[Reach]:
    counted = np.isfinite(before) & np.isfinite(after)
    reaches = []
    for low, high in pairwise(edges):
        here = counted & (distances >= low) & (distances < high)
        drop = before[here] - after[here]
        if not drop.size:
            reaches.append(Reach(0, *(math.nan,) * 4))
            continue
        means = (before[here].mean(), after[here].mean(), drop.mean(), np.median(drop))
        reaches.append(Reach(drop.size, *map(float, means)))
    return reaches
