"""Plane geometry on batches of points: arrays (..., 2), (x, y) in one unit along both axes, 64-bit floats.

Every function answers NaN where points are absent (NaN) or define no value, such as an angle at a point to itself.
Signs never depend on how the image is turned or mirrored: what is positive, another landmark says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Two points closer than this, in mm or pixels, define no direction.
SAME_PLACE = 1e-6


def cross(first: Array, second: Array) -> Array:
    """(...), the area that two vectors (..., 2) span; positive where the image's x axis turns towards its y axis."""
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])


def dot(first: Array, second: Array) -> Array:
    """(...), the scalar product of vectors (..., 2)."""
    return np.asarray(first[..., 0] * second[..., 0] + first[..., 1] * second[..., 1])


def length(vector: Array) -> Array:
    """(...), the length of vectors (..., 2)."""
    return np.sqrt(dot(vector, vector))  # np.hypot takes three times as long


def distance(first: Array, second: Array) -> Array:
    """(...), between points."""
    return length(second - first)


def angle_between(first: Array, second: Array) -> Array:
    """(...), degrees in [0, 180] from one direction (..., 2) to another."""
    turned = np.degrees(np.arctan2(np.abs(cross(first, second)), dot(first, second)))
    return np.where(_directed(first) & _directed(second), turned, np.nan)


def angle_at(first: Array, vertex: Array, second: Array) -> Array:
    """(...), degrees in [0, 180] at ``vertex`` between the rays to two points."""
    return angle_between(first - vertex, second - vertex)


def turning(first: Array, second: Array, third: Array) -> Array:
    """(...), 1 or -1: to which side the path over three points turns; NaN where it is straight."""
    side = np.sign(cross(second - first, third - second))
    return np.where(np.abs(side) == 1, side, np.nan)


def signed_angle(first: Array, second: Array, positive: Array) -> Array:
    """(...), degrees in [-180, 180] by which one direction (..., 2) turns into another.

    Args:
        first, second: directions (..., 2).
        positive: (...), 1 or -1, which :func:`turning` is positive.
    """
    turned = np.degrees(np.arctan2(cross(first, second), dot(first, second)))
    return np.where(_directed(first) & _directed(second), turned * positive, np.nan)


def signed_distance(point: Array, start: Array, end: Array, towards: Array) -> Array:
    """(...), of points from the line through two others; positive on the side of the point ``towards``."""
    along = end - start
    side = np.sign(cross(along, towards - start))
    away = cross(along, point - start) / _nonzero(length(along))
    return np.where(np.abs(side) == 1, away * side, np.nan)


def position_along(point: Array, start: Array, end: Array) -> Array:
    """(...), how far along the line from ``start`` to ``end`` the foot of a point's perpendicular lies, from start."""
    along = end - start
    return np.asarray(dot(along, point - start) / _nonzero(length(along)))


def foot(point: Array, start: Array, end: Array) -> Array:
    """(..., 2), where the perpendicular from a point meets the line through two others."""
    along = end - start
    return np.asarray(start + along * (position_along(point, start, end) / _nonzero(length(along)))[..., None])


def ratio(first: Array, second: Array) -> Array:
    """(...), of two lengths."""
    return np.asarray(first / _nonzero(second))


def _directed(vector: Array) -> NDArray[np.bool_]:
    return np.asarray(np.maximum(np.abs(vector[..., 0]), np.abs(vector[..., 1])) > SAME_PLACE)


def _nonzero(lengths: Array) -> Array:
    return np.where(lengths > SAME_PLACE, lengths, np.nan)
