"""The spine from the front: sizes of the vertebrae, curves of the column, and where that puts every corner.

Sizes in mm of an adult of middle height, from the anatomy of dried bones: bodies grow from T1 to L5, the
upper thoracic ones narrow towards T4, discs thicken in the lumbar spine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .view import Array

# Level, height, width, disc below it, and the body's forward tilt against the beam in degrees: kyphosis
# above, lordosis below.
_TABLE = (
    ("C4", 12.5, 21.0, 4.5, -8.0),
    ("C5", 12.5, 22.0, 4.5, -4.0),
    ("C6", 13.0, 24.0, 5.0, 4.0),
    ("C7", 14.5, 28.0, 4.5, 12.0),
    ("T1", 16.0, 31.0, 4.3, 18.0),
    ("T2", 17.2, 29.5, 4.0, 18.0),
    ("T3", 17.8, 28.0, 3.8, 15.0),
    ("T4", 18.3, 27.0, 3.7, 12.0),
    ("T5", 18.8, 27.0, 3.8, 8.0),
    ("T6", 19.3, 27.8, 4.0, 4.0),
    ("T7", 19.8, 28.8, 4.2, 0.0),
    ("T8", 20.4, 30.0, 4.4, -4.0),
    ("T9", 21.2, 31.2, 4.8, -8.0),
    ("T10", 22.2, 33.0, 5.3, -10.0),
    ("T11", 23.3, 36.0, 6.0, -12.0),
    ("T12", 24.5, 39.0, 7.0, -11.0),
    ("L1", 25.5, 41.0, 8.2, -8.0),
    ("L2", 26.4, 42.5, 9.4, -4.0),
    ("L3", 27.0, 44.5, 10.4, 2.0),
    ("L4", 27.2, 47.0, 11.0, 9.0),
    ("L5", 26.5, 50.5, 9.5, 18.0),
)
LEVELS = tuple(row[0] for row in _TABLE)
HEIGHTS, WIDTHS, DISCS, PITCHES = np.array([row[1:] for row in _TABLE]).T
FIRST = LEVELS.index("T1")


@dataclass(frozen=True)
class Vertebra:
    """One vertebra as projected from front to back.

    Attributes:
        level: its name, such as T1.
        corners: (4, 2) in mm: upper left, upper right, lower left, lower right as seen in the image.
        turn: axial rotation in radians; positive moves what lies behind the body to the right of the image.
        pitch: forward tilt against the beam in radians.
    """

    level: str
    corners: Array
    turn: float
    pitch: float

    @cached_property
    def centre(self) -> Array:
        """(2,) in mm."""
        return np.asarray(self.corners.mean(axis=0))

    @cached_property
    def width(self) -> float:
        """Mean of both end plates, in mm."""
        upper, lower = self.corners[1] - self.corners[0], self.corners[3] - self.corners[2]
        return float(np.hypot(*upper) + np.hypot(*lower)) / 2

    @cached_property
    def height(self) -> float:
        """Mean of both sides, in mm."""
        left, right = self.corners[2] - self.corners[0], self.corners[3] - self.corners[1]
        return float(np.hypot(*left) + np.hypot(*right)) / 2

    def at(self, places: ArrayLike) -> Array:
        """Places (..., 2) in the body's frame to mm: u from -1 (left) to 1 (right), v from 0 (top) to 1."""
        uv = np.asarray(places, dtype=np.float64)
        u, v = (uv[..., :1] + 1) / 2, uv[..., 1:]
        upper = self.corners[0] * (1 - u) + self.corners[1] * u
        lower = self.corners[2] * (1 - u) + self.corners[3] * u
        return np.asarray(upper * (1 - v) + lower * v)


@dataclass(frozen=True)
class Bend:
    """One lateral curve of the column.

    Attributes:
        apex: where, as a share of the length from T1 to L5.
        cobb: angle between its ends in degrees; positive bulges to the right of the image.
        half: from the apex to its ends, as a share of that length.
    """

    apex: float
    cobb: float
    half: float


