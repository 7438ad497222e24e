"""Readers that are simulated: which landmark they put right next, and how exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics import radial_errors
from .gaussian import Gaussian
from .posterior import Posterior

Array = NDArray[np.float64]

#: What to put right next: of what is known, the errors (K,) and what is free still (C,), the place in ``free``.
Order = Callable[[Gaussian, Array, NDArray[np.intp], np.random.Generator], int]


def worst_first(known: Gaussian, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    """An oracle: the landmark that is farthest off, as the published evaluations do."""
    return int(np.argmax(errors[free]))


def at_random(known: Gaussian, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    """Any."""
    return int(rng.integers(free.size))


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        order: which landmark is next.
        noise: standard deviation of each coordinate of a click, in pixels of the image.
    """

    order: Order = worst_first
    noise: float = 0.0


def simulate(
    posterior: Posterior, truth: Array, clicks: int, reader: Reader, rng: np.random.Generator, spacing: Array
) -> Array:
    """Errors of all landmarks after 0 to ``clicks`` clicks.

    Args:
        truth: (K, 2), in pixels of the image; NaN is never clicked, nor counted.
        spacing: (2,), by which an offset in pixels becomes one in the unit of errors.

    Returns:
        (clicks + 1, K), NaN where the truth is.
    """
    placed, points = np.empty(0, dtype=np.intp), np.empty((0, 2))
    rows = []
    for click in range(clicks + 1):
        known = posterior.given(placed, points, reader.noise)
        rows.append(radial_errors(known.mean, truth, spacing))
        free = np.setdiff1d(np.flatnonzero(np.isfinite(truth).all(axis=1)), placed)
        if click < clicks and free.size:
            chosen = free[reader.order(known, rows[-1], free, rng)]
            placed = np.append(placed, chosen)
            points = np.vstack([points, truth[chosen] + rng.normal(0, reader.noise, 2)])
    return np.stack(rows)
