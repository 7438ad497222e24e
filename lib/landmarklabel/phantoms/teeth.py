"""Teeth from the side: crowns of enamel, roots, pulp; placed by the crown's edge and the root's direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from .canvas import Canvas
from .curves import inset, spline
from .view import Array

# Outlines in mm: x towards the lips or the front, y from the edge of the crown to the tip of the root.
_Outline = tuple[tuple[float, float], ...]
_INCISOR: dict[str, _Outline] = {
    "crown": (
        *((0, 0), (0.9, 1.4), (2.1, 5), (2.9, 8.6), (2.8, 10.4)),
        *((-3.3, 10.4), (-3.6, 8.4), (-2.3, 5.4), (-1, 2.2)),
    ),
    "root": ((2.8, 9.8), (2.5, 14), (1.5, 19), (0.2, 23), (-1.6, 19.4), (-2.9, 14.4), (-3.3, 9.8)),
    "pulp": ((0.1, 6.5), (0.5, 10), (0.3, 20), (-0.3, 20), (-0.6, 10)),
}
_CANINE: dict[str, _Outline] = {
    "crown": (
        *((0, 0), (1.6, 1.8), (3.3, 5), (3.5, 8.5), (3.1, 10.5)),
        *((-3.3, 10.5), (-3.7, 8), (-2.8, 4.4), (-1.3, 1.7)),
    ),
    "root": ((3.1, 10), (2.9, 15), (1.8, 22), (0.2, 26), (-1.6, 22.5), (-2.9, 15), (-3.3, 10)),
    "pulp": ((0.1, 7), (0.5, 11), (0.3, 22), (-0.3, 22), (-0.6, 11)),
}
_PREMOLAR: dict[str, _Outline] = {
    "crown": (
        *((-1.8, 0.2), (0, 1.3), (1.7, 0), (3.2, 2.2), (3.6, 5)),
        *((2.7, 8), (-2.7, 8), (-3.6, 5), (-3.2, 2.2)),
    ),
    "root": ((2.7, 7.4), (2.4, 13), (1.2, 19.5), (0, 21.5), (-1.2, 19.5), (-2.4, 13), (-2.7, 7.4)),
    "pulp": ((0.8, 4.8), (0.7, 9), (0.3, 18), (-0.3, 18), (-0.7, 9), (-0.8, 4.8)),
}
_MOLAR: dict[str, _Outline] = {
    "crown": (
        *((-2.8, 0.2), (-0.1, 1.6), (2.6, 0), (4.6, 1.2), (5.3, 4)),
        *((4.6, 7.4), (0, 8), (-4.6, 7.4), (-5.3, 4), (-4.7, 1.2)),
    ),
    "root": (
        *((4.6, 6.8), (4.7, 11), (3.6, 17), (2.4, 20), (1.4, 17), (0.8, 11.6), (0, 10)),
        *((-0.8, 11.6), (-1.6, 17), (-2.9, 19.6), (-4.2, 16.4), (-4.7, 11), (-4.6, 6.8)),
    ),
    "pulp": ((2, 4.6), (2.2, 8), (2.6, 15), (1.4, 8.6), (-1.4, 8.6), (-2.8, 15), (-2.2, 8), (-2, 4.6)),
}
_FILLING: _Outline = ((-2.5, 0.9), (0, 1.9), (2.5, 0.8), (2.2, 3.2), (-2, 3.4))
KINDS = {"incisor": _INCISOR, "canine": _CANINE, "premolar": _PREMOLAR, "molar": _MOLAR}


@dataclass(frozen=True)
class Tooth:
    """A tooth.

    Attributes:
        kind: a key of :data:`KINDS`.
        edge: (2,) the middle of its cutting edge or the tops of its cusps, in mm.
        root: (2,) direction from there to the tip of the root.
        size: length and width against the usual.
    """

    kind: str
    edge: Array
    root: Array
    size: tuple[float, float] = (1.0, 1.0)

    def scaled(self, size: float) -> Tooth:
        """The same tooth with everything ``size`` times as large, its place too."""
        return replace(self, edge=self.edge * size, size=(self.size[0] * size, self.size[1] * size))

    def moved(self, offset: Array) -> Tooth:
        """The same tooth ``offset`` (2,) mm away."""
        return replace(self, edge=self.edge + offset)

    def at(self, places: Array) -> Array:
        """Places (N, 2) as (mm to the front, mm towards the root) in the patient's frame."""
        along = self.root / np.hypot(*self.root)
        front = np.array([along[1], -along[0]])
        front = front if front[0] > 0 else -front
        x, y = places[:, :1] * self.size[1], places[:, 1:] * self.size[0]
        return np.asarray(self.edge + x * front + y * along)

    def part(self, name: str) -> Array:
        """Closed outline of the ``crown``, ``root`` or ``pulp``; an incisor's crown begins at its edge."""
        return self.at(_shape(self.kind, name))


@cache
def _shape(kind: str, name: str) -> Array:
    knots = np.array(KINDS[kind][name], dtype=np.float64)
    if name == "crown" and kind == "incisor":  # the edge is sharp
        return spline(np.concatenate([knots, knots[:1]]), 4 * len(knots))[:-1]
    return spline(knots, 4 * len(knots), closed=True)


def draw_tooth(canvas: Canvas, tooth: Tooth, strength: float = 1.0, filled: float = 0.0) -> None:
    """A tooth; ``filled`` is the weight of a metal filling in its crown, in mm of water."""
    root, crown = tooth.part("root"), tooth.part("crown")
    for depth in (0.0, 0.9):
        canvas.add(inset(root, depth), 4.5 * strength)
    canvas.add(tooth.part("pulp"), -4.0 * strength)
    canvas.add(crown, 9.0 * strength)
    canvas.add(inset(crown, 0.9), 3.5 * strength)
    if filled:
        canvas.add(tooth.at(spline(_FILLING, 20, closed=True)), filled)
