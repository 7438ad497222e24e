"""Heights and wedging of vertebral bodies from the front, and from the side with the grade of a fracture.

``vertebral_heights``: bodies of four corners, as an anteroposterior view has them.

``genant``: bodies from the side, by four corners in the order anterior superior, posterior superior, posterior
inferior, anterior inferior, or by six points with the middles of the end plates between them. The grade is the
semiquantitative one of Genant et al. (Journal of Bone and Mineral Research 8, 1993) by its losses of height: below
20 % none, 20 to 25 % mild, 25 to 40 % moderate, above that severe. Genant's reader judges losses by eye; here they are
ratios: of the anterior and of the middle height to the posterior one, and of the posterior height to the mean of the
neighbours', which finds crushed bodies (the six points of McCloskey et al., Osteoporosis International 3, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Class_, Line, Part, Quantity
from .structures import labels_of, outlines, points_of, require_size, vertebrae_of

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]
Lines = tuple[tuple[Line, ...], ...]

#: Loss of height from which a body is of grade 1, 2 and 3.
GENANT = (0.2, 0.25, 0.4)
GRADES = tuple(
    Class_(name=name, from_=grade, to=grade) for grade, name in enumerate(("normal", "mild", "moderate", "severe"))
)

_FRONTAL: tuple[tuple[str, str, Quantity], ...] = (
    ("left", "height on the left of the image", "length"),
    ("right", "height on the right of the image", "length"),
    ("mid", "height in the middle", "length"),
    ("wedge", "wedging, positive where the right of the image is higher", "deg"),
)


@dataclass(frozen=True)
class VertebralHeights:
    """The composed measurement ``vertebral_heights``: of each body from the front."""

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        names = vertebrae_of(protocol, structures, "vertebral_heights")
        return tuple(
            Part(f"{name}_{key}", f"{name}, {title}", unit, labels_of(protocol, (name,)))
            for name in names
            for key, title, unit in _FRONTAL
        )

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 4 V): of each vertebra left, right and middle height, and wedging in degrees."""
        corners = points_of(points, protocol, vertebrae_of(protocol, structures, "vertebral_heights"))
        upper_left, upper_right, lower_right, lower_left = np.moveaxis(corners, 2, 0)
        left, right = lower_left - upper_left, lower_right - upper_right
        heights = [_length(left), _length(right), _length((left + right) / 2)]
        wedge = _turn(upper_right - upper_left, lower_right - lower_left)
        return np.stack([*heights, wedge], axis=2).reshape(len(corners), -1)

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        return ("",) * len(self.parts(protocol, structures))

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        corners = points_of(points[None], protocol, vertebrae_of(protocol, structures, "vertebral_heights"))[0]
        drawn: list[tuple[Line, ...]] = []
        for upper_left, upper_right, lower_right, lower_left in corners:
            middles = (upper_left + upper_right) / 2, (lower_left + lower_right) / 2
            drawn += [_lines((upper_left, lower_left)), _lines((upper_right, lower_right)), _lines(middles)]
            drawn.append(_lines((upper_left, upper_right), (lower_left, lower_right)))
        return tuple(drawn)


_LATERAL: tuple[tuple[str, str, Quantity, tuple[Class_, ...]], ...] = (
    ("anterior", "anterior height", "length", ()),
    ("middle", "middle height", "length", ()),
    ("posterior", "posterior height", "length", ()),
    ("wedge", "wedging, positive where the anterior height is the smaller", "deg", ()),
    ("loss", "largest loss of height", "percent", ()),
    ("grade", "grade of fracture (Genant)", "grade", GRADES),
)


