"""Whether a stated uncertainty is true: how often the truth lies in the region that is said to hold it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mahalanobis(points: ArrayLike, mean: ArrayLike, covariance: ArrayLike) -> NDArray[np.float64]:
    """Distances of points from the means of normal distributions, in standard deviations.

    Args:
        points, mean: (..., 2).
        covariance: (..., 2, 2), positive definite.

    Returns:
        (...); NaN where a point or a mean is.
    """
    offset = np.asarray(points, dtype=np.float64) - np.asarray(mean, dtype=np.float64)
    solved = np.linalg.solve(np.asarray(covariance, dtype=np.float64), offset[..., None])[..., 0]
    return np.asarray(np.sqrt((offset * solved).sum(-1)))


def coverage(distances: ArrayLike, levels: Sequence[float]) -> list[float]:
    """How much of the truth lies within the region of each level, as percentages; well calibrated is 100 * level.

    The region of a level is the ellipse around the mean that holds that part of a normal distribution of the plane: its
    squared Mahalanobis radius is -2 ln(1 - level), the quantile of chi squared with two degrees of freedom.

    Args:
        distances: Mahalanobis distances of the truth, of any shape; NaN is not counted.
        levels: between 0 and 1.

    Returns:
        a percentage for each level; NaN where there is nothing to count.
    """
    values = np.asarray(distances, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return [math.nan] * len(levels)
    return [float(100 * np.mean(values**2 <= -2 * math.log1p(-level))) for level in levels]
