"""The mean shape of each region, which uv-maps refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, LabelError
from .alignment import Similarity, umeyama
from .regions import Regions, have_area

Array = NDArray[np.float64]

_ROUNDS = 100
_STILL = 1e-6  # pixels


@dataclass(frozen=True, eq=False)
class Template:
    """Where each landmark lies on the mean shape of each region.

    Attributes:
        uv: (R, K, 2), (u, v) in [-1, 1]: the bounding box of the mean shape is [-1, 1]^2, u to the right, v down. NaN
            where a landmark is not in the region, or was in no shape.
        extent: (R, 2), half the width and half the height of that box, in pixels of the network's input.
    """

    uv: Array
    extent: Array

    @classmethod
    def learn(cls, points: ArrayLike, regions: Regions) -> Template:
        """The mean shapes of the training set (DenseSeg, Sec. 2.1.1), each of the mean size and direction.

        Args:
            points: (N, K, 2), (x, y) in pixels of the network's input; NaN where a landmark is absent.
            regions: of the protocol.

        Raises:
            LabelError: these are not points of this protocol.
            DataError: a region is in no shape, or its mean has no area.
        """
        shapes = np.asarray(points, dtype=np.float64)
        count = len(regions.home)
        if shapes.ndim != 3 or shapes.shape[1:] != (count, 2):
            raise LabelError(f"points must be (N, {count}, 2), one (x, y) an image and landmark, got {shapes.shape}")
        uv = np.full((len(regions), count, 2), np.nan)
        extent = np.empty((len(regions), 2))
        for region, (name, members) in enumerate(zip(regions.names, regions.members, strict=True)):
            mean = mean_shape(shapes[:, members])
            known = mean[np.isfinite(mean).all(axis=1)]
            if not have_area(known):
                raise DataError(
                    f"'{name}' has no mean shape: {len(known)} of its {len(members)} landmarks are in a label that can "
                    "be aligned; it takes 3 that are not on one line"
                )
            low, high = known.min(axis=0), known.max(axis=0)
            extent[region] = (high - low) / 2
            uv[region, members] = (mean - (low + high) / 2) / extent[region]
        return cls(uv, extent)


def mean_shape(shapes: Array) -> Array:
    """The mean (M, 2) of shapes (N, M, 2) that are aligned to it, by alignment and averaging in turn.

    It has their mean size and direction. NaN where a landmark is in no shape that can be aligned.
    """
    present = np.isfinite(shapes).all(axis=2)
    if not present.any():
        return np.full(shapes.shape[1:], np.nan)
    mean = shapes[present.sum(axis=1).argmax()]
    for _ in range(_ROUNDS):
        before, mean = mean, _averaged(shapes, mean)
        if not np.nanmax(np.abs(mean - before), initial=0.0) > _STILL:
            break
    return mean


def _averaged(shapes: Array, mean: Array) -> Array:
    """One round: shapes aligned to the mean, their mean, turned and scaled back to the mean pose of the shapes."""
    fits = [(shape, fit) for shape in shapes if (fit := _fit(shape, mean)) is not None]
    if not fits:
        return np.full_like(mean, np.nan)
    aligned = np.stack([fit.apply(shape) for shape, fit in fits])
    absent = ~np.isfinite(aligned).all(axis=2, keepdims=True)
    number = (~absent).sum(axis=0)
    total = np.where(absent, 0.0, aligned).sum(axis=0)
    average = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    scale = np.exp(np.mean([np.log(fit.scale) for _, fit in fits]))
    turn = np.mean([fit.rotation for _, fit in fits], axis=0)  # of the shapes to the mean
    angle = np.arctan2(turn[1, 0], turn[0, 0])
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    centred = average - np.nanmean(average, axis=0)
    return centred @ back.T


def _fit(shape: Array, mean: Array) -> Similarity | None:
    """What takes a shape to the mean; None where too few landmarks are in both."""
    try:
        fit = umeyama(shape, mean)
    except LabelError:
        return None
    return fit if fit.scale > 0 else None
