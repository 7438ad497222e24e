"""Cobb angles of a spine from the front: three curves from top to bottom, their end vertebrae, apex and side.

**Which curves.** The largest angle between any two vertebrae is the major curve, and they are its end vertebrae. The
next curve shares the end vertebra of its neighbour, and is the largest angle to any vertebra beyond it. There are
three: proximal thoracic, main thoracic, thoracolumbar/lumbar, named from top to bottom.

**Between which lines.** Two measurements share that search:

- ``cobb``, as the ground truth of the AASCE challenge has it (Wu et al., MICCAI 2017; Wang et al., Medical Image
  Analysis 72, 2021, *Evaluation and comparison of accurate automated spinal curvature estimation algorithms*): a
  vertebra's line joins the middle of its left side with that of its right side. The major curve is the main thoracic
  one, and the next are one above and one below; but if it lies in the lower half of the image it is the lumbar one, and
  the next are both above. A spine that lies wholly on one side of the line between its ends is one arc: the angles
  above and below are then those to the first and to the last vertebra. Found by computing the angles that come with the
  481 training images, all of which it gives within 0.02 degrees.
- ``cobb_end_plates``, as Cobb drew it (American Academy of Orthopaedic Surgeons, Instructional Course Lectures 5,
  1948): between the superior end plate of the upper end vertebra and the inferior one of the lower. The major curve is
  named by its apex: proximal thoracic to T5, main thoracic to T11, below that thoracolumbar/lumbar (Lenke et al.,
  Journal of Bone and Joint Surgery 83-A, 2001; the disc between T11 and T12 counts with T12).

**Where the image is not known.** Points alone don't say where the image's half is. The challenge's rule is followed by
level then: a major curve whose end vertebrae are on average T11 or below is the lumbar one, which decides 471 of the
481 as the image does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ProtocolError, listed
from .base import Class_, Line, Part
from .structures import labels_of, points_of, vertebrae_of

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Keys and titles of the curves, from top to bottom.
CURVES = (("pt", "proximal thoracic"), ("mt", "main thoracic"), ("tl", "thoracolumbar/lumbar"))

#: Scoliosis is a curve of 10 degrees or more (Scoliosis Research Society); 25 to 40 is what trials of braces include
#: (Richards et al., Spine 30, 2005).
SEVERITY = (
    Class_(name="no scoliosis", below=10),
    Class_(name="mild", from_=10, below=25),
    Class_(name="moderate", from_=25, to=40),
    Class_(name="severe", above=40),
)

#: Levels of the spine, counted from T1.
LEVELS = {name: level for level, name in enumerate([f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)])}

_FEWEST = 3


@dataclass(frozen=True)
class Curves:
    """Three curves from top to bottom, of S spines.

    Attributes:
        angles: (S, 3) in degrees; 0 where the spine ends before there is a curve, NaN where nothing can be measured.
        upper, lower: (S, 3), indices of the end vertebrae.
        major: (S,), which of the three is the largest between any two vertebrae.
    """

    angles: Array
    upper: Indices
    lower: Indices
    major: Indices


@dataclass(frozen=True)
class Spines:
    """Vertebrae from the front.

    Attributes:
        corners: (S, V, 4, 2), of V vertebrae from top to bottom: upper left, upper right, lower right, lower left, as
            seen in the image, y down. A vertebra without all of its corners is absent.
        levels: (V,), of :data:`LEVELS`.
    """

    corners: Array
    levels: Indices

    @cached_property
    def across(self) -> Array:
        """(S, V, 2, 2), from the left to the right end of the superior and of the inferior end plate."""
        return np.asarray(self.corners[:, :, 1:3] - self.corners[:, :, [0, 3]])

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(S, V), whether all corners are there and the lines between them have a direction."""
        drawn = self.across.any(axis=3).all(axis=2) & self.across.sum(axis=2).any(axis=2)
        return np.asarray(drawn & np.isfinite(np.einsum("svcx->sv", self.corners)))

    @property
    def measurable(self) -> NDArray[np.bool_]:
        """(S,), where there are enough vertebrae, none missing between the first and the last.

        A vertebra that is missing inside might have been the most tilted one.
        """
        count, (first, last) = self.present.sum(axis=1), self.ends
        return (count >= _FEWEST) & (count == last - first + 1)

    @cached_property
    def centres(self) -> Array:
        """(S, V, 2)."""
        return np.asarray(self.corners.mean(axis=2))

    @cached_property
    def ends(self) -> tuple[Indices, Indices]:
        """First and last vertebra that is present, each (S,)."""
        there = self.present
        return there.argmax(axis=1), there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)

    def tilts(self, end_plates: bool) -> tuple[Array, Array]:
        """(S, V) degrees by which the right end of a vertebra lies lower, as upper and as lower end vertebra.

        The line is the superior and the inferior end plate, or for both the one between the middles of the sides.
        """
        upper, lower = self.across[:, :, 0], self.across[:, :, 1]
        if not end_plates:
            upper = lower = upper + lower
        return _degrees(upper), _degrees(lower)

    def one_arc(self) -> NDArray[np.bool_]:
        """(S,), whether all middles of end plates lie on one side of the line from the first to the last."""
        left_to_right = self.corners + self.corners[:, :, [1, 0, 3, 2]]
        middles = left_to_right[:, :, 1:3] / 2  # of the superior and of the inferior end plate
        rows, (first, last) = np.arange(len(middles)), self.ends
        start, end = middles[rows, first, 0], middles[rows, last, 1]
        middles[rows, last] = start[:, None]  # the end is on the line, and the challenge leaves the one before it out
        side = _cross((end - start)[:, None, None], middles - start[:, None, None])
        return np.asarray((~(side < 0)).all(axis=(1, 2)) | (~(side > 0)).all(axis=(1, 2)))

    def apex(self, upper: Indices, lower: Indices) -> Indices:
        """(S,), the vertebra farthest from the line between the centres of two, not outside of them."""
        rows, centres = np.arange(len(self.corners)), self.centres
        start, end = centres[rows, upper], centres[rows, lower]
        away = np.abs(_cross((end - start)[:, None], centres - start[:, None]))
        level = np.arange(centres.shape[1])
        inside = (level >= upper[:, None]) & (level <= lower[:, None])
        return np.asarray(np.where(inside & np.isfinite(away), away, -1.0).argmax(axis=1))


