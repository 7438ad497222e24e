"""The rib cage from the front: twelve pairs of hoops that fall from the spine to the breastbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .backbone import Backbone
from .canvas import Canvas
from .curves import tangents
from .solids import rounded, tube
from .view import Array

# From the midline to the side of the chest, in mm, and from the head of the rib down to its front end.
REACH = np.array([58.0, 86, 104, 116, 125, 131, 135, 137, 136, 132, 122, 104])
FALL = np.array([42.0, 68, 84, 96, 104, 110, 116, 122, 124, 118, 98, 78])
# How far round each goes, in degrees from straight back.
ROUND = np.array([140.0, 142, 142, 141, 140, 138, 136, 132, 126, 118, 92, 66])

# How far the back of each bows up, in mm.
RISE = np.array([9.0, 9, 8, 8, 7, 7, 6, 6, 5, 4, 0, -4])


@dataclass(frozen=True)
class Cage:
    """A rib cage.

    Attributes:
        paths: (2, 12, N, 2), middle lines of the ribs in mm: side of the image (left, right), rib, points.
        radius: half their height in mm.
        thickness: half their thickness in mm.
    """

    paths: Array
    radius: float
    thickness: float

    def outer(self, side: int) -> Array:
        """(12, 2) where each rib of a side (0 left, 1 right) is farthest out."""
        path = self.paths[side]
        far = np.argmax(path[..., 0] * (2 * side - 1), axis=1)
        return np.asarray(path[np.arange(len(path)), far])


def draw_cage(rng: np.random.Generator, backbone: Backbone, width: float, length: float, follow: float = 0.6) -> Cage:
    """Ribs on a spine.

    Args:
        width, length: of the chest against the middle adult's.
        follow: share of a vertebra's tilt that its ribs take over.
    """
    steep = rng.normal(1.0, 0.1)
    radius = 5.8 * width * rng.normal(1.0, 0.06)
    bow = rng.normal(1.0, 0.15)
    wobble = rng.normal(0.0, 1.0, (2, 12, 2))
    paths = np.empty((2, 12, 40, 2))
    for side in (0, 1):
        for rib in range(12):
            vertebra = backbone[f"T{rib + 1}"]
            sign = 2 * side - 1
            head = vertebra.at((0.86 * sign, 0.05 if rib < 10 else 0.3))
            across = vertebra.corners[1] - vertebra.corners[0]
            tilt = follow * np.arctan2(across[1], across[0]) * sign + 0.02 * wobble[side, rib, 0]
            # The cage stays over the pelvis while the spine bends: its sides follow by a part only.
            reach = REACH[rib] * width - 0.65 * sign * vertebra.centre[0]
            fall = FALL[rib] * length * steep * (1 + 0.03 * wobble[side, rib, 1])
            start, rise = 0.43 * vertebra.width, RISE[rib] * bow
            paths[side, rib] = _hoop(head, start, sign, reach, fall, ROUND[rib], tilt, rise)
    return Cage(paths, float(radius), float(0.58 * radius))


def _hoop(
    head: Array, start: float, sign: int, reach: float, fall: float, degrees: float, tilt: float, bow: float
) -> Array:
    """(40, 2) one rib: an ellipse that starts at the spine, rises a little, and falls as it comes forward."""
    first = np.arcsin(min(start / reach, 0.9) ** (1 / 0.85))
    angle = np.linspace(first, np.deg2rad(degrees), 40)
    out = reach * np.sin(angle) ** 0.85
    down = fall * ((1 - np.cos(angle)) / 2 - (1 - np.cos(first)) / 2)
    along = (out - start) / reach
    rise = -bow * np.sin(np.pi * np.clip(along * 1.6, 0, 1)) * (angle < np.pi / 2)
    down = down + rise + np.sin(tilt) * (out - start)
    return np.stack([head[0] + sign * (out - start), head[1] + down], axis=1)


def draw_ribs(canvas: Canvas, cage: Cage, density: float = 1.5) -> None:
    """All ribs; ``density`` in mm of water a mm of dense bone."""
    for side in (0, 1):
        for rib, path in enumerate(cage.paths[side]):
            share = np.linspace(0.0, 1.0, len(path))
            # Slender at the neck, highest at the side, flared where the cartilage begins.
            shape = np.interp(share, (0, 0.12, 0.5, 0.85, 1), (0.75, 0.85, 1.0, 1.1, 1.25))
            small = 0.8 if rib in (0, 10, 11) else 1.0
            tip = np.interp(share, (0.5, 1.0), (1.0, 0.45 if rib > 9 else 1.0))
            # Flat bones: their height is seen where they run across, their thickness where they run down.
            seen = np.hypot(*(tangents(path) * (cage.radius, cage.thickness)).T)
            radius = rounded(seen * shape * small * tip, len(path), 3)
            fade = np.interp(share, (0, 0.55, 0.7, 0.95, 1), (1.0, 1.0, 0.8, 0.6, 0.45))
            tube(canvas, path, radius, 0.9, 0.12, density, fade)
