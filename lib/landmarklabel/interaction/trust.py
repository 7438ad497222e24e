"""How probable a landmark is to be where the answer puts it, to a tolerance: what needs a look, and not a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from .belief import Belief

Array = NDArray[np.float64]

# Gauss-Legendre nodes along the longer axis, over the part of the disc that is this many deviations wide each way.
_NODES, _DEVIATIONS = np.polynomial.legendre.leggauss(48), 9.0

# A landmark of no variance at all is taken to have this deviation, in parts of the tolerance.
_LEAST = 1e-6


def probability_within(known: Belief, points: ArrayLike, tolerance: float) -> Array:
    """(K,), the probability that each landmark's true place is no farther than ``tolerance`` from its answer.

    The mass of a normal distribution of any two variances in a disc that need not lie at its mean: along its longer
    axis by quadrature, across it in closed form.

    Args:
        known: what is believed, whose mean may be another place than the answer.
        points: (K, 2), the answer, in pixels of the image; NaN where there is none.
        tolerance: in pixels of the image.
    """
    answered = np.asarray(points, dtype=np.float64)
    there = np.isfinite(answered).all(axis=1)
    found = np.full(len(answered), np.nan)
    variances, axes = np.linalg.eigh(known.of_points()[there])
    short, long = np.maximum(np.sqrt(np.maximum(variances, 0.0)), _LEAST * tolerance).T
    offset = known.mean[there] - answered[there]
    across, along = np.einsum("nij,ni->jn", axes, offset)
    # By the angle, at which the disc's height is smooth up to its ends.
    low, high = np.arcsin(np.clip((along + [[-_DEVIATIONS], [_DEVIATIONS]] * long) / tolerance, -1.0, 1.0))
    nodes, weights = _NODES
    angle = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * nodes
    at, reach = tolerance * np.sin(angle), tolerance * np.cos(angle)
    density = np.exp(-(((at - along[:, None]) / long[:, None]) ** 2) / 2) / (long[:, None] * np.sqrt(2 * np.pi))
    inside = ndtr((reach - across[:, None]) / short[:, None]) - ndtr((-reach - across[:, None]) / short[:, None])
    mass = (high - low) / 2 * (weights * reach * density * inside).sum(axis=1)
    found[there] = np.clip(mass, 0.0, 1.0)
    return found
