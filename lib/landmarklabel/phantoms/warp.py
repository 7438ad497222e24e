"""Smooth bending of a template: a thin plate that is moved at some points and follows in between."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .view import Array


class Warp:
    """The thin-plate spline that takes points to other points."""

    def __init__(self, source: ArrayLike, target: ArrayLike) -> None:
        """``source`` and ``target``, (N, 2) each, N at least 3 and not on one line."""
        self._source = np.asarray(source, dtype=np.float64)
        count = len(self._source)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = self._kernel(self._source)
        system[:count, count] = 1.0
        system[:count, count + 1 :] = self._source
        system[count:, :count] = system[:count, count:].T
        right = np.zeros((count + 3, 2))
        right[:count] = np.asarray(target, dtype=np.float64)
        self._weights = np.linalg.solve(system, right)

    def _kernel(self, points: Array) -> Array:
        gap = points[:, None] - self._source
        squared = gap[..., 0] ** 2 + gap[..., 1] ** 2
        return squared * np.log(np.maximum(squared, 1e-12))

    def __call__(self, points: ArrayLike) -> Array:
        """Points (N, 2) as bent."""
        places = np.asarray(points, dtype=np.float64)
        count = len(self._source)
        bent = np.zeros_like(places)
        # Not a matrix product: BLAS may sum differently for other numbers of points.
        kernel = self._kernel(places)
        for axis in (0, 1):
            bent[:, axis] = (kernel * self._weights[:count, axis]).sum(axis=1)
        affine = self._weights[count:]
        return bent + affine[0] + places[:, :1] * affine[1] + places[:, 1:] * affine[2]
