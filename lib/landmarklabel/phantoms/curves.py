"""Plane curves as rows of points (N, 2): splines, offsets, ribbons, and points that define landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .view import Array


def spline(knots: ArrayLike, count: int = 48, closed: bool = False) -> Array:
    """(count, 2) points of a smooth curve through knots (N, 2); a closed one does not repeat its first point.

    A cubic spline, natural at open ends. scipy's does the same, with checks that take longer than the few
    knots of a bone.
    """
    points = np.asarray(knots, dtype=np.float64)
    if closed:
        points = np.concatenate([points, points[:1]])
    # The root of the chord length keeps the curve from looping between close knots.
    steps = np.sqrt(np.hypot(*(points[1:] - points[:-1]).T))
    bends = _second_derivatives(points, steps, closed)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0.0, times[-1], count, endpoint=not closed)
    low = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(steps) - 1)
    step = steps[low, None]
    b = (at[:, None] - times[low, None]) / step
    a = 1 - b
    straight = a * points[low] + b * points[low + 1]
    return np.asarray(straight + ((a**3 - a) * bends[low] + (b**3 - b) * bends[low + 1]) * step**2 / 6)


def _second_derivatives(points: Array, steps: Array, closed: bool) -> Array:
    """(N, 2) at the knots of a cubic spline with continuous curvature."""
    count = len(points)
    slopes = (points[1:] - points[:-1]) / steps[:, None]
    matrix, right = np.eye(count), np.zeros((count, 2))
    i = np.arange(1, count - 1)
    matrix[i, i] = 2 * (steps[:-1] + steps[1:])
    matrix[i, i - 1], matrix[i, i + 1] = steps[:-1], steps[1:]
    right[1:-1] = 6 * (slopes[1:] - slopes[:-1])
    if closed:
        matrix[0, [0, 1, -2]] = 2 * (steps[-1] + steps[0]), steps[0], steps[-1]
        right[0] = 6 * (slopes[0] - slopes[-1])
        matrix[-1, 0] = -1.0  # the last knot is the first
    return np.linalg.solve(matrix, right)


def softened(polygon: ArrayLike, rounds: int = 2) -> Array:
    """(N 2^rounds, 2), a closed polygon (N, 2) with its corners cut round (Chaikin)."""
    points = np.asarray(polygon, dtype=np.float64)
    for _ in range(rounds):
        after = np.concatenate([points[1:], points[:1]])
        points = np.stack([0.8 * points + 0.2 * after, 0.2 * points + 0.8 * after], axis=1).reshape(-1, 2)
    return points


def uneven(rng: np.random.Generator, outline: Array, amount: float) -> Array:
    """A closed outline (N, 2) whose border wanders in and out by some ``amount`` mm."""
    turn = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)[:, None] * np.arange(2, 7)
    waves = np.cos(turn + rng.uniform(0, 2 * np.pi, 5)) * rng.normal(0, 1, 5) / np.arange(2, 7) ** 0.5
    return outline + normals(outline, closed=True) * (amount * waves.sum(axis=1) / 1.2)[:, None]


def evenly(curve: Array, count: int, closed: bool = False) -> Array:
    """(count, 2) points at equal arc lengths along a curve (N, 2), from its first point on."""
    points = np.concatenate([curve, curve[:1]]) if closed else curve
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], count, endpoint=not closed)
    return np.stack([np.interp(at, length, points[:, 0]), np.interp(at, length, points[:, 1])], axis=1)


def tangents(curve: Array, closed: bool = False) -> Array:
    """(N, 2) unit tangents."""
    way = np.empty_like(curve)
    way[1:-1] = curve[2:] - curve[:-2]
    if closed:
        way[0], way[-1] = curve[1] - curve[-1], curve[0] - curve[-2]
    else:
        way[0], way[-1] = curve[1] - curve[0], curve[-1] - curve[-2]
    return way / np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]


def normals(curve: Array, closed: bool = False) -> Array:
    """(N, 2) unit normals, to the right of the direction of travel as seen in the image."""
    along = tangents(curve, closed)
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def inset(outline: Array, depth: float) -> Array:
    """A closed outline (N, 2) moved inwards by ``depth`` mm, for outlines that bend wider than that."""
    x, y = (outline - outline[0]).T
    clockwise = (x[:-1] * y[1:] - y[:-1] * x[1:]).sum() > 0
    return outline + normals(outline, closed=True) * (depth if clockwise else -depth)


def ribbon(curve: Array, width: ArrayLike) -> Array:
    """(2 N, 2), the outline of a band along an open curve; ``width`` in mm, one or (N,)."""
    half = normals(curve) * (np.broadcast_to(np.asarray(width, dtype=np.float64), len(curve)) / 2)[:, None]
    return np.concatenate([curve - half, (curve + half)[::-1]])


def mm(x: float, y: float) -> Array:
    """(2,) an offset: ``x`` mm to the right, ``y`` mm down."""
    return np.array([x, y], dtype=np.float64)


def ellipse(centre: ArrayLike, radii: tuple[float, float], angle: float = 0.0, count: int = 40) -> Array:
    """(count, 2), clockwise as seen from the point at ``angle`` (radians, clockwise from x)."""
    turn = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    flat = np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)], axis=1)
    return turned(flat, angle) + np.asarray(centre, dtype=np.float64)


def turned(points: ArrayLike, angle: float, about: ArrayLike = (0.0, 0.0)) -> Array:
    """Points (..., 2) rotated by ``angle`` radians, clockwise as seen, about a point."""
    c, s = np.cos(angle), np.sin(angle)
    pivot = np.asarray(about, dtype=np.float64)
    offset = np.asarray(points, dtype=np.float64) - pivot
    x, y = offset[..., 0], offset[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1) + pivot


def towards(angle: float, length: float = 1.0) -> Array:
    """(2,) step of ``length`` in a direction: radians, clockwise from x as seen."""
    return np.array([np.cos(angle), np.sin(angle)]) * length


def crossing(first: Array, second: Array) -> Array:
    """(2,) where two open curves cross for the first time along ``first``.

    Raises:
        ValueError: they do not cross.
    """
    a, b = first[:-1, None], np.diff(first, axis=0)[:, None]
    c, d = second[None, :-1], np.diff(second, axis=0)[None]
    det = b[..., 0] * d[..., 1] - b[..., 1] * d[..., 0]
    det = np.where(det == 0, np.inf, det)
    gap = c - a
    t = (gap[..., 0] * d[..., 1] - gap[..., 1] * d[..., 0]) / det
    u = (gap[..., 0] * b[..., 1] - gap[..., 1] * b[..., 0]) / det
    met = np.argwhere((t >= 0) & (t <= 1) & (u >= 0) & (u <= 1) & np.isfinite(det))
    if not len(met):
        raise ValueError("the curves do not cross")
    i, j = met[0]
    return np.asarray(first[i] + t[i, j] * (first[i + 1] - first[i]))


def farthest(curve: Array, direction: ArrayLike) -> Array:
    """(2,) the point of a curve (N, 2) farthest in a direction."""
    return np.asarray(curve[np.argmax(curve @ np.asarray(direction, dtype=np.float64))])


def deepest(curve: Array) -> Array:
    """(2,) the point of an open curve (N, 2) farthest from the line through its ends."""
    chord = curve[-1] - curve[0]
    offset = curve - curve[0]
    return np.asarray(curve[np.argmax(np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]))])


def centroid(curve: Array) -> Array:
    """(2,) of the area between a curve (N, 2) and the line through its ends."""
    x, y = curve.T
    ahead = np.roll(curve, -1, axis=0)
    area = x * ahead[:, 1] - ahead[:, 0] * y
    return np.asarray(((curve + ahead) * area[:, None]).sum(axis=0) / (3 * area.sum()))
