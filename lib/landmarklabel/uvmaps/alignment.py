"""Similarity alignment of two sets of points (Umeyama, IEEE TPAMI 13, 1991)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError

Array = NDArray[np.float64]


class Similarity(NamedTuple):
    """``scale * rotation @ p + translation``; neither shear nor reflection.

    Attributes:
        scale: 0 or more.
        rotation: (2, 2), of determinant 1.
        translation: (2,).
    """

    scale: float
    rotation: Array
    translation: Array

    def apply(self, points: ArrayLike) -> Array:
        """Points (..., 2) where it takes them."""
        return np.asarray(points, dtype=np.float64) @ (self.scale * self.rotation.T) + self.translation


def umeyama(source: ArrayLike, target: ArrayLike) -> Similarity:
    """The similarity that brings points nearest to others, in the sum of squared distances.

    In the plane, with points as complex numbers about their centres, the best factor is ``sum(conj(a) b) / sum |a|^2``:
    its modulus is Umeyama's scale, its angle his rotation, which in this way is never a reflection.

    Args:
        source: (N, 2); NaN where a point is absent.
        target: (N, 2), likewise; pairs of which one is absent are left out.

    Raises:
        LabelError: fewer than two distinct points of ``source`` have a partner.
    """
    source, target = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    paired = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1)
    if paired.sum() < 2:
        raise LabelError(f"an alignment needs two pairs of points, got {paired.sum()}")
    centre, target_centre = source[paired].mean(axis=0), target[paired].mean(axis=0)
    a, b = _complex(source[paired] - centre), _complex(target[paired] - target_centre)
    spread = (np.abs(a) ** 2).sum()
    if spread == 0:
        raise LabelError("an alignment needs two distinct points, got the same point each time")
    factor = (a.conj() * b).sum() / spread
    cosine, sine = np.cos(np.angle(factor)), np.sin(np.angle(factor))
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    scale = float(np.abs(factor))
    return Similarity(scale, rotation, target_centre - scale * rotation @ centre)


def _complex(points: Array) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
