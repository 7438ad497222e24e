"""The vessels of the lungs: trees that leave the hila and grow thinner towards the chest wall."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .solids import round_profile
from .view import Array

_BANDS = np.array([0.95, 0.6])
_STEPS = 5
THINNEST = 0.45  # mm


def draw_tree(
    canvas: Canvas, rng: np.random.Generator, root: Array, headings: Array, scale: float, density: float = 1.0
) -> None:
    """One lung's vessels.

    Args:
        root: (2,) the hilum, in mm.
        headings: (N,) directions in radians, clockwise from x as seen, in which the main branches leave it.
        scale: size of the lung against the middle adult's.
        density: of blood, in mm of water a mm.
    """
    count = len(headings)
    start = root + rng.normal(0, 5.0, (count, 2)) * scale
    heading = headings + rng.normal(0, 0.12, count)
    radius = rng.uniform(1.6, 3.2, count) * scale
    length = rng.uniform(20, 36, count) * scale
    while len(start):
        path = _grown(rng, start, heading, length)
        end_radius = radius * 0.78
        _add(canvas, path, np.linspace(radius, end_radius, _STEPS, axis=1), density)
        # A branch parts into two of unequal width, the thinner one at the wider angle.
        thin = rng.uniform(0.6, 0.78, len(start))
        side = rng.choice((-1.0, 1.0), len(start))
        last = path[:, -1] - path[:, -2]
        way = np.arctan2(last[:, 1], last[:, 0])
        start = np.concatenate([path[:, -1], path[:, -1]])
        wide, narrow = rng.uniform(0.4, 0.8, len(way)), rng.uniform(0.05, 0.3, len(way))
        heading = np.concatenate([way + side * wide, way - side * narrow])
        radius = np.concatenate([end_radius * thin, end_radius * 0.88])
        length = np.concatenate([length, length]) * rng.uniform(0.68, 0.92, len(start))
        keep = radius > THINNEST
        start, heading, radius, length = start[keep], heading[keep], radius[keep], length[keep]


def _grown(rng: np.random.Generator, start: Array, heading: Array, length: Array) -> Array:
    """(N, steps, 2) slightly bent paths."""
    bend = rng.normal(0, 0.35, (len(start), 1)) * np.linspace(0, 1, _STEPS - 1) + heading[:, None]
    step = np.stack([np.cos(bend), np.sin(bend)], axis=-1) * (length / (_STEPS - 1))[:, None, None]
    return np.concatenate([start[:, None], start[:, None] + np.cumsum(step, axis=1)], axis=1)


def _add(canvas: Canvas, path: Array, radius: Array, density: float) -> None:
    way = np.gradient(path, axis=1)
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    across = np.stack([-way[..., 1], way[..., 0]], axis=-1) * radius[..., None]
    left = path[:, None] - across[:, None] * _BANDS[:, None, None]
    right = path[:, None] + across[:, None] * _BANDS[:, None, None]
    outlines = np.concatenate([left, right[:, :, ::-1]], axis=2)
    weights = round_profile(1.0, 1.0, _BANDS) * radius.mean(axis=1)[:, None] * density
    canvas.add(outlines, weights)
