"""Conditioning a joint normal distribution, by the textbook's formula: what the library is compared with."""

import numpy as np
from numpy.typing import NDArray

from landmarklabel.interaction.gaussian import coordinates

Array = NDArray[np.float64]


def conditioned(
    mean: Array, covariance: Array, seen: NDArray[np.intp], points: Array, noise: Array | float = 0.0
) -> tuple[Array, Array]:
    """Mean (2K,) and covariance (2K, 2K) once points (C, 2) are seen, each with a deviation of its own."""
    flat, rows = mean.reshape(-1), coordinates(seen)
    errors = np.diag(np.repeat(np.broadcast_to(noise, len(seen)), 2) ** 2)
    gain = covariance[:, rows] @ np.linalg.inv(covariance[np.ix_(rows, rows)] + errors)
    return flat + gain @ (points.reshape(-1) - flat[rows]), covariance - gain @ covariance[rows]
