"""One patient's head from the side, and the landmarks of ``cephalometric_19`` on its outlines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .curves import centroid, crossing, deepest, evenly, farthest, tangents, towards
from .neck import Neck
from .skull_template import PNS
from .teeth import Tooth
from .view import Array

ORDER = (
    *("S", "N", "Or", "Po", "A", "B", "Pog", "Me", "Gn", "Go"),
    *("L1", "U1", "UL", "LL", "Sn", "Pog'", "PNS", "ANS", "Ar"),
)


@dataclass(frozen=True)
class Head:
    """One patient, in mm from the middle of the template's sella, x forward, y down.

    Attributes:
        curves: outlines by name, (N, 2); those of the lower jaw are of the half nearer to the detector.
        far_jaw: the jaw's outlines of the other half.
        far_orbit: the orbit's margin of the other side.
        upper, lower: the teeth, the foremost incisor first.
        profile: (N, 2) soft tissue outline from the forehead down to the neck.
        marks: places on the profile by name, as indices.
        neck: the cervical spine.
        size: against the middle adult's.
        tilt: rotation of the head in the image, in radians, clockwise as seen.
    """

    curves: dict[str, Array]
    far_jaw: dict[str, Array]
    far_orbit: Array
    upper: tuple[Tooth, ...]
    lower: tuple[Tooth, ...]
    profile: Array
    marks: dict[str, int]
    neck: Neck
    size: float
    tilt: float

    @cached_property
    def landmarks(self) -> Array:
        """(19, 2) in mm, each found on the outlines by its definition, as the tilted image shows it."""
        points = self._skull_points() | self._jaw_points() | self._soft_points()
        return np.array([points[label] for label in ORDER])

    @cached_property
    def symphysis(self) -> Array:
        """(N, 2) the outline of the chin from the crest in front to the crest behind."""
        return np.concatenate([self.curves["symphysis front"], self.curves["symphysis back"][1:]])

    @cached_property
    def _front(self) -> Array:
        """(2,) to the right of the image."""
        return towards(-self.tilt)

    @cached_property
    def _down(self) -> Array:
        """(2,) to the bottom of the image."""
        return towards(np.pi / 2 - self.tilt)

    def _skull_points(self) -> dict[str, Array]:
        c = self.curves
        return {
            "S": centroid(c["fossa"]),
            "N": farthest(c["suture"], self._front),
            "Or": (farthest(c["orbit"], self._down) + farthest(self.far_orbit, self._down)) / 2,
            "Po": farthest(c["meatus"], -self._down),
            "ANS": c["palate"][0],
            "PNS": c["palate"][PNS],
            "A": deepest(c["front of maxilla"]),
            "U1": self.upper[0].edge,
        }

    def _jaw_points(self) -> dict[str, Array]:
        chin = evenly(self.curves["symphysis front"], 400)
        foremost = 160 + int(np.argmax(chin[160:] @ self._front))  # of the lower part, the chin proper
        menton = farthest(self.symphysis, self._down)
        corners = [_gonion(jaw["jaw border"], self._front, self._down) for jaw in (self.curves, self.far_jaw)]
        base = self.curves["skull base"]
        necks = [crossing(jaw["jaw border"], base) for jaw in (self.curves, self.far_jaw)]
        return {
            "B": deepest(chin[: foremost + 1]),
            "Pog": chin[foremost],
            "Me": menton,
            "Gn": _halfway(evenly(self.symphysis, 800), chin[foremost], menton),
            "Go": np.mean(corners, axis=0),
            "Ar": np.mean(necks, axis=0),
            "L1": self.lower[0].edge,
        }

    def _soft_points(self) -> dict[str, Array]:
        def foremost(first: str, last: str) -> Array:
            return farthest(self.profile[self.marks[first] : self.marks[last]], self._front)

        return {
            "Sn": self.profile[self.marks["Sn"]],
            "UL": foremost("lip", "stomion"),
            "LL": foremost("stomion", "fold"),
            "Pog'": foremost("fold", "chin"),
        }


def _halfway(outline: Array, first: Array, last: Array) -> Array:
    """(2,) the middle of the way along an outline (N, 2) between two of its points."""
    ends = [int(np.argmin(np.hypot(*(outline - point).T))) for point in (first, last)]
    return np.asarray(outline[round(sum(ends) / 2)])


def _gonion(border: Array, front: Array, down: Array) -> Array:
    """(2,) where the jaw's border (N, 2) has turned half the way from the ramus into the body."""
    outline = evenly(border, 400)
    way = tangents(outline)
    angle = np.unwrap(np.arctan2(way @ front, way @ down))
    middle = (angle[100] + angle[280]) / 2
    return np.asarray(outline[60 + np.argmin(np.abs(angle[60:330] - middle))])
