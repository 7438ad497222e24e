"""A normal distribution over the positions of all landmarks of an image, and what an observation does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

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

    def observe(self, indices: ArrayLike, points: ArrayLike, noise: ArrayLike = 0.0) -> Gaussian:
        """The distribution once some points are seen, each with an error of its own.

        Args:
            indices: (C,), which points; each at most once.
            points: (C, 2), where they were seen.
            noise: standard deviation of the error of each coordinate: a number, or (C,); or the errors' covariances
                (C, 2, 2). An error of 0 puts the mean exactly there.
        """
        indices = np.asarray(indices, dtype=np.intp)
        if not indices.size:
            return self
        if len(np.unique(indices)) != indices.size:
            raise ValueError(f"each point is observed once, got {indices.tolist()}")
        rows = coordinates(indices)
        inner = self.covariance[np.ix_(rows, rows)] + _of_errors(noise, indices.size)
        gain = cho_solve(cho_factor(inner), self.covariance[rows]).T
        surprise = np.asarray(points, dtype=np.float64).reshape(-1) - self.mean.reshape(-1)[rows]
        covariance = self.covariance - gain @ self.covariance[rows]
        return Gaussian(self.mean + (gain @ surprise).reshape(-1, 2), (covariance + covariance.T) / 2)

    def of_points(self) -> Array:
        """(K, 2, 2), the covariance of each point by itself."""
        blocks = self.covariance.reshape(len(self), 2, len(self), 2)
        return np.ascontiguousarray(np.einsum("kikj->kij", blocks))

    def with_points(self, indices: NDArray[np.intp], mean: Array, covariance: Array) -> Gaussian:
        """Other means (C, 2) and covariances (C, 2, 2) for some points by themselves; how points depend stays."""
        blocks = np.tile(np.eye(2), (len(self), 1, 1))
        old, new = self.of_points()[indices], covariance
        blocks[indices] = np.linalg.cholesky(new) @ np.linalg.inv(np.linalg.cholesky(old))
        means = self.mean.copy()
        means[indices] = mean
        shaped = np.einsum("kij,kjlm->kilm", blocks, self.covariance.reshape(len(self), 2, len(self), 2))
        shaped = np.einsum("kilm,lnm->kiln", shaped, blocks)
        whole = shaped.reshape(self.covariance.shape)
        return Gaussian(means, (whole + whole.T) / 2)

    def mapped(self, scale: ArrayLike, offset: ArrayLike) -> Gaussian:
        """The distribution of ``points * scale + offset``, ``scale`` and ``offset`` (2,) or numbers."""
        scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), 2)
        each = np.tile(scale, len(self))
        return Gaussian(self.mean * scale + np.asarray(offset), self.covariance * np.outer(each, each))


def _of_errors(noise: ArrayLike, count: int) -> Array:
    """(2C, 2C), the covariance of errors that are independent from point to point."""
    noise = np.asarray(noise, dtype=np.float64)
    each = noise if noise.ndim == 3 else np.broadcast_to(noise**2, count)[:, None, None] * np.eye(2)
    whole = np.zeros((count, 2, count, 2))
    whole[np.arange(count), :, np.arange(count)] = each
    return whole.reshape(2 * count, 2 * count)


def coordinates(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows (2C,) of a covariance that belong to points (C,)."""
    return (2 * indices[:, None] + np.arange(2)).reshape(-1)
