"""Readers that are simulated: which landmark they put right next, and how exactly; and what becomes of the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics import mahalanobis, radial_errors
from .belief import Belief
from .refinement import by_gain
from .refiners import Refiner

Array = NDArray[np.float64]

#: What to put right next: of what is known, the errors (K,) and what is free still (C,), the place in ``free``.
Order = Callable[[Belief, Array, NDArray[np.intp], np.random.Generator], int]


def worst_first(known: Belief, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    """An oracle: the landmark that is farthest off, as the published evaluations do."""
    return int(np.argmax(errors[free]))


def as_asked(known: Belief, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    """The landmark that the tool itself would ask for: the one of its review order."""
    ranks = np.argsort(by_gain(known))
    return int(np.argmin(ranks[free]))


def at_random(known: Belief, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    """Any."""
    return int(rng.integers(free.size))


#: By the names that the command line has for them.
ORDERS: dict[str, Order] = {"oracle": worst_first, "model": as_asked, "random": at_random}


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        order: which landmark is next.
        noise: standard deviation of each coordinate of a click, in the unit in which landmarks are compared.
    """

    order: Order = worst_first
    noise: float = 0.0


@dataclass(frozen=True)
class Revision:
    """How one image was revised, by C clicks on K landmarks.

    Attributes:
        points: (C + 1, K, 2), what the reader sees after 0 to C clicks; those that were placed where they were put.
        deviations: (C + 1, K), Mahalanobis distances of the truth under what is said of each landmark; NaN for those
            that were placed, and without truth.
        clicked: (C,), which landmark was placed by each click; -1 once all were.
        seconds: (C + 1,), wall-clock time of each answer; NaN once there was nothing to ask.
        first: what was believed before the first click.
    """

    points: Array
    deviations: Array
    clicked: NDArray[np.intp]
    seconds: Array
    first: Belief


def simulate(
    refiner: Refiner,
    truth: Array,
    clicks: int,
    reader: Reader,
    rng: np.random.Generator,
    spacing: Array | tuple[float, float] = (1.0, 1.0),
) -> Revision:
    """Let a reader revise an image, by at most ``clicks`` clicks; each landmark once, and none without truth.

    Args:
        truth: (K, 2), in pixels of the image; NaN is never clicked.
        spacing: (2,), by which an offset in pixels becomes one in the unit in which landmarks are compared.
    """
    scale, placed, points = np.asarray(spacing, dtype=np.float64), np.empty(0, dtype=np.intp), np.empty((0, 2))
    stated = reader.noise / float(scale.mean())  # refiners take one for both coordinates, in pixels
    seen, deviations, seconds = [], [], []
    for click in range(clicks + 1):
        start = time.perf_counter()
        known = refiner.given(placed, points, stated)
        seconds.append(time.perf_counter() - start)
        if click == 0:
            first = known
        now = known.mean.copy()
        now[placed] = points
        seen.append(now)
        free = np.setdiff1d(np.flatnonzero(np.isfinite(truth).all(axis=1)), placed)
        deviations.append(np.full(len(truth), np.nan))
        deviations[-1][free] = mahalanobis(truth[free], now[free], known.of_points()[free])
        if click == clicks or not free.size:
            break
        chosen = free[reader.order(known, radial_errors(now, truth, spacing), free, rng)]
        placed = np.append(placed, chosen)
        points = np.vstack([points, truth[chosen] + rng.normal(0, reader.noise / scale)])
    rest = clicks - len(placed)
    return Revision(
        points=np.stack(seen + seen[-1:] * rest),
        deviations=np.stack(deviations + deviations[-1:] * rest),
        clicked=np.append(placed, np.full(rest, -1)),
        seconds=np.append(seconds, np.full(rest, np.nan)),
        first=first,
    )
