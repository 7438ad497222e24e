"""Carrying landmarks nobody trained from an image in which they were placed to others, through uv-maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .derived import MapPlace, place_on_shape, targets_of
from .errors import LabelError, listed
from .landmarks import Points
from .predictor import Predictor
from .segmenting import dense_readout

Array = NDArray[np.float64]


def place_of(predictor: Predictor, point: ArrayLike, labelled: Points | None = None) -> MapPlace:
    """Where a point of the image that was set lies on the mean shape.

    Args:
        predictor: of a model with uv-maps.
        point: (2,), (x, y) in pixels of the image.
        labelled: (K, 2), the image's true landmarks, which say it best; None: the model's own map is asked.

    Raises:
        RuntimeError: no image was set.
        ModelError: the model has no uv-maps.
        LabelError: the point is in no structure.
    """
    readout = dense_readout(predictor)
    ready, placement = predictor.seen()
    at = placement.points(np.asarray(point, dtype=np.float64))
    x, y = np.asarray(point, dtype=np.float64)
    if labelled is not None and np.isfinite(labelled).all(axis=1).sum() >= 3:
        # In the network's pixels, as the maps that it learned from; a sentence is in those of the image.
        named = f"({x:g}, {y:g})"
        return place_on_shape(at, placement.points(labelled), readout.regions, readout.mean_shape, named)
    place = readout.place(ready, torch.from_numpy(at).to(ready.device))
    if place is None:
        raise LabelError(
            f"({x:g}, {y:g}) lies in none of the structures that the model sees in this image "
            f"({listed(readout.regions.names, 20)}); label the image first, or place the landmark within one"
        )
    return place


def carried(predictor: Predictor, places: Mapping[str, MapPlace]) -> tuple[Array, Array]:
    """Where places on the mean shapes are in the image that was set.

    Returns:
        points (T, 2), (x, y) in pixels of the image, and confidence (T,), in the order of ``places``.

    Raises:
        RuntimeError: no image was set.
        ModelError: the model has no uv-maps.
    """
    readout = dense_readout(predictor)
    ready, placement = predictor.seen()
    found = readout.at(ready[None], targets_of(places))
    points = placement.points_back(found.points[0].double().cpu().numpy())
    return points, found.confidence[0].double().cpu().numpy()
