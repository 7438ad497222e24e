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
  above and below are then those to the first and to the last vertebra. That gives the angles that come with 480 of the
  481 training images within 0.02 degrees; of the last, left and right of one vertebra are swapped, which here changes
  nothing: a line has no direction.
- ``cobb_end_plates``, as Cobb drew it (American Academy of Orthopaedic Surgeons, Instructional Course Lectures 5,
  1948): between the superior end plate of the upper end vertebra and the inferior one of the lower. The major curve is
  named by its apex: proximal thoracic to T5, main thoracic to T11, below that thoracolumbar/lumbar (Lenke et al.,
  Journal of Bone and Joint Surgery 83-A, 2001; the disc between T11 and T12 counts with T12).

**Where the image is not known** the challenge's rule is followed by level, since points alone don't say where the
image's half is: a major curve whose end vertebrae are on average T11 or below is the lumbar one, which decides 471 of
the 481 as the image does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ProtocolError, listed
from .base import Class_, Line, Part, Shown
from .geometry import cross, dot
from .structures import labels_of, outlines_of, vertebrae_of

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
    """V vertebrae from the front, of S spines.

    Attributes:
        corners: (V, 4, S, 2), from top to bottom: upper left, upper right, lower right, lower left, as seen in the
            image, y down. A vertebra without all of its corners is absent.
        levels: (V,), of :data:`LEVELS`.
    """

    corners: Array
    levels: Indices

    @cached_property
    def plates(self) -> tuple[Array, Array]:
        """(V, S, 2) each, from the left to the right end of the superior and of the inferior end plate."""
        left_top, right_top, right_foot, left_foot = np.moveaxis(self.corners, 1, 0)
        return right_top - left_top, right_foot - left_foot

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(V, S), whether all corners are there and the lines between them have a direction."""
        upper, lower = self.plates
        drawn = _has_direction(upper) & _has_direction(lower) & _has_direction(upper + lower)
        return np.asarray(drawn & np.isfinite(self.centres[..., 0]))

    @cached_property
    def middles(self) -> tuple[Array, Array]:
        """(V, S, 2) each, of the superior and of the inferior end plate."""
        left_top, right_top, right_foot, left_foot = np.moveaxis(self.corners, 1, 0)
        return (left_top + right_top) / 2, (left_foot + right_foot) / 2

    @cached_property
    def centres(self) -> Array:
        """(V, S, 2)."""
        return (self.middles[0] + self.middles[1]) / 2

    @cached_property
    def ends(self) -> tuple[Indices, Indices]:
        """First and last vertebra that is present, each (S,)."""
        there = self.present
        return there.argmax(axis=0), len(there) - 1 - there[::-1].argmax(axis=0)

    @cached_property
    def down(self) -> Array:
        """(S, 2), from the centre of the first vertebra to that of the last."""
        first, last = self.ends
        return _place(self.centres, last) - _place(self.centres, first)

    @property
    def measurable(self) -> NDArray[np.bool_]:
        """(S,), where there are enough vertebrae, none missing between the first and the last, and these are two.

        A vertebra that is missing inside might have been the most tilted one.
        """
        count, (first, last) = self.present.sum(axis=0), self.ends
        return np.asarray((count >= _FEWEST) & (count == last - first + 1) & _has_direction(self.down))

    def tilts(self, end_plates: bool) -> tuple[Array, Array]:
        """(V, S) degrees by which the right end of a vertebra lies lower, as upper and as lower end vertebra.

        The line is the superior and the inferior end plate, or for both the one between the middles of the sides; it is
        compared with the normal to the line from the first vertebra to the last. NaN where a vertebra is absent.
        """
        upper, lower = self.plates if end_plates else (self.plates[0] + self.plates[1],) * 2
        found = []
        for line in (upper, lower)[: 1 + end_plates]:
            with np.errstate(
                divide="ignore", invalid="ignore"
            ):  # a line has no direction: swapped corners say the same
                slope = dot(self.down, line) / cross(line, self.down)
            found.append(np.where(self.present, np.degrees(np.arctan(slope)), np.nan))
        return found[0], found[-1]

    def one_arc(self) -> NDArray[np.bool_]:
        """(S,), whether all middles of end plates lie on one side of the line from the first to the last."""
        upper, lower = self.middles
        first, last = self.ends
        start, end = _place(upper, first), _place(lower, last)
        inner = np.arange(len(upper))[:, None] != last  # the challenge leaves out both of the last vertebra
        side = [np.where(inner, cross(end - start, middle - start), 0.0) for middle in (upper, lower)]
        return np.asarray(~(np.minimum(*side) < 0).any(axis=0) | ~(np.maximum(*side) > 0).any(axis=0))

    def apex(self, upper: Indices, lower: Indices) -> Indices:
        """(S,), the vertebra farthest from the line between the centres of two, not outside of them."""
        start, end = _place(self.centres, upper), _place(self.centres, lower)
        away = np.abs(cross(end - start, self.centres - start))
        level = np.arange(len(away))[:, None]
        inside = (level >= upper) & (level <= lower)
        return np.asarray(np.fmax(np.where(inside, away, -1.0), -1.0).argmax(axis=0))  # without NaN


def spines_of(points: Array, protocol: Protocol, structures: tuple[str, ...] = (), kind: str = "cobb") -> Spines:
    """The vertebrae in S sets of points (S, K, 2); all of the protocol if no structures are named."""
    names = vertebrae_of(protocol, structures, kind)
    return Spines(outlines_of(points, protocol, names), np.array([LEVELS[name] for name in names]))


def find_curves(spines: Spines, end_plates: bool, half: Array | None = None) -> Curves:
    """The three curves.

    Args:
        spines: of S images.
        end_plates: as Cobb drew it, or else as the AASCE challenge has it; see the text above.
        half: (S,), y of the middle of each image, by which the challenge tells the lower half; None: told by level.
    """
    tilts = spines.tilts(end_plates)
    upper, lower = _farthest_apart(tilts)
    first, last = spines.ends
    arc = spines.one_arc() if not end_plates else np.zeros(len(upper), dtype=bool)
    top = np.where(arc, first, _above(tilts, upper))
    bottom = np.where(arc, last, _below(tilts, lower))
    major = _by_apex(spines, upper, lower) if end_plates else _by_half(spines, upper, lower, arc, half)
    # Six end vertebrae below each other make five neighbouring curves; the major one's name says which three are asked.
    above = _above(tilts, top) if (major == 2).any() else top
    below = _below(tilts, bottom) if (major == 0).any() else bottom
    limits = np.stack([above, top, upper, lower, bottom, below])
    curve = 2 - major + np.arange(3)[:, None]
    uppers, lowers = np.take_along_axis(limits, curve, 0), np.take_along_axis(limits, curve + 1, 0)
    angles = np.where(uppers < lowers, np.abs(_of(tilts[0], uppers) - _of(tilts[1], lowers)), 0.0)
    return Curves(np.where(spines.measurable, angles, np.nan).T, uppers.T, lowers.T, major)


def _of(values: Array, at: Indices) -> Array:
    """(..., S), of (V, S) that of the vertebrae ``at`` (..., S)."""
    return np.asarray(values[at, np.arange(at.shape[-1])])


def _place(points: Array, at: Indices) -> Array:
    """(S, 2), of (V, S, 2) those of the vertebrae ``at`` (S,); a coordinate's samples stay side by side."""
    return np.stack([_of(points[..., axis], at) for axis in (0, 1)]).T


