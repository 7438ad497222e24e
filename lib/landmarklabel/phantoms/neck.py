"""The cervical spine from the side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .canvas import Canvas
from .curves import ellipse, mm, softened, spline, turned
from .solids import bone, line, rim
from .view import Array


@dataclass(frozen=True)
class Neck:
    """C1 to C7.

    Attributes:
        centres: (7, 2) middles of the bodies in mm; that of C1 is where its front arch meets the dens.
        angles: (7,) forward tilt of each in radians, clockwise as seen.
        size: height and depth against the middle adult's.
    """

    centres: Array
    angles: Array
    size: tuple[float, float]

    def place(self, level: int, points: ArrayLike) -> Array:
        """Points (N, 2) in mm from the middle of C``level``, x to the front, in the patient's frame."""
        scaled = np.asarray(points, dtype=np.float64) * (self.size[1], self.size[0])
        return np.asarray(turned(scaled, self.angles[level - 1]) + self.centres[level - 1])


def draw_neck(rng: np.random.Generator, basion: Array, size: float) -> Neck:
    """A neck below a skull's basion, curved forward, straight, or a little backward."""
    tall, deep = rng.normal(1.0, 0.06) * size, rng.normal(1.0, 0.06) * size
    lean, curl = np.deg2rad(rng.normal(5, 5)), np.deg2rad(rng.normal(2.2, 2.2))
    angles = lean - curl * np.arange(7)
    steps = np.array([0.0, 18.5, 21.0, 18.0, 18.0, 18.0, 18.5]) * tall
    middle = (angles[1:] + angles[:-1]) / 2
    way = np.stack([-np.sin(middle), np.cos(middle)], axis=1) * steps[1:, None]
    first = basion + mm(-3.5 + rng.normal(0, 1.0), 15.5 + rng.normal(0, 1.5)) * size
    centres = np.concatenate([first[None], first + np.cumsum(way, axis=0)])
    return Neck(centres, angles, (tall, deep))


def draw_neck_bones(canvas: Canvas, neck: Neck) -> None:
    """All seven; the lower ones run out of the image."""
    _draw_atlas(canvas, neck)
    _draw_axis(canvas, neck)
    for level in range(3, 8):
        _draw_vertebra(canvas, neck, level)


def _draw_atlas(canvas: Canvas, neck: Neck) -> None:
    front = neck.place(1, ellipse((8.6, 1), (3.2, 5.4), 0.15, 24))
    bone(canvas, front, 5.0, 12.0, 1.6)
    mass = [(-13, -7), (-4, -9), (2, -4), (1, 5), (-6, 8), (-14, 6)]
    bone(canvas, spline(neck.place(1, mass), 36, closed=True), 7.0, 3.5, 3.0)
    arch: list[tuple[float, float]] = [(-12, -4), (-22, -3), (-33, -2), (-41, -3), (-45, 1)]
    arch += [(-43, 6), (-38, 6), (-33, 2.5), (-22, 2), (-12, 2)]
    bone(canvas, spline(neck.place(1, arch), 50, closed=True), 4.0, 6.0, 1.6)
    tip = [(-46, 0), (-43, -4), (-38, 0), (-39, 6), (-43, 7)]
    rim(canvas, spline(neck.place(1, tip), 24, closed=True), 1.4, 5.0)


def _draw_axis(canvas: Canvas, neck: Neck) -> None:
    body = [(-8.6, 8.5), (-8, 2), (-6.4, -6), (-6, -16), (-4.4, -24), (0, -26.5), (4, -24), (4.8, -16)]
    body += [(6.4, -6), (8.2, 3), (9.8, 11), (4, 9.4), (-3, 8.2)]
    bone(canvas, spline(neck.place(2, body), 70, closed=True), 10.0, 8.0, 1.8)
    ring = spline(neck.place(2, ellipse((-3, -5), (5.5, 6.5), count=12)), 24, closed=True)
    rim(canvas, ring, 1.4, 4.0)
    pillar = [(-7, -6), (-14, -9), (-19, -5), (-22, 9), (-20, 10.5), (-11.5, 6), (-8, 4)]
    bone(canvas, softened(neck.place(2, pillar), 1), 8.0, 3.5, 3.0)
    spine = [(-18, -4), (-28, -5), (-40, 3), (-44, 11), (-40, 14), (-30, 9), (-19, 7)]
    bone(canvas, softened(neck.place(2, spine)), 6.0, 4.5, 1.8)


def _draw_vertebra(canvas: Canvas, neck: Neck, level: int) -> None:
    grow = 1 + 0.03 * (level - 3)
    body = [(-7.8, -6.4), (0, -6.0), (7.2, -6.9), (6.5, 0), (8.2, 7.2), (0.5, 5.0), (-7.9, 6.6), (-7.2, 0)]
    outline = softened(neck.place(level, np.array(body) * grow), 2)
    bone(canvas, outline, 10.0, 8.0, 1.7)
    for knots in (body[:3], body[4:7]):
        line(canvas, spline(neck.place(level, np.array(knots) * grow * 0.96), 14), 1.1, 6.0)
    pillar = [(-8.5, -7), (-10.5, -10.5), (-19.5, -5), (-22.5, 9), (-20.5, 10.5), (-11.5, 5.5), (-8, 3)]
    bone(canvas, softened(neck.place(level, np.array(pillar) * grow), 1), 8.0, 3.5, 3.0)
    for upper, lower in (((-10.5, -10), (-19, -5)), ((-11.5, 5), (-20.5, 10))):
        line(canvas, spline(neck.place(level, np.array([upper, lower]) * grow), 6), 1.1, 3.5)
    lamina = np.array([(-20, -4), (-22.5, 0), (-24.5, 7)])
    line(canvas, spline(neck.place(level, lamina * grow), 10), 1.5, 4.0)
    reach = {3: -36.0, 4: -37.0, 5: -40.0, 6: -48.0, 7: -57.0}[level]
    spine = [(-20, -2.5), (-27, 1), (reach + 2, 7), (reach, 12), (reach + 3, 15)]
    spine += [(-30, 10), (-23, 9.5), (-19, 7)]
    bone(canvas, softened(neck.place(level, spine)), 5.0, 4.0, 1.8)
