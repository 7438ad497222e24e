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
from .geometry import SAME_PLACE, distance, length, ratio, signed_angle, turning
from .structures import labels_of, outline_of, outlines, outlines_of, require_size, vertebrae_of

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
    ("height_left", "height on the left of the image", "length"),
    ("height_right", "height on the right of the image", "length"),
    ("height_mid", "height in the middle", "length"),
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
        corners = outlines_of(points, protocol, vertebrae_of(protocol, structures, "vertebral_heights"))
        upper_left, upper_right, lower_right, lower_left = np.moveaxis(corners, 1, 0)
        left, right = lower_left - upper_left, lower_right - upper_right
        wedge = signed_angle(upper_right - upper_left, lower_right - lower_left, np.ones(1))
        each = np.stack([length(left), length(right), length((left + right) / 2), wedge], axis=1)
        return np.where(_drawn(corners)[:, None], each, np.nan).reshape(-1, len(points)).T

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        return ("",) * (len(_FRONTAL) * len(vertebrae_of(protocol, structures, "vertebral_heights")))

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        corners = outlines_of(points[None], protocol, vertebrae_of(protocol, structures, "vertebral_heights"))[:, :, 0]
        drawn: list[tuple[Line, ...]] = []
        for upper_left, upper_right, lower_right, lower_left in corners:
            middles = (upper_left + upper_right) / 2, (lower_left + lower_right) / 2
            drawn += [_lines((upper_left, lower_left)), _lines((upper_right, lower_right)), _lines(middles)]
            drawn.append(_lines((upper_left, upper_right), (lower_left, lower_right)))
        return tuple(drawn)


_LATERAL: tuple[tuple[str, str, Quantity, tuple[Class_, ...]], ...] = (
    ("height_anterior", "anterior height", "length", ()),
    ("height_middle", "middle height", "length", ()),
    ("height_posterior", "posterior height", "length", ()),
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
        heights = _heights(bodies)
        loss = _loss(heights)
        grade = np.where(np.isnan(loss), np.nan, np.searchsorted(GENANT, loss, side="right"))
        front_top, back_top, back_foot, front_foot = (bodies[:, corner] for corner in (0, 2, 3, 5))
        faces = turning(front_top, back_top, back_foot)  # the image's left or right
        wedge = signed_angle(back_top - front_top, back_foot - front_foot, faces)
        each = np.stack([*np.moveaxis(heights, 1, 0), wedge, 100 * loss, grade], axis=1)
        return each.reshape(-1, len(points)).T

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        """Which height is the smaller one, of the grade of bodies with a fracture."""
        heights = _heights(_bodies(points[None], protocol, structures))
        kinds = ("wedge", "biconcave", "crush")
        notes: list[str] = []
        for ratios, loss in zip(_losses(heights)[..., 0], _loss(heights)[:, 0], strict=True):
            fractured = loss >= GENANT[0]
            notes += [""] * 5 + [f"{kinds[int(np.nanargmax(ratios))]} deformity" if fractured else ""]
        return tuple(notes)

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        drawn: list[tuple[Line, ...]] = []
        for body in _bodies(points[None], protocol, structures)[:, :, 0]:
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
    """(V, 6, S, 2): superior end plate from front to back, inferior one from back to front.

    Four corners have the middles between them, so that a biconcave body is not seen.
    """
    bodies = []
    for name in _lateral(protocol, structures):
        outline = outline_of(points, protocol, name)
        if len(outline) == 4:
            front, back, foot, toe = outline
            outline = np.stack([front, (front + back) / 2, back, foot, (foot + toe) / 2, toe])
        bodies.append(outline)
    return np.stack(bodies)


def _heights(bodies: Array) -> Array:
    """(V, 3, S), anterior, middle and posterior height of bodies (V, 6, S, 2); NaN where one is 0."""
    heights = distance(bodies[:, :3], bodies[:, :2:-1])
    return np.where(heights > SAME_PLACE, heights, np.nan)


def _losses(heights: Array) -> Array:
    """(V, 3, S), by which part of what is usual each height is too small; NaN unknown."""
    posterior = heights[:, 2]
    nothing = np.full_like(posterior[:1], np.nan)
    near = np.stack([np.concatenate([nothing, posterior[:-1]]), np.concatenate([posterior[1:], nothing])])
    there = np.isfinite(near)
    usual = ratio(np.where(there, near, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))
    return np.asarray(1 - np.stack([heights[:, 0] / posterior, heights[:, 1] / posterior, posterior / usual], axis=1))


def _loss(heights: Array) -> Array:
    """(V, S), the largest loss, at least 0; of a body without neighbours that of its own heights."""
    losses = _losses(heights)
    own = losses[:, :2].max(axis=1)
    return np.where(np.isfinite(own), np.fmax(np.fmax(own, losses[:, 2]), 0.0), np.nan)


def _drawn(corners: Array) -> NDArray[np.bool_]:
    """(V, S), whether bodies (V, 4, S, 2) have four corners and four sides."""
    sides = distance(corners, np.roll(corners, 1, axis=1))
    return np.asarray((sides > SAME_PLACE).all(axis=1))


def _lines(*ends: tuple[Array, Array]) -> tuple[Line, ...]:
    """Lines between pairs of points; none where a point is absent."""
    return tuple(
        Line(((float(a[0]), float(a[1])), (float(b[0]), float(b[1])))) for a, b in ends if np.isfinite([a, b]).all()
    )
