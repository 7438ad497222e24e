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

from .base import Class_, Line, Part, Quantity, Shown
from .geometry import SAME_PLACE, distance, length, ratio, signed_angle, turning
from .structures import labels_of, outline_of, outlines, outlines_of, require_size, vertebrae_of

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]

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
        top, foot = upper_right - upper_left, lower_right - lower_left
        heights = [length(side) for side in (left, right, (left + right) / 2)]
        shortest = np.minimum.reduce([*heights[:2], length(top), length(foot)])
        each = np.stack([*heights, signed_angle(top, foot, np.ones(1))], axis=1)
        return np.where((shortest > SAME_PLACE)[:, None], each, np.nan).reshape(-1, len(points)).T

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        corners = outlines_of(points[None], protocol, vertebrae_of(protocol, structures, "vertebral_heights"))[:, :, 0]
        upper_left, upper_right, lower_right, lower_left = np.moveaxis(corners, 1, 0)
        middles = (upper_left + upper_right) / 2, (lower_left + lower_right) / 2
        sides = (upper_left, lower_left), (upper_right, lower_right), middles
        drawn = [_lines(*ends) for ends in (*sides, (upper_left, upper_right), (lower_left, lower_right))]
        return tuple(
            Shown(lines=lines)
            for left, right, middle, top, foot in zip(*drawn, strict=True)
            for lines in (left, right, middle, top + foot)
        )


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

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """The heights, and the end plates; of the grade of a body with a fracture, which height is the smaller one."""
        bodies = _bodies(points[None], protocol, structures)
        heights = _heights(bodies)
        ends = np.moveaxis(bodies[:, :, 0], 1, 0)
        drawn = [_lines(ends[start], ends[end]) for start, end in ((0, 5), (1, 4), (2, 3), (0, 2), (5, 3))]
        shown: list[Shown] = []
        for ratios, loss, front, middle, back, top, foot in zip(
            _losses(heights)[..., 0], _loss(heights)[:, 0], *drawn, strict=True
        ):
            every = front + middle + back
            shown += [Shown(lines=lines) for lines in (front, middle, back, top + foot, every)]
            shown.append(Shown(_deformity(ratios) if loss >= GENANT[0] else "", every))
        return tuple(shown)


def _deformity(losses: Array) -> str:
    """In words, by losses (3,)."""
    return f"{('wedge', 'biconcave', 'crush')[int(np.nanargmax(losses))]} deformity"


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


def _lines(starts: Array, ends: Array) -> list[tuple[Line, ...]]:
    """A line for each pair of points (V, 2); none where one is absent."""
    there = np.isfinite(starts + ends).all(axis=1)
    pairs = zip(there, starts.tolist(), ends.tolist(), strict=True)
    return [(Line(((x0, y0), (x1, y1))),) if drawn else () for drawn, (x0, y0), (x1, y1) in pairs]
