"""Landmarks nobody trained: a point of one labelled image, carried to any other through the uv-map.

DenseSeg (Keuth et al., 2024, Section 2.1.2): a landmark is a place on the mean shape of a structure. Where that is, one
image tells in which the landmark was placed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Delaunay, QhullError

from .errors import LabelError, listed
from .protocol import Protocol
from .uvmaps import Regions, Targets, Template

Array = NDArray[np.float64]

#: How far outside of all structures a point may lie, as a part of the nearest one's size: placed on an outline by hand,
#: it is off by a little.
MARGIN = 0.05


@dataclass(frozen=True)
class MapPlace:
    """A place on a mean shape.

    Attributes:
        region: its number.
        uv: (u, v); the box of the mean shape is [-1, 1]^2.
    """

    region: int
    uv: tuple[float, float]


def place_on_shape(
    point: ArrayLike, points: ArrayLike, regions: Regions, template: Template, named: str = ""
) -> MapPlace:
    """Where a point of a labelled image lies on the mean shape.

    Args:
        point: (2,), (x, y) in the unit of ``points``.
        points: (K, 2), the image's landmarks; NaN absent.
        regions: of the protocol.
        template: where the landmarks lie on the mean shapes.
        named: how an error calls the point; by its numbers by default.

    Raises:
        LabelError: the point is in no structure.
    """
    at, landmarks = np.asarray(point, dtype=np.float64), np.asarray(points, dtype=np.float64)
    found = [
        _on_region(at, landmarks[members], template.uv[region, members])
        for region, members in enumerate(regions.members)
    ]
    distance = np.array([np.inf if place is None else place[0] for place in found])
    nearest = int(distance.argmin())  # of several that contain it, the first
    place = found[nearest]
    if place is None or place[0] > MARGIN:
        raise LabelError(
            f"{named or f'({at[0]:g}, {at[1]:g})'} lies in none of the structures {listed(regions.names, 20)}; "
            "a landmark is carried to other images only within a structure"
        )
    return MapPlace(nearest, (float(place[1][0]), float(place[1][1])))


def _on_region(at: Array, outline: Array, uv: Array) -> tuple[float, Array] | None:
    """How far a point is outside of a structure, as a part of its size, and its (u, v); None if it has no area."""
    there = np.isfinite(outline).all(axis=1) & np.isfinite(uv).all(axis=1)
    corners, values = outline[there], uv[there]
    try:
        triangles = Delaunay(corners).simplices if len(corners) > 2 else []
    except QhullError:  # all on one line
        triangles = []
    if not len(triangles):
        return None
    size = float(np.ptp(corners, axis=0).max())
    best: tuple[float, Array] | None = None
    for triangle in triangles:
        weights = _nearest_weights(at, corners[triangle])
        outside = float(np.hypot(*(weights @ corners[triangle] - at))) / size
        if best is None or outside < best[0] - 1e-12:
            best = outside, weights @ values[triangle]
    return best


def _nearest_weights(at: Array, corners: Array) -> Array:
    """Barycentric weights (3,) of the point of a triangle (3, 2) that is nearest to a point."""
    edges = (corners[1:] - corners[0]).T
    if abs(np.linalg.det(edges)) > 1e-12:
        inner = np.linalg.solve(edges, at - corners[0])
        weights = np.array([1 - inner.sum(), *inner])
        if (weights >= -1e-12).all():
            return weights.clip(0) / weights.clip(0).sum()
    best, least = np.eye(3)[0], np.inf
    for a, b in ((0, 1), (1, 2), (2, 0)):
        side = corners[b] - corners[a]
        length = float(side @ side)
        part = float(np.clip((at - corners[a]) @ side / length, 0, 1)) if length > 0 else 0.0
        away = float(np.hypot(*(corners[a] + part * side - at)))
        if away < least:
            least, best = away, np.eye(3)[a] * (1 - part) + np.eye(3)[b] * part
    return best


def mean_place(places: Sequence[MapPlace]) -> MapPlace:
    """Of a landmark that was placed in several images: the middle, in the structure that most are in."""
    regions = [place.region for place in places]
    region = max(dict.fromkeys(regions), key=regions.count)
    uv = np.median([place.uv for place in places if place.region == region], axis=0)
    return MapPlace(region, (float(uv[0]), float(uv[1])))


def targets_of(places: Mapping[str, MapPlace]) -> Targets:
    """Places as the decoder wants them, in order."""
    region = torch.tensor([place.region for place in places.values()], dtype=torch.long)
    return Targets(region, torch.tensor([place.uv for place in places.values()], dtype=torch.float32).reshape(-1, 2))


def require_new(labels: Sequence[str], protocol: Protocol) -> None:
    """Check that landmarks are none of the protocol's.

    Raises:
        LabelError: one is.
    """
    known = [label for label in labels if label in protocol.labels]
    if known:
        raise LabelError(f"{listed(known)}: already a landmark of {protocol.name}; give the new one another label")
