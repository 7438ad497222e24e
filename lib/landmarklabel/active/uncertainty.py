"""By how much the landmarks of an image are expected to be wrong, before anybody has labelled it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def expected_errors(points: ArrayLike, mean: ArrayLike, covariances: ArrayLike, unit: ArrayLike = 1.0) -> Array:
    """The root mean square error of each answered landmark, if its true place is normally distributed.

    ``E|x - p|^2 = tr C + |m - p|^2`` for x of mean m and covariance C: what is uncertain, and by how much the answer p
    is not what is believed most. Where both are a network's and its posterior's, either alone ranks images worse
    (benchmarks/active.py).

    Args:
        points: (..., K, 2), what is answered, in pixels of the image; NaN where nothing is.
        mean: (..., K, 2), where the true place is believed to be.
        covariances: (..., K, 2, 2), how sure that is.
        unit: mm a pixel, a number or (sx, sy); 1 gives errors in pixels.

    Returns:
        (..., K), NaN where nothing is answered.
    """
    scale = np.broadcast_to(np.asarray(unit, dtype=np.float64), (2,))
    offset = (np.asarray(points, dtype=np.float64) - np.asarray(mean, dtype=np.float64)) * scale
    variances = np.diagonal(np.asarray(covariances, dtype=np.float64), axis1=-2, axis2=-1) * scale**2
    return np.sqrt((variances + offset**2).sum(axis=-1))