# Curve patterns: name, how often, and the bends as (apex, share of the main angle, half length).
PATTERNS: tuple[tuple[str, float, tuple[tuple[float, float, float], ...]], ...] = (
    ("nearly straight", 0.2, ((0.45, -0.14, 0.2), (0.8, 0.12, 0.12))),
    ("main thoracic", 0.25, ((0.43, -1.0, 0.16), (0.78, 0.55, 0.13), (0.1, 0.35, 0.1))),
    ("double major", 0.2, ((0.4, -0.95, 0.14), (0.77, 1.0, 0.13), (0.1, 0.3, 0.09))),
    ("thoracolumbar", 0.15, ((0.66, 1.0, 0.17), (0.3, -0.5, 0.15))),
    ("lumbar", 0.1, ((0.8, 1.0, 0.12), (0.5, -0.5, 0.14))),
    ("double thoracic", 0.1, ((0.14, 0.75, 0.1), (0.43, -1.0, 0.14), (0.76, 0.45, 0.13))),
)


def draw_bends(rng: np.random.Generator, largest: float = 65.0) -> tuple[Bend, ...]:
    """The lateral curves of one patient, the main one up to ``largest`` degrees."""
    odds = np.array([pattern[1] for pattern in PATTERNS])
    bends = PATTERNS[rng.choice(len(PATTERNS), p=odds / odds.sum())][2]
    main = rng.uniform(12, largest) * (-1 if rng.random() < 0.12 else 1)  # a mirrored curve is the rarer one
    spread = rng.normal(1.0, (0.05, 0.12, 0.08), (len(bends), 3))
    return tuple(Bend(a * s[0], main * c * s[1], h * s[2]) for (a, c, h), s in zip(bends, spread, strict=True))