@dataclass(frozen=True)
class Genant:
    """The composed measurement ``genant``: heights, wedging and grade of fracture of each body from the side."""

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """Six of each body.

        Raises:
            ProtocolError: a structure has neither four nor six landmarks, or there is none.
        """
        names = _lateral(protocol, structures)
        for name in names:
            what = "the corners of a body, or those and the middles of its end plates"
            require_size(protocol, name, (4, 6), what, "genant")
        return tuple(
            Part(f"{name}_{key}", f"{name}, {title}", unit, _needed(protocol, names, place, key), classes=classes)
            for place, name in enumerate(names)
            for key, title, unit, classes in _LATERAL
        )

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 6 V): of each body anterior, middle and posterior height, wedging in degrees, loss in %, grade."""
        bodies = _bodies(points, protocol, structures)
        heights = _length(bodies[:, :, :2:-1] - bodies[:, :, :3])  # anterior, middle, posterior
        loss = _loss(heights)
        grade = np.where(np.isnan(loss), np.nan, np.searchsorted(GENANT, loss, side="right"))
        superior, inferior = (bodies[:, :, b] - bodies[:, :, a] for a, b in ((0, 2), (5, 3)))
        side = np.sign(_cross(superior, bodies[:, :, 5] - bodies[:, :, 0]))  # of an image that faces left, or right
        each = [*np.moveaxis(heights, 2, 0), side * _turn(superior, inferior), 100 * loss, grade]
        return np.stack(each, axis=2).reshape(len(bodies), -1)

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        """Which height is the smaller one, of the grade of bodies with a fracture."""
        bodies = _bodies(points[None], protocol, structures)
        heights = _length(bodies[:, :, :2:-1] - bodies[:, :, :3])
        kinds = ("wedge", "biconcave", "crush")
        notes: list[str] = []
        for ratios, loss in zip(_losses(heights)[0], _loss(heights)[0], strict=True):
            fractured = loss >= GENANT[0]
            notes += [""] * 5 + [f"{kinds[int(np.nanargmax(ratios))]} deformity" if fractured else ""]
        return tuple(notes)

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        drawn: list[tuple[Line, ...]] = []
        for body in _bodies(points[None], protocol, structures)[0]:
            heights = [_lines((body[place], body[5 - place])) for place in range(3)]
            plates = _lines((body[0], body[2]), (body[5], body[3]))
            drawn += [*heights, plates, sum(heights, ()), sum(heights, ())]
        return tuple(drawn)


def _lateral(protocol: Protocol, names: tuple[str, ...]) -> tuple[str, ...]:
    return outlines(protocol, names, names, "genant") if names else vertebrae_of(protocol, (), "genant")


def _needed(protocol: Protocol, names: tuple[str, ...], place: int, key: str) -> tuple[str, ...]:
    """Labels that a part of the body at ``place`` depends on: losses also on its neighbours."""
    near = names[max(place - 1, 0) : place + 2] if key in ("loss", "grade") else names[place : place + 1]
    return labels_of(protocol, near)


def _bodies(points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
    """(S, V, 6, 2): superior end plate from front to back, inferior one from back to front.

    Four corners have the middles between them, so that a biconcave body is not seen.
    """
    bodies = []
    for name in _lateral(protocol, structures):
        outline = np.asarray(points[:, protocol.indices(name)], dtype=np.float64)
        if outline.shape[1] == 4:
            front, back, foot, toe = np.moveaxis(outline, 1, 0)
            outline = np.stack([front, (front + back) / 2, back, foot, (foot + toe) / 2, toe], axis=1)
        bodies.append(outline)
    return np.stack(bodies, axis=1)


def _losses(heights: Array) -> Array:
    """(S, V, 3), by which part the anterior, middle and posterior heights (S, V, 3) are too small; NaN unknown."""
    posterior = heights[..., 2]
    padded = np.pad(posterior, ((0, 0), (1, 1)), constant_values=np.nan)
    near = np.stack([padded[:, :-2], padded[:, 2:]])
    there = np.isfinite(near)
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = np.where(there, near, 0.0).sum(axis=0) / there.sum(axis=0)
        return 1 - np.stack([*np.moveaxis(heights[..., :2], 2, 0) / posterior, posterior / usual], axis=2)


def _loss(heights: Array) -> Array:
    """(S, V), the largest loss, at least 0; of a body without neighbours that of its own heights."""
    losses = _losses(heights)
    own, crushed = losses[..., :2].max(axis=2), losses[..., 2]
    loss = np.fmax(np.fmax(own, crushed), 0.0)
    return np.where(np.isfinite(own), loss, np.nan)


def _length(vectors: Array) -> Array:
    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]))


def _turn(a: Array, b: Array) -> Array:
    """Degrees from one vector to another, clockwise as seen; NaN where one is nothing."""
    dot = (a * b).sum(axis=-1)
    turn = np.degrees(np.arctan2(_cross(a, b), dot))
    return np.where(a.any(axis=-1) & b.any(axis=-1), turn, np.nan)


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _lines(*ends: tuple[Array, Array]) -> tuple[Line, ...]:
    """Lines between pairs of points; none where a point is absent."""
    return tuple(
        Line(((float(a[0]), float(a[1])), (float(b[0]), float(b[1])))) for a, b in ends if np.isfinite([a, b]).all()
    )
