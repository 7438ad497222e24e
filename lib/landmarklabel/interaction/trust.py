"""How probable a landmark is to be where the answer puts it, to a tolerance: what needs a look, and not a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, roots_genlaguerre

from .belief import Belief

Array = NDArray[np.float64]

#: Errors have longer tails than a normal distribution's: divided by their stated deviations they follow Student's t of
#: so many degrees of freedom (benchmarks/trust.py: on spines, up to the 99th percentile).
TAILS = 4

# Stated regions are measured to hold this part (engine/calibration.py): there t and the normal distribution agree.
_MEASURED = 0.9

# t is normal of a precision that is drawn: by Gauss-Laguerre nodes. A disc's mass along its longer axis: by
# Gauss-Legendre nodes, over what is so many deviations wide each way.
_DRAWS, _NODES, _DEVIATIONS = 16, np.polynomial.legendre.leggauss(24), 6.0

# A landmark of no variance at all is taken to have this deviation, in parts of the tolerance.
_LEAST = 1e-6


def probability_within(known: Belief, points: ArrayLike, tolerance: float) -> Array:
    """(K,), the probability that each landmark's true place is no farther than ``tolerance`` from its answer.

    Args:
        known: what is believed, whose mean may be another place than the answer.
        points: (K, 2), the answer, in pixels of the image; NaN where there is none.
        tolerance: in pixels of the image.
    """
    answered = np.asarray(points, dtype=np.float64)
    there = np.isfinite(answered).all(axis=1)
    found = np.full(len(answered), np.nan)
    offset, covariances = (known.mean - answered)[there], known.of_points()[there]
    scales, weights = _scales()
    stretched = (scales[:, None, None, None] * covariances).reshape(-1, 2, 2)
    mass = normal_within(np.tile(offset, (len(scales), 1)), stretched, tolerance)
    found[there] = weights @ mass.reshape(len(scales), -1)
    return found


def normal_within(offset: Array, covariances: Array, tolerance: float) -> Array:
    """(N,), the mass of normal distributions in a disc about 0 that need not lie at their means.

    Along the longer axis by quadrature, across it in closed form.

    Args:
        offset: (N, 2), their means.
        covariances: (N, 2, 2).
        tolerance: the disc's radius.
    """
    variances, axes = np.linalg.eigh(covariances)
    short, long = np.maximum(np.sqrt(np.maximum(variances, 0.0)), _LEAST * tolerance).T
    across, along = np.einsum("nij,ni->jn", axes, offset)
    # By the angle, at which the disc's height is smooth up to its ends.
    low, high = np.arcsin(np.clip((along + [[-_DEVIATIONS], [_DEVIATIONS]] * long) / tolerance, -1.0, 1.0))
    nodes, weights = _NODES
    angle = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * nodes
    at, reach = tolerance * np.sin(angle), tolerance * np.cos(angle)
    density = np.exp(-(((at - along[:, None]) / long[:, None]) ** 2) / 2) / (long[:, None] * np.sqrt(2 * np.pi))
    inside = ndtr((reach - across[:, None]) / short[:, None]) - ndtr((-reach - across[:, None]) / short[:, None])
    mass = (high - low) / 2 * (weights * reach * density * inside).sum(axis=1)
    return np.asarray(np.clip(mass, 0.0, 1.0))


def _scales() -> tuple[Array, Array]:
    """By what covariances are multiplied, and how probable each factor is, so that normal ones make a t.

    Of two variates, the part within a squared distance d is 1 - (1 + d / TAILS)^(-TAILS / 2); of normal ones it is
    1 - exp(-d / 2).
    """
    draws, weights = roots_genlaguerre(_DRAWS, TAILS / 2 - 1)
    normal = -2 * np.log(1 - _MEASURED)
    wider = TAILS * ((1 - _MEASURED) ** (-2 / TAILS) - 1)
    return normal / wider * (TAILS / 2) / draws, weights / weights.sum()
