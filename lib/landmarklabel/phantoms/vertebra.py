"""Drawing of a vertebra from the front: body, end plates, pedicles, arch and processes.

A vertebra of each level is drawn once, straight and of the usual size, and kept as outlines in the body's own
frame (:meth:`Vertebra.at`): u from -1 to 1 across, v from 0 to 1 down. The body's outline runs through
(-1, 0), (1, 0), (1, 1) and (-1, 1), which are the landmarks, so a patient's vertebra is the drawing fitted to
its four corners.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .backbone import HEIGHTS, LEVELS, WIDTHS, Vertebra
from .canvas import Canvas, Outlines
from .curves import ellipse, spline
from .solids import BANDS, CORTICAL, bone, line, rim, round_profile, tube
from .view import Array, View

_ACROSS = np.linspace(-1.0, 1.0, 13)
_DOWN = np.linspace(0.0, 1.0, 9)
_NOWHERE = View(size=(1, 1), field=(1.0, 1.0))


@dataclass(frozen=True)
class _Drawing:
    """A vertebra of one level.

    Attributes:
        places: (P, 2) points (u, v) of all outlines.
        depths: (P,) how far behind the middle of the body each lies, in mm.
        edges: (P,) -1 and 1 for the front and back rim of an end plate, which part as the body tilts; else 0.
        lengths, weights: (N,), as in :class:`Outlines`.
    """

    places: Array
    depths: Array
    edges: Array
    lengths: NDArray[np.intp]
    weights: Array

    def fitted(self, vertebra: Vertebra) -> Outlines:
        places = self.places.copy()
        spread = min(0.36 * vertebra.width * abs(np.sin(vertebra.pitch)) / vertebra.height, 0.16)
        places[:, 1] += self.edges * spread * np.sqrt(np.maximum(1 - places[:, 0] ** 2, 0.0))
        places[:, 0] *= np.where(self.depths > 0, np.cos(vertebra.turn), 1.0)
        places[:, 0] += 2 * self.depths * np.sin(vertebra.turn) / vertebra.width
        return Outlines(vertebra.at(places), self.lengths, self.weights)


def draw_vertebra(canvas: Canvas, vertebra: Vertebra, strength: float = 1.0) -> None:
    """A vertebra with all its parts, ``strength`` times as dense as usual."""
    outlines = _drawing(vertebra.level).fitted(vertebra)
    canvas.add_outlines(outlines._replace(weights=outlines.weights * strength))


@cache
def _drawing(level: str) -> _Drawing:
    i = LEVELS.index(level)
    half, height = WIDTHS[i] / 2, HEIGHTS[i]
    square = np.array([(-half, 0.0), (half, 0.0), (-half, height), (half, height)])
    parts: dict[tuple[float, int], Canvas] = defaultdict(lambda: Canvas(_NOWHERE))
    usual = Vertebra(level, square, 0.0, 0.0)
    _draw_body(parts, usual)
    _draw_pedicles(parts, usual)
    (_draw_lumbar_arch if level[0] == "L" else _draw_thoracic_arch)(parts, usual)
    outlines = [canvas.outlines() for canvas in parts.values()]
    counts = [len(part.points) for part in outlines]
    depths, edges = (np.repeat(np.array(values, dtype=float), counts) for values in zip(*parts, strict=True))
    points, lengths, weights = (np.concatenate(values) for values in zip(*outlines, strict=True))
    return _Drawing(points / (half, height), depths, edges, lengths, weights)


def body_outline(hollow: float = 0.05, waist: float = 0.07) -> Array:
    """(N, 2) in the body's frame, clockwise from the upper left corner.

    Args:
        hollow: how far the end plates sink in, as a share of the height.
        waist: how far the sides draw in, as a share of half the width.
    """
    sink = hollow * (1 - _ACROSS**2)
    draw_in = 1 - waist * 4 * _DOWN * (1 - _DOWN)
    top = np.stack([_ACROSS, sink], axis=1)
    right = np.stack([draw_in, _DOWN], axis=1)
    bottom = np.stack([_ACROSS[::-1], 1 - sink], axis=1)
    left = np.stack([-draw_in, _DOWN[::-1]], axis=1)
    return np.concatenate([top, right[1:-1], bottom, left[1:-1]])


def _draw_body(parts: dict[tuple[float, int], Canvas], vertebra: Vertebra) -> None:
    """A spongy column with a dense wall between end plates whose two rims meet at the corners."""
    lumbar = vertebra.level.startswith("L")
    hollow = 0.06 if lumbar else 0.045
    outline = body_outline(hollow, 0.11 if lumbar else 0.08)
    depth = np.clip(0.72 * vertebra.width, 14, 36)
    wall = round_profile(0.055, 0.10, BANDS) * depth / 2 * CORTICAL
    middle = parts[0.0, 0]
    middle.add(np.stack([vertebra.at(outline * (share, 1.0)) for share in BANDS]), wall)
    for v, inwards in ((0.0, 1.0), (1.0, -1.0)):
        plate = vertebra.at(np.stack([_ACROSS, v + inwards * hollow * (1 - _ACROSS**2)], axis=1))
        line(middle, plate, 1.8, 5.5)
        for edge in (-1, 1):
            line(parts[0.0, edge], plate, 1.1, 8.0)


def _draw_pedicles(parts: dict[tuple[float, int], Canvas], vertebra: Vertebra) -> None:
    radii, height = ((0.15, 0.25), 0.36) if vertebra.level[0] == "L" else ((0.15, 0.24), 0.3)
    for side in (-1, 1):
        bone(parts[14.0, 0], vertebra.at(ellipse((side * 0.62, height), radii, count=20)), 2.0, 11.0, 2.0)


def _draw_lumbar_arch(parts: dict[tuple[float, int], Canvas], vertebra: Vertebra) -> None:
    for side in (-1.0, 1.0):
        spike = np.array([(0.8, 0.38), (1.1, 0.36), (1.4, 0.3), (1.75, 0.25)]) * (side, 1.0)
        radius = np.linspace(5.0, 2.6, 8) * vertebra.height / 27
        tube(parts[18.0, 0], spline(vertebra.at(spike), 8), radius, 1.2, 0.3)
        lamina = [(0.1, 0.5), (0.42, 0.42), (0.55, 0.62), (0.62, 1.05), (0.42, 1.22), (0.3, 0.95)]
        lamina += [(0.1, 0.85)]
        plate = vertebra.at(np.array(lamina) * (side, 1.0))
        bone(parts[27.0, 0], spline(plate, 24, closed=True), 3.0, 3.5, 2.5)
        upper = [(0.52, 0.35), (0.66, 0.12), (0.72, -0.2), (0.84, -0.2), (0.84, 0.15), (0.72, 0.42)]
        facet = vertebra.at(np.array(upper) * (side, 1.0))
        bone(parts[24.0, 0], spline(facet, 18, closed=True), 2.5, 3.0, 2.0)
    spine = [(0.0, 0.38), (0.07, 0.6), (0.13, 0.95), (0.1, 1.16), (-0.1, 1.16), (-0.13, 0.95), (-0.07, 0.6)]
    bone(parts[48.0, 0], spline(vertebra.at(spine), 24, closed=True), 6.0, 9.0, 1.8)


def _draw_thoracic_arch(parts: dict[tuple[float, int], Canvas], vertebra: Vertebra) -> None:
    cervical = vertebra.level.startswith("C")
    reach = 1.5 if cervical else float(np.interp(vertebra.width, (27.0, 40.0), (2.15, 1.25)))
    for side in (-1.0, 1.0):
        knob = np.array([(0.75, 0.45), (0.6 * reach, 0.3), (reach, 0.12)]) * (side, 1.0)
        radius = np.array([4, 3.6, 3.3, 3.3, 3.4, 3.8, 4.2, 2.6]) * 0.9
        tube(parts[24.0, 0], spline(vertebra.at(knob), 8), radius, 1.0, 0.3)
        lamina = [(0.05, 0.35), (0.5, 0.2), (0.6, 0.7), (0.45, 1.1), (0.1, 0.95)]
        plate = vertebra.at(np.array(lamina) * (side, 1.0))
        bone(parts[24.0, 0], spline(plate, 20, closed=True), 3.0, 2.0, 2.5)
    low = 0.75 if cervical else 1.25  # the tips of the thoracic ones point down
    bone(parts[42.0, 0], vertebra.at(ellipse((0.0, low), (0.12, 0.2), count=18)), 4.0, 8.0, 1.8)
    if not cervical:
        line(parts[34.0, 0], vertebra.at([(0.0, 0.55), (0.0, low)]), 2.2, 3.0)


def draw_sacrum(canvas: Canvas, last: Vertebra) -> None:
    """The sacrum below the last lumbar vertebra: its base, the wings, and two rows of holes."""
    base = [(-0.85, 1.42), (0.0, 1.32), (0.85, 1.42), (1.5, 1.3), (2.15, 1.75), (1.9, 2.7), (1.3, 3.9)]
    base += [(0.7, 4.8), (-0.7, 4.8), (-1.3, 3.9), (-1.9, 2.7), (-2.15, 1.75), (-1.5, 1.3)]
    bone(canvas, spline(last.at(base), 80, closed=True), 10.0, 5.0, 3.0)
    line(canvas, spline(last.at([(-0.85, 1.42), (0.0, 1.36), (0.85, 1.42)]), 16), 1.6, 8.0)
    for side in (-1.0, 1.0):
        for row, v in enumerate((2.1, 2.95, 3.7)):
            hole = last.at(ellipse((side * (0.62 - 0.08 * row), v), (0.15, 0.16), count=20))
            canvas.add(hole, -5.0)
            rim(canvas, hole, -1.5, 3.0)
    crest = ellipse((0.0, 2.6), (0.08, 0.7), count=24)
    bone(canvas, last.at(crest), 3.0, 4.0, 1.5)