def _farthest_apart(tilts: tuple[Array, Array]) -> tuple[Indices, Indices]:
    """The two vertebrae with the largest angle between the upper line of one and the lower line of a later one."""
    upper, lower = tilts
    least, most = np.fmin.accumulate(upper[:-1]), np.fmax.accumulate(upper[:-1])  # of all above each of lower[1:]
    apart = np.fmax(np.fmax(most - lower[1:], lower[1:] - least), 0.0)
    last = apart.argmax(axis=0) + 1
    return _above(tilts, last), last


def _has_direction(vectors: Array) -> NDArray[np.bool_]:
    """(...), whether vectors (..., 2) are longer than 0."""
    return np.asarray((vectors[..., 0] != 0) | (vectors[..., 1] != 0))


def _above(tilts: tuple[Array, Array], at: Indices) -> Indices:
    """The upper end vertebra of the curve whose lower one is given; the same where there is none above."""
    return _farthest(np.abs(tilts[0] - _of(tilts[1], at)), np.arange(len(tilts[0]))[:, None] < at, at)


def _below(tilts: tuple[Array, Array], at: Indices) -> Indices:
    """The lower end vertebra of the curve whose upper one is given; the same where there is none below."""
    return _farthest(np.abs(_of(tilts[0], at) - tilts[1]), np.arange(len(tilts[0]))[:, None] > at, at)


