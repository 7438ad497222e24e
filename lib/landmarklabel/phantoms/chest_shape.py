"""The chest from behind: one patient's outlines, and the landmarks of ``chest_166`` on them.

Every outline is closed and drawn as it is given here; its landmarks lie on it at equal arc lengths.

- Lungs: from the apex down the mediastinal border, outwards along the diaphragm, up the chest wall.
- Heart: from where the superior vena cava enters it over the great vessels to the patient's left, down the
  left border, back along the diaphragm, up the right border.
- Clavicles: from the middle of the sternal end along the upper border outwards, back along the lower border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .backbone import Backbone, Bend, draw_backbone
from .curves import evenly, ribbon, spline
from .lungs import Breath, Chest, draw_breath, draw_chest
from .ribs import Cage, draw_cage
from .view import Array

COUNTS = (44, 50, 26, 23, 23)


@dataclass(frozen=True)
class Clavicle:
    """A clavicle.

    Attributes:
        path: (N, 2), its middle line from the sternal end outwards, in mm.
        radius: (N,) half its height, zero at both ends.
    """

    path: Array
    radius: Array

    def outline(self) -> Array:
        """Closed, from the sternal end along the upper border."""
        outline = ribbon(self.path, 2 * self.radius)
        rightwards = self.path[-1, 0] > self.path[0, 0]
        return outline if rightwards else np.roll(outline[::-1], 1, axis=0)


@dataclass(frozen=True)
class Torso:
    """One patient.

    Attributes:
        backbone, cage, breath, chest: bones and contents of the chest, in mm from the top of T1.
        clavicles: the patient's right and left one.
        scale: size against the middle adult's.
        girth: thickness of the chest from front to back, in mm.
        female: whether breasts cast their shadow.
    """

    backbone: Backbone
    cage: Cage
    breath: Breath
    chest: Chest
    clavicles: tuple[Clavicle, Clavicle]
    scale: float
    girth: float
    female: bool

    @cached_property
    def landmarks(self) -> Array:
        """(166, 2) in mm: right lung, left lung, heart, right clavicle, left clavicle."""
        clavicles = (clavicle.outline() for clavicle in self.clavicles)
        outlines = (self.chest.right, self.chest.left, self.chest.heart, *clavicles)
        return np.concatenate(
            [evenly(outline, count, closed=True) for outline, count in zip(outlines, COUNTS, strict=True)]
        )


def draw_patient(rng: np.random.Generator) -> Torso:
    """A patient; in one of five the heart is enlarged."""
    female = bool(rng.random() < 0.5)
    scale = float(np.clip(rng.normal(0.96 if female else 1.02, 0.045), 0.86, 1.1))
    mild = rng.normal(0, 7.0, 2)
    bends = (Bend(0.42, float(mild[0]), 0.16), Bend(0.78, float(mild[1]), 0.14))
    backbone = draw_backbone(rng, bends, scale)
    cage = draw_cage(rng, backbone, scale * rng.normal(1.07, 0.035), scale)
    heart = rng.uniform(1.15, 1.4) if rng.random() < 0.2 else rng.normal(1.0, 0.07)
    breath = draw_breath(rng, backbone, scale, float(heart))
    chest = draw_chest(rng, backbone, cage, breath)
    clavicles = _draw_clavicles(rng, backbone, scale)
    return Torso(backbone, cage, breath, chest, clavicles, scale, rng.normal(215, 20) * scale, female)


def _draw_clavicles(rng: np.random.Generator, backbone: Backbone, scale: float) -> tuple[Clavicle, Clavicle]:
    low = float(backbone["T3"].centre[1]) + rng.normal(8, 7) * scale
    rise, bow = rng.normal(24, 7), rng.normal(1.0, 0.25)
    length = float(np.clip(rng.normal(133, 6), 118, 141))
    thick = rng.normal(1.0, 0.08)
    middle = float(backbone.middle(low)) * 0.5 + rng.normal(0, 3)  # a patient turned a little
    right, left = (
        _clavicle(side, middle, low + rng.normal(0, 2), rise + rng.normal(0, 3), length, bow, thick, scale)
        for side in (-1, 1)
    )
    return right, left


def _clavicle(
    side: int, middle: float, low: float, rise: float, length: float, bow: float, thick: float, scale: float
) -> Clavicle:
    """An S: its inner half bows down and forward, its outer half up and back."""
    along = np.array([0.0, 0.12, 0.3, 0.5, 0.7, 0.87, 1.0])
    up = rise * along + bow * np.array([0.0, 1.0, 5.0, 6.5, 5.0, 1.5, -3.0])
    knots = np.stack([side * (17 + length * along) * scale + middle, low - up * scale], axis=1)
    share = np.linspace(0.0, 1.0, 60)
    radius = np.interp(share, (0, 0.1, 0.3, 0.55, 0.8, 1), (11.0, 9.5, 6.6, 6.0, 7.0, 7.5)) * thick * scale
    ends = np.sqrt(np.clip(1 - (1 - np.minimum(share, 1 - share) / 0.06).clip(0) ** 2, 0, 1))
    return Clavicle(spline(knots, 60), radius * ends)