def find_curves(spines: Spines, end_plates: bool, half: Array | None = None) -> Curves:
    """The three curves.

    Args:
        spines: of S images.
        end_plates: as Cobb drew it, or else as the AASCE challenge has it; see the text above.
        half: (S,), y of the middle of each image, by which the challenge tells the lower half; None: told by level.
    """
    apart = _angles(spines, end_plates)
    rows, count = np.arange(len(apart)), apart.shape[1]
    upper, lower = np.divmod(apart.reshape(len(apart), -1).argmax(axis=1), count)
    first, last = spines.ends
    arc = spines.one_arc() & (not end_plates)
    top = np.where(arc, first, _farthest(apart[rows, :, upper], upper))
    bottom = np.where(arc, last, _farthest(apart[rows, lower], lower))
    major = _by_apex(spines, upper, lower) if end_plates else _by_half(spines, upper, lower, arc, half)
    higher, deeper = _farthest(apart[rows, :, top], top), _farthest(apart[rows, bottom], bottom)
    # Six end vertebrae below each other make five neighbouring curves; the major one's name says which three are asked.
    limits = np.stack([higher, top, upper, lower, bottom, deeper], axis=1)
    curve = 2 - major[:, None] + np.arange(3)
    uppers, lowers = np.take_along_axis(limits, curve, 1), np.take_along_axis(limits, curve + 1, 1)
    angles = np.where(spines.measurable[:, None], apart[rows[:, None], uppers, lowers], np.nan)
    return Curves(angles, uppers, lowers, major)


def _angles(spines: Spines, end_plates: bool) -> Array:
    """(S, V, V) degrees between the line of an upper and that of a lower end vertebra; 0 unless it is the lower one."""
    upper, lower = spines.tilts(end_plates)
    apart = np.abs(upper[:, :, None] - lower[:, None])
    apart = np.minimum(apart, 360 - apart)
    below = np.triu(np.ones(apart.shape[1:], dtype=bool), 1)
    return np.where(below & spines.present[:, :, None] & spines.present[:, None], apart, 0.0)


def _farthest(angles: Array, otherwise: Indices) -> Indices:
    """(S,), at which of (S, V) the angle is largest; ``otherwise`` where there is none."""
    return np.where((angles > 0).any(axis=1), angles.argmax(axis=1), otherwise)


