"""Lungs and heart from the front: outlines with common borders, fitted to a spine and a rib cage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .backbone import Backbone
from .canvas import Canvas, Image
from .curves import mm, spline
from .fields import CELL, blurred, spread
from .ribs import Cage
from .view import Array, View


@dataclass(frozen=True)
class Breath:
    """What shapes the chest's contents.

    Attributes:
        dome: height of the right diaphragm's top in mm; the left one is ``drop`` lower.
        drop: in mm.
        right, left: how far the heart reaches to the right and left of the patient's midline, in mm.
        knob: how far the aortic arch bulges, in mm.
        follow: share of the spine's deviation that the organs take part in.
        angle: depth of the outer angles below the domes, in mm.
    """

    dome: float
    drop: float
    right: float
    left: float
    knob: float
    follow: float
    angle: float


@dataclass(frozen=True)
class Chest:
    """Closed outlines (N, 2) in mm.

    Attributes:
        right, left: the patient's right and left lung as far as it is seen clear, from the apex down the
            mediastinal border, along the diaphragm and up the chest wall.
        heart: from where the superior vena cava enters it, along the great vessels, down the left border,
            along the diaphragm, up the right border.
    """

    right: Array
    left: Array
    heart: Array


def draw_breath(rng: np.random.Generator, backbone: Backbone, scale: float, heart: float) -> Breath:
    """A breath held at some height, and a heart ``heart`` times the usual size."""
    low = backbone["T10"].centre[1] + rng.normal(2, 8) * scale
    return Breath(
        dome=float(low),
        drop=float(np.clip(rng.normal(11, 5), 1, 24)) * scale,
        right=float(np.clip(rng.normal(42, 4), 34, 52)) * scale * (0.5 + 0.5 * heart),
        left=float(rng.normal(84, 5)) * scale * heart,
        knob=rng.normal(32, 2.0) * scale,
        follow=rng.uniform(0.15, 0.35),
        angle=rng.normal(42, 5) * scale,
    )


def draw_chest(rng: np.random.Generator, backbone: Backbone, cage: Cage, breath: Breath) -> Chest:
    """Outlines of lungs and heart."""
    wobble = rng.normal(0, 1.2, (2, 20, 2))
    right_inner, right_base = _right_knots(backbone, breath)
    left_inner, left_base = _left_knots(backbone, breath)
    lungs = []
    for side, inner, base in ((-1, right_inner, right_base), (1, left_inner, left_base)):
        shifted = _shift(inner, side, backbone, breath) + wobble[(side + 1) // 2, : len(inner)]
        # Where the spine bends into a lung, the lung's border follows it.
        beside = backbone.border(shifted[:, 1], side) + 2.5 * side
        shifted[:, 0] = side * np.maximum(side * shifted[:, 0], side * beside)
        floor = _shift(base, side, backbone, breath)
        wall = _wall(cage, side, float(floor[-1, 1]))
        floor[-1, 0] = wall[0, 0]
        lungs.append(_Lung(wall, shifted, floor))
    return Chest(lungs[0].outline(), lungs[1].outline(), _heart(lungs[0], lungs[1], backbone, breath))


class _Lung:
    """One lung: an arch from the outer angle over the apex to the heart's angle, and the base below."""

    def __init__(self, wall: Array, inner: Array, base: Array) -> None:
        self.arch = spline(np.concatenate([wall, inner]), 220)
        self.base = spline(np.concatenate([inner[-1:], base[1:]]), 60)
        self._top = int(np.argmin(self.arch[:, 1]))

    @property
    def inner(self) -> Array:
        """The mediastinal border, from the apex down."""
        return self.arch[self._top :]

    def outline(self) -> Array:
        return np.concatenate([self.inner, self.base[1:], self.arch[1 : self._top]])


def _levels(backbone: Backbone) -> list[float]:
    return [0.0] + [float(backbone[f"T{i}"].centre[1]) for i in range(1, 13)]


