"""What is compared when images are to differ: how an image looks, and how its landmarks lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn

from ..interaction.shape_prior import ShapePrior
from ..radiograph import Radiograph
from ..transforms import Placement
from ..transforms.intensity import place_radiograph

Array = NDArray[np.float64]
Features = NDArray[np.float32]
Appearance = Features

#: Numbers that say how an image looks; float32.
APPEARANCE = 63

#: Modes of the shape that say how landmarks lie.
MODES = 8

_SIDE, _FREQUENCIES = 32, 8
_FARTHEST = 4.0  # in deviations: a wild prediction is uncertain, and that is counted elsewhere


def appearance(radiograph: Radiograph) -> Appearance:
    """How an image looks, (63,): its lowest frequencies, of length 1, whatever its size, brightness and contrast.

    The 8 x 8 lowest coefficients of the discrete cosine transform of the image at 32 x 32, but the mean. No network is
    needed, so that images differ before there is a model, and go on to differ in the same way after each training.
    """
    small = place_radiograph(radiograph, Placement(radiograph.size, (_SIDE, _SIDE))).numpy()
    lowest = dctn(small.astype(np.float64), norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    length = float(np.linalg.norm(lowest))
    return (lowest / length if length > 0 else lowest).astype(np.float32)


@dataclass(frozen=True)
class ShapeModes:
    """How the landmarks of an image lie, in deviations along the modes in which labels differ most.

    Attributes:
        mean: (K', 2) of the known landmarks, in a prior's relative coordinates.
        axes: (2K', M), of length 1, each divided by its deviation.
        known: (K,), which landmarks count.
    """

    mean: Array
    axes: Array
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, prior: ShapePrior, modes: int = MODES) -> ShapeModes:
        """The first modes of a prior; of fewer landmarks than that there are fewer."""
        values, vectors = np.linalg.eigh(prior.distribution.covariance)
        kept = min(modes, len(values))
        deviations = np.sqrt(np.maximum(values[-kept:], 1e-12))
        return cls(prior.distribution.mean, vectors[:, -kept:] / deviations, prior.known)

    def __call__(self, points: ArrayLike, size: tuple[int, int]) -> Features:
        """(M,) of landmarks (K, 2) in an image of ``size`` (W, H), in its pixels; absent ones say nothing."""
        relative = (np.asarray(points, dtype=np.float64) - (np.array(size) - 1) / 2) / max(size)
        offset = np.nan_to_num(relative[self.known] - self.mean, nan=0.0)
        return np.clip(offset.ravel() @ self.axes, -_FARTHEST, _FARTHEST).astype(np.float32)


def combined(*blocks: ArrayLike) -> Features:
    """Features (N, D1 + D2 + ...) of several kinds (N, D): each kind counts as much as the others.

    Each is centred, and divided by its spread over the images. Rows of NaN, of which a kind is not known, lie at its
    centre.
    """
    scaled = []
    for block in blocks:
        values = np.asarray(block, dtype=np.float32)
        known = values[np.isfinite(values).all(axis=1)]
        if not known.size:
            continue
        spread = float(np.sqrt(known.var(axis=0).sum()))
        centred = np.nan_to_num(values - known.mean(axis=0), nan=0.0)
        scaled.append(centred / spread if spread > 1e-6 else centred)
    return np.concatenate(scaled, axis=1) if scaled else np.zeros((len(np.asarray(blocks[0])), 0), dtype=np.float32)