def _by_half(spines: Spines, upper: Indices, lower: Indices, arc: NDArray[np.bool_], half: Array | None) -> Indices:
    """Which curve the major one is by the challenge's rule."""
    if half is None:
        high = (spines.levels[upper] + spines.levels[lower]) / 2 < LEVELS["T11"]
    else:
        rows, plates = np.arange(len(upper)), spines.corners[:, :, 2:, 1].mean(axis=2)  # the inferior ones
        high = (plates[rows, upper] + plates[rows, lower]) / 2 < half
    return np.where(high | arc, 1, 2)


def _by_apex(spines: Spines, upper: Indices, lower: Indices) -> Indices:
    """Which curve the major one is by its apex."""
    apex = spines.levels[spines.apex(upper, lower)]
    return np.asarray((apex > LEVELS["T5"]).astype(np.intp) + (apex > LEVELS["T11"]))


def _degrees(vectors: Array) -> Array:
    """Directions of vectors (..., 2)."""
    return np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0]))


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


@dataclass(frozen=True)
class Cobb:
    """The composed measurements ``cobb`` and ``cobb_end_plates``.

    Attributes:
        kind: its name.
        end_plates: which of the two.
    """

    kind: str
    end_plates: bool

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """The three curves, from top to bottom."""
        names = vertebrae_of(protocol, structures, self.kind)
        in_order = [name for name in LEVELS if name in names]
        if list(names) != in_order or len(names) < _FEWEST:
            raise ProtocolError(
                f"{self.kind}: curves are named by level, so that it takes {_FEWEST} or more vertebrae named T1 to T12 "
                f"and L1 to L5, from top to bottom; got {listed(names, 20)}"
            )
        labels = labels_of(protocol, names)
        how = "end plates" if self.end_plates else "AASCE"
        return tuple(
            Part(f"{self.kind}_{key}", f"Cobb angle, {title} ({how})", "deg", labels, classes=SEVERITY)
            for key, title in CURVES
        )

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 3) degrees of points (S, K, 2)."""
        return find_curves(self._spines(points, protocol, structures), self.end_plates).angles

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        """The end vertebrae, apex and side of each curve."""
        spine = self._spines(points[None], protocol, structures)
        names, found = vertebrae_of(protocol, structures, self.kind), find_curves(spine, self.end_plates)
        return tuple(self._note(spine, found, curve, names) for curve in range(3))

    def construction(
        self, points: Array, protocol: Protocol, structures: tuple[str, ...]
    ) -> tuple[tuple[Line, ...], ...]:
        """The lines of the two end vertebrae of each curve, to as much again on either side."""
        spine = self._spines(points[None], protocol, structures)
        found, corners = find_curves(spine, self.end_plates), spine.corners[0]
        upper, lower = corners[:, :2], corners[:, :1:-1]  # left and right end of each end plate
        if not self.end_plates:
            upper = lower = (upper + lower) / 2
        return tuple(
            (_longer(upper[top]), _longer(lower[bottom])) if angle > 0 else ()
            for angle, top, bottom in zip(found.angles[0], found.upper[0], found.lower[0], strict=True)
        )

    def _spines(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Spines:
        names = vertebrae_of(protocol, structures, self.kind)
        return Spines(points_of(points, protocol, names), np.array([LEVELS[name] for name in names]))

    def _note(self, spine: Spines, found: Curves, curve: int, names: tuple[str, ...]) -> str:
        if not found.angles[0, curve] > 0:
            return "" if np.isnan(found.angles[0, curve]) else "the spine ends before another curve"
        upper, lower = found.upper[:, curve], found.lower[:, curve]
        tilts = spine.tilts(self.end_plates)
        closing = (tilts[1][0, lower[0]] - tilts[0][0, upper[0]] + 180) % 360 - 180
        apex = names[spine.apex(upper, lower)[0]]
        if lower[0] == upper[0] + 1:
            apex = f"the disc between {names[upper[0]]} and {names[lower[0]]}"
        return (
            f"upper end vertebra {names[upper[0]]}, lower {names[lower[0]]}, apex {apex}, convex to the "
            f"{'right' if closing > 0 else 'left'} of the image{', major curve' if found.major[0] == curve else ''}"
        )


def _longer(line: Array) -> Line:
    """A vertebra's line (2, 2) with its own length added on either side."""
    along = line[1] - line[0]
    (x0, y0), (x1, y1) = (line[0] - along).tolist(), (line[1] + along).tolist()
    return Line(((x0, y0), (x1, y1)))
