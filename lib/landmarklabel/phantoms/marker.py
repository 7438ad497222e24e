"""The lead letter that says which side is which."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .curves import ribbon, spline, turned
from .view import View

# Strokes of the letters in a box of 1 x 1, y down; (smooth, points).
_STROKES: dict[str, list[tuple[bool, list[tuple[float, float]]]]] = {
    "L": [(False, [(0.2, 0.0), (0.2, 1.0)]), (False, [(0.12, 0.93), (0.75, 0.93)])],
    "R": [
        (False, [(0.2, 0.0), (0.2, 1.0)]),
        (True, [(0.15, 0.06), (0.5, 0.06), (0.72, 0.26), (0.5, 0.48), (0.15, 0.5)]),
        (False, [(0.42, 0.48), (0.78, 1.0)]),
    ],
}


def draw_marker(canvas: Canvas, rng: np.random.Generator, letter: str, place: tuple[float, float]) -> None:
    """A letter of lead some 12 mm high at a place in mm from the image's centre, a little askew.

    The canvas is one of the image, not of the patient (:func:`image_frame`).
    """
    height, askew = rng.uniform(9.0, 14.0), rng.normal(0, 0.1)
    for smooth, points in _STROKES[letter]:
        stroke = np.array(points)
        path = spline(stroke, 20) if smooth else stroke
        canvas.add(turned(ribbon((path - 0.5) * height, 0.15 * height), askew) + place, 90.0)


def draw_side_marker(
    canvas: Canvas,
    rng: np.random.Generator,
    odds: float,
    across: tuple[float, float],
    down: tuple[float, float],
) -> None:
    """With some odds an R or an L at its side of an image from the front, in ranges of mm from its centre."""
    if rng.random() < odds:
        letter, side = ("L", 1.0) if rng.random() < 0.5 else ("R", -1.0)
        draw_marker(canvas, rng, letter, (side * rng.uniform(*across), rng.uniform(*down)))


def image_frame(view: View) -> View:
    """The view in mm from the image's centre, whatever stands in it."""
    return View(view.size, view.field)
