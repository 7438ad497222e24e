"""Gas below the diaphragm: the bubble in the stomach, loops of bowel."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .curves import inset, spline, towards
from .solids import ball


def draw_stomach_bubble(canvas: Canvas, rng: np.random.Generator, x: float, top: float, scale: float) -> None:
    """Air over fluid in the stomach of a standing patient: a dome with its top at (x, top) in mm."""
    wide, high = rng.uniform(14, 27) * scale, rng.uniform(12, 28) * scale
    floor = top + high
    left = [(x - wide, floor), (x - 1.02 * wide, top + 0.6 * high), (x - 0.6 * wide, top + 0.12 * high)]
    right = [(x + 0.6 * wide, top + 0.15 * high), (x + wide, top + 0.65 * high), (x + 0.97 * wide, floor)]
    outline = spline([*left, (x, top), *right], 40)
    weight = -rng.uniform(20, 40)
    for depth in np.linspace(0.0, 2.2, 8) ** 2:
        shrunk = inset(outline, float(depth))
        shrunk[:, 1] = np.minimum(shrunk[:, 1], floor)
        canvas.add(shrunk, weight / 8)


def draw_bowel_gas(canvas: Canvas, rng: np.random.Generator, low: float, scale: float) -> None:
    """A few loops in the flanks and the pelvis; ``low`` is the height of the iliac crests in mm."""
    for _ in range(rng.integers(2, 9)):
        side = rng.choice((-1.0, 1.0))
        place = np.array([side * rng.uniform(40, 110) * scale, low + rng.uniform(-90, 60) * scale])
        heading = rng.uniform(0, 2 * np.pi)
        deep = rng.uniform(3, 9)
        for _ in range(rng.integers(2, 6)):
            # A loop is a chain of pouches that overlap, each turned a little against the last.
            heading += rng.normal(0, 0.7)
            size = rng.uniform(6, 13) * scale
            ball(canvas, place, (size, size * rng.uniform(0.6, 0.9)), -deep * rng.uniform(0.6, 1.4), heading)
            place = place + towards(heading, 1.1 * size)
