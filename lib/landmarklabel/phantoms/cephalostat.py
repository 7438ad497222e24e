"""What holds the head for a cephalogram: ear rods with their rings, and a rest at the nasion with a ruler."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .curves import ellipse, mm, softened
from .head import Head
from .solids import rim
from .view import Array, View


def draw_ear_rods(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """Two thin rings around the ear's passage, almost on top of each other."""
    ear = head.curves["meatus"].mean(axis=0)
    for radius in (5.6, 6.6):
        rim(canvas, ellipse(ear + rng.normal(0, 0.8, 2), (radius, radius), count=48), 0.9, 16.0)


def draw_nasion_rest(canvas: Canvas, rng: np.random.Generator, head: Head, view: View) -> None:
    """A pad at the bridge of the nose on a bar that hangs from above, with a scale of 2 mm steps.

    The canvas is one of the image, not of the patient.
    """
    frame = View((1, 1), (1.0, 1.0), view.origin, view.angle)
    touch = frame.pixels(head.profile[40])
    x, top, low = float(touch[0]) + rng.uniform(12, 16), -view.field[1], float(touch[1]) + rng.uniform(-8, 4)
    canvas.add(_box(x, top, x + 3, low), 40.0)
    for y in np.arange(low - 32, low - 1, 2.0):
        canvas.add(_box(x - 1.2, y, x + 1.5, y + 0.7), 120.0)
    pad = [(x - 2, low + 2), (x - 3, low - 8), (x + 6, low - 8), (x + 6, low + 12)]
    near = float(touch[0]) + 2
    canvas.add(softened([(near, low + 4), *pad, (near, low + 10)]), 18.0)


def _box(left: float, top: float, right: float, bottom: float) -> Array:
    return np.stack([mm(left, top), mm(right, top), mm(right, bottom), mm(left, bottom)])
