"""A normal distribution over the positions of all landmarks, whole: what labels say, as it is learned and stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution over K points of the plane, with all their dependences.

    Attributes:
        mean: (K, 2), (x, y).
        covariance: (2K, 2K), coordinates in the order x0, y0, x1, y1, ...; symmetric, positive definite.
    """

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        if self.mean.ndim != 2 or self.mean.shape[1] != 2 or self.covariance.shape != (self.mean.size,) * 2:
            raise ValueError(f"a mean (K, 2) and a covariance (2K, 2K), got {self.mean.shape}, {self.covariance.shape}")

    def __len__(self) -> int:
        return len(self.mean)


def coordinates(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows (2C,) of a covariance that belong to points (C,)."""
    return (2 * indices[:, None] + np.arange(2)).reshape(-1)