@dataclass(frozen=True)
class Backbone:
    """The column from C4 to L5, top first, in mm; the centre of T1's upper end plate is the origin."""

    vertebrae: tuple[Vertebra, ...]

    def __getitem__(self, level: str) -> Vertebra:
        return self.vertebrae[LEVELS.index(level)]

    def middle(self, y: ArrayLike) -> Array:
        """x of the column's middle at heights y, in mm."""
        centres = np.array([vertebra.centre for vertebra in self.vertebrae])
        return np.interp(np.asarray(y, dtype=np.float64), centres[:, 1], centres[:, 0])

    def border(self, y: ArrayLike, side: int) -> Array:
        """x of the column's left (-1) or right (1) border at heights y, in mm."""
        ends = np.concatenate([vertebra.corners[(side + 1) // 2 :: 2] for vertebra in self.vertebrae])
        # In a sharp bend the ends of neighbours may pass each other by a hair.
        heights = np.maximum.accumulate(ends[:, 1])
        return np.interp(np.asarray(y, dtype=np.float64), heights, ends[:, 0])


def draw_backbone(rng: np.random.Generator, bends: tuple[Bend, ...], scale: float) -> Backbone:
    """A column with these curves; ``scale`` is the patient's size against the middle adult's."""
    count = len(LEVELS)
    build = rng.normal(1.0, 0.05)  # broad or slender for the height
    widths = WIDTHS * scale * build * rng.normal(1, 0.02, count)
    heights = HEIGHTS * scale * rng.normal(1, 0.02, count)
    discs = DISCS * scale * rng.normal(1, 0.06, count) * max(rng.normal(1.0, 0.12), 0.7)
    pitches = np.deg2rad(PITCHES * rng.normal(1.0, 0.25) + rng.normal(0, 4))
    flare = rng.uniform(0.01, 0.03, count)  # the lower end plate is a little wider
    turn_share = np.deg2rad(rng.uniform(0.25, 0.5))
    ends = np.cumsum(np.stack([heights * np.cos(pitches), discs], axis=1).ravel())
    top, bottom = np.append(0.0, ends[1:-1:2]), ends[0::2]
    top, bottom = top - top[FIRST], bottom - top[FIRST]
    curve = _Curve(bends, float(bottom[-1]), float(top[0]), float(bottom[-1]))
    upper, lower = _plate_tilts(rng, curve, top, bottom, discs / widths)
    turns = -turn_share * curve.bulge((top + bottom) / 2)
    vertebrae = []
    for i, level in enumerate(LEVELS):
        plates = (
            curve.plate(top[i], upper[i], widths[i] * (1 - flare[i])),
            curve.plate(bottom[i], lower[i], widths[i]),
        )
        vertebrae.append(Vertebra(level, np.concatenate(plates), float(turns[i]), float(pitches[i])))
    return Backbone(tuple(vertebrae))


def _plate_tilts(
    rng: np.random.Generator, curve: _Curve, top: Array, bottom: Array, slender: Array
) -> tuple[Array, Array]:
    """Tilts of upper and lower end plates at lengths ``top`` and ``bottom``, in radians; (N,) each.

    Args:
        slender: height of the disc below each vertebra as a share of the vertebra's width.
    """
    tilt = curve.tilt((top + bottom) / 2)
    wedge = rng.uniform(0.35, 0.6)  # share of a curve that is in the bodies, the rest is in the discs
    jitter = np.deg2rad(rng.normal(0, 0.5, (2, len(top))))
    upper = tilt + wedge * (curve.tilt(top) - tilt) + jitter[0]
    lower = tilt + wedge * (curve.tilt(bottom) - tilt) + jitter[1]
    # A disc can't close further than until its ends almost touch; the bodies take the rest.
    most = 1.5 * slender[:-1]
    open_by = upper[1:] - lower[:-1]
    excess = open_by - np.clip(open_by, -most, most)
    upper[1:] -= excess / 2
    lower[:-1] += excess / 2
    return upper, lower


class _Curve:
    """The middle line of a column: the tilts of all bends add up, and the line follows the tilt."""

    def __init__(self, bends: tuple[Bend, ...], length: float, top: float, bottom: float) -> None:
        self._bends, self._length = bends, length
        self._along = np.linspace(top, bottom, 400)
        tilt = self.tilt(self._along)
        step = self._along[1] - self._along[0]
        at_origin = np.interp(0.0, self._along, np.arange(400.0))
        line = []
        for part in (np.sin(tilt), np.cos(tilt)):
            total = np.concatenate([[0.0], np.cumsum((part[1:] + part[:-1]) / 2 * step)])
            line.append(total - np.interp(at_origin, np.arange(400.0), total))
        self._x, self._y = line

    def _offsets(self, along: ArrayLike) -> Array:
        apex = np.array([bend.apex for bend in self._bends]) * self._length
        half = np.array([bend.half for bend in self._bends]) * self._length
        return np.asarray((np.asarray(along, dtype=np.float64)[..., None] - apex) / half)

    def tilt(self, along: ArrayLike) -> Array:
        """Direction of the line at a length, in radians off the vertical; positive runs to the right."""
        offset = self._offsets(along)
        cobb = np.deg2rad([bend.cobb for bend in self._bends])
        return np.asarray((-cobb / 2 * offset * np.exp((1 - offset**2) / 2)).sum(axis=-1))

    def bulge(self, along: ArrayLike) -> Array:
        """The angle, in degrees, of the curves that bulge at a length: their signed sum."""
        cobb = np.array([bend.cobb for bend in self._bends])
        return np.asarray((cobb * np.exp(-(self._offsets(along) ** 2) / 2)).sum(axis=-1))

    def plate(self, along: float, tilt: float, width: float) -> Array:
        """(2, 2) left and right end of an end plate across the line at a length."""
        centre = np.array([np.interp(along, self._along, self._x), np.interp(along, self._along, self._y)])
        across = np.array([np.cos(tilt), -np.sin(tilt)]) * width / 2
        return np.stack([centre - across, centre + across])