def _farthest(angles: Array, where: NDArray[np.bool_], otherwise: Indices) -> Indices:
    """(S,), at which of (V, S) the angle is largest; ``otherwise`` where there is none."""
    asked = np.fmax(np.where(where, angles, 0.0), 0.0)  # without NaN
    largest = asked.argmax(axis=0)
    return np.where(_of(asked, largest) > 0, largest, otherwise)


def _by_half(spines: Spines, upper: Indices, lower: Indices, arc: NDArray[np.bool_], half: Array | None) -> Indices:
    """Which curve the major one is by the challenge's rule."""
    if half is None:
        high = (spines.levels[upper] + spines.levels[lower]) / 2 < LEVELS["T11"]
    else:
        foot = spines.middles[1][..., 1]
        high = (_of(foot, upper) + _of(foot, lower)) / 2 < half
    return np.where(high | arc, 1, 2)


def _by_apex(spines: Spines, upper: Indices, lower: Indices) -> Indices:
    """Which curve the major one is by its apex."""
    apex = spines.levels[spines.apex(upper, lower)]
    return np.asarray((apex > LEVELS["T5"]).astype(np.intp) + (apex > LEVELS["T11"]))


@dataclass(frozen=True)
class Cobb:
    """The composed measurements ``cobb`` and ``cobb_end_plates``.

    Attributes:
        kind: its name.
        end_plates: which of the two.
        half: y of the middle of the image, in the unit of the points; None where it is not known.
    """

    kind: str
    end_plates: bool
    half: float | None = None

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
        return self._curves(self._spines(points, protocol, structures)).angles

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """Of each curve end vertebrae, apex and side; the end vertebrae's lines, to as much again on either side."""
        spine, names = self._spines(points[None], protocol, structures), vertebrae_of(protocol, structures, self.kind)
        found, lines = self._curves(spine), self._lines(spine)
        notes = self._notes(spine, found, names)
        ends = zip(notes, found.angles[0], found.upper[0], found.lower[0], strict=True)
        return tuple(
            Shown(note, (_longer(lines[0][top]), _longer(lines[1][bottom])) if angle > 0 else ())
            for note, angle, top, bottom in ends
        )

    def _spines(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Spines:
        return spines_of(points, protocol, structures, self.kind)

    def _curves(self, spines: Spines) -> Curves:
        half = None if self.half is None else np.full(spines.corners.shape[2], self.half)
        return find_curves(spines, self.end_plates, half)

    def _lines(self, spine: Spines) -> tuple[Array, Array]:
        """(V, 2, 2) each, of the first of S spines: the lines of upper and lower end vertebrae, from left to right."""
        upper, lower = spine.corners[:, :2, 0], spine.corners[:, :1:-1, 0]
        return (upper, lower) if self.end_plates else ((upper + lower) / 2,) * 2

    def _notes(self, spine: Spines, found: Curves, names: tuple[str, ...]) -> list[str]:
        """Of the first of S spines."""
        tilts = spine.tilts(self.end_plates)
        notes = []
        for curve, angle in enumerate(found.angles[0].tolist()):
            if not angle > 0:
                notes.append("" if np.isnan(angle) else "the spine ends before another curve")
                continue
            upper, lower = int(found.upper[0, curve]), int(found.lower[0, curve])
            apex = names[int(spine.apex(found.upper[:, curve], found.lower[:, curve])[0])]
            if lower == upper + 1:
                apex = f"the disc between {names[upper]} and {names[lower]}"
            side = "right" if tilts[1][lower, 0] > tilts[0][upper, 0] else "left"
            major = ", major curve" if found.major[0] == curve else ""
            notes.append(
                f"upper end vertebra {names[upper]}, lower {names[lower]}, apex {apex}, convex to the {side} of the "
                f"image{major}"
            )
        return notes


def _longer(line: Array) -> Line:
    """A vertebra's line (2, 2) with its own length added on either side."""
    along = line[1] - line[0]
    (x0, y0), (x1, y1) = (line[0] - along).tolist(), (line[1] + along).tolist()
    return Line(((x0, y0), (x1, y1)))