def _right_knots(backbone: Backbone, breath: Breath) -> tuple[Array, Array]:
    """Inner border and base of the right lung as (mm outwards of the midline, mm down)."""
    t, reach, dome = _levels(backbone), breath.right, breath.dome
    hilum = t[6] + 4
    along = np.array([0.0, 0.3, 0.62, 0.88]) * (dome - hilum) + hilum
    inner: list[tuple[float, float]] = [(32, t[1] + 9), (24, t[2] + 6), (22, t[3] + 8), (24, t[5] - 4)]
    inner += [(27, along[0]), (0.86 * reach, along[1]), (reach, along[2]), (0.92 * reach, along[3])]
    inner += [(0.8 * reach, dome + 8)]
    base: list[tuple[float, float]] = [(0.8 * reach, dome + 8), (58, dome + 0.5), (78, dome + 0.5)]
    base += [(103, dome + 10), (122, dome + 0.5 * breath.angle), (138, dome + breath.angle)]
    return np.array(inner), np.array(base)


def _left_knots(backbone: Backbone, breath: Breath) -> tuple[Array, Array]:
    t, reach, dome = _levels(backbone), breath.left, breath.dome + breath.drop
    hilum, knob = t[6] - 2, breath.knob
    along = np.array([0.0, 0.2, 0.45, 0.75]) * (dome - hilum) + hilum
    inner: list[tuple[float, float]] = [(31, t[1] + 9), (25, t[2] + 6), (25, t[3] + 2)]
    inner += [(knob - 3, t[4] - 5), (knob, t[4] + 7)]
    inner += [(knob - 3, t[5] + 5), (34, along[0]), (44, along[1]), (0.72 * reach, along[2])]
    inner += [(0.95 * reach, along[3]), (0.99 * reach, dome + 2)]
    outer = max(reach, 70.0)
    base = [(0.99 * reach, dome + 2), (outer + 9, dome - 1), (outer + 22, dome + 6)]
    base += [(outer + 32, dome + 0.5 * breath.angle), (138, dome + breath.angle)]
    return np.array(inner), np.array(base)


def _shift(knots: Array, side: int, backbone: Backbone, breath: Breath) -> Array:
    middle = breath.follow * backbone.middle(knots[:, 1])
    return np.stack([middle + side * knots[:, 0], knots[:, 1]], axis=1)


def _wall(cage: Cage, side: int, low: float) -> Array:
    """The inner face of the ribs from the outer angle to the apex, the bottom first."""
    outer = cage.outer((side + 1) // 2)[1:10]
    y = np.linspace(low, float(outer[1, 1]), 6)
    x = np.interp(y, outer[:, 1], outer[:, 0] * side) - cage.thickness - 1.5
    x[0] = min(x[0], x[1] + 2.0)
    top = cage.paths[(side + 1) // 2, 1]
    crown = top[[16, 10]] + (-side * 1.0, cage.radius * -0.4)
    return np.concatenate([np.stack([x * side, y], axis=1), crown])


def _heart(right: _Lung, left: _Lung, backbone: Backbone, breath: Breath) -> Array:
    t = _levels(backbone)
    right_border = right.inner[right.inner[:, 1] > t[6] + 4]
    left_border = left.inner[left.inner[:, 1] > t[5] + 9]
    start, end = right_border[0], left_border[0]
    top = spline([start, start * 0.6 + end * 0.4 - mm(0, 7), end], 24)
    apex, angle = left_border[-1], right_border[-1]
    sag = mm((apex[0] + angle[0]) / 2, max(apex[1], angle[1]) + 7)
    bottom = spline([apex, apex * 0.85 + angle * 0.15 + mm(0, 9), sag, angle], 40)
    return np.concatenate([top, left_border[1:], bottom[1:], right_border[::-1][1:-1]])


def lung_mask(view: View, chest: Chest) -> Image:
    """(H, W) how much of each pixel is clear lung, 0 to 1."""
    canvas = Canvas(view)
    canvas.add(chest.right)
    canvas.add(chest.left)
    return canvas.image()


def air(view: View, chest: Chest, mask: Image, amount: float) -> Image:
    """(H, W) mm of water that the lungs' air displaces; ``amount`` where they are deepest.

    Behind the heart and below the domes there is lung too, which shows as a veil.
    """
    cells = view.coarse(CELL)
    whole = lung_mask(cells, chest)
    depth = spread(blurred(whole, 12.0, cells), cells, view)
    behind = spread(blurred(whole, 22.0, cells), cells, view)
    share = 0.28 * behind + 0.72 * mask * np.clip(1.8 * depth - 0.25, 0.0, 1.0)
    return np.asarray(np.float32(amount) * share)
