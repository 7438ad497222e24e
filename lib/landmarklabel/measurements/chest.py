"""Cardiothoracic ratio and lung areas from the outlines of lungs and heart on a posteroanterior chest radiograph.

The cardiothoracic ratio is the greatest transverse diameter of the heart over the greatest inner one of the chest
(Danzer, American Journal of the Medical Sciences 157, 1919): how far the heart reaches to either side, added, over how
far the outer borders of the lungs are apart. Above 0.5 the heart counts as enlarged.

*Transverse* is meant of the patient, not of the film, who may stand a little inclined: it is square to the bisector of
the two lungs' long axes. On 200 chest phantoms that errs by 1.3 degrees at the median, by which the ratio errs by 0.003.
The borders of the two lungs need not reach farthest at the same height; on the phantoms the greatest width at one height
is 0.03 % less at the median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Class_, Line, Part
from .structures import labels_of, outlines, require_size

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]
Lines = tuple[tuple[Line, ...], ...]

#: The right lung lies on the left of the image.
LUNGS = ("right_lung", "left_lung")
ENLARGED = (Class_(name="normal", to=0.5), Class_(name="enlarged heart", above=0.5))


@dataclass(frozen=True)
class Cardiothoracic:
    """The composed measurement ``cardiothoracic``: of right lung, left lung and heart, in this order."""

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """The ratio, and the two diameters."""
        names = _contours(protocol, structures, (*LUNGS, "heart"), "cardiothoracic")
        labels = labels_of(protocol, names)
        return (
            Part("cardiothoracic_ratio", "Cardiothoracic ratio", "ratio", labels, classes=ENLARGED),
            Part("cardiac_diameter", "Transverse diameter of the heart", "length", labels),
            Part("thoracic_diameter", "Inner transverse diameter of the chest", "length", labels),
        )

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 3): the ratio, and the diameters of heart and chest."""
        right, left, heart = _outlines(points, protocol, structures, (*LUNGS, "heart"), "cardiothoracic")
        across = transverse(right, left)
        cardiac, thoracic = _extent(heart, across), _extent(np.concatenate([right, left], axis=1), across)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(thoracic > 0, cardiac / thoracic, np.nan)
        return np.stack([ratio, cardiac, thoracic], axis=1)

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        return ("", "", "")

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        """The two diameters, each at the height of the point that reaches farthest to the left of the image."""
        right, left, heart = _outlines(points[None], protocol, structures, (*LUNGS, "heart"), "cardiothoracic")
        across = transverse(right, left)[0]
        if not np.isfinite(across).all() or not np.isfinite(heart).all():
            return (), (), ()
        cardiac, thoracic = _diameter(heart[0], across), _diameter(np.concatenate([right[0], left[0]]), across)
        return (*cardiac, *thoracic), cardiac, thoracic


@dataclass(frozen=True)
class LungAreas:
    """The composed measurement ``lung_areas``: of right and left lung, in this order."""

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """Both lungs' areas, and their sum."""
        names = _contours(protocol, structures, LUNGS, "lung_areas")
        right, left = (labels_of(protocol, (name,)) for name in names)
        return (
            Part("right_lung_area", "Area of the right lung", "area", right),
            Part("left_lung_area", "Area of the left lung", "area", left),
            Part("lung_area", "Area of both lungs", "area", (*right, *left)),
        )

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 3)."""
        right, left = map(_area, _outlines(points, protocol, structures, LUNGS, "lung_areas"))
        return np.stack([right, left, right + left], axis=1)

    def notes(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[str, ...]:
        return ("", "", "")

    def construction(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Lines:
        """The outlines."""
        right, left = (
            _closed(outline[0]) for outline in _outlines(points[None], protocol, structures, LUNGS, "lung_areas")
        )
        return right, left, (*right, *left)


def transverse(right: Array, left: Array) -> Array:
    """(S, 2), unit vectors across the patient, from the right lung's side to the left one's; NaN if there are none.

    The long axis of a lung is that along which its outline's points vary most. Twice its angle is a vector that can be
    added up.

    Args:
        right, left: (S, N, 2), outlines of the lungs.
    """
    doubled = np.zeros((len(right), 2))
    for outline in (right, left):
        x, y = np.moveaxis(outline - outline.mean(axis=1, keepdims=True), -1, 0)
        axis = np.stack([(x * x - y * y).sum(axis=1), 2 * (x * y).sum(axis=1)], axis=1)
        doubled += _unit(axis)
    angle = np.arctan2(doubled[:, 1], doubled[:, 0]) / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    across = np.where(doubled.any(axis=1, keepdims=True), across, np.nan)
    facing = ((left.mean(axis=1) - right.mean(axis=1)) * across).sum(axis=1, keepdims=True)
    return np.asarray(across * np.where(facing < 0, -1.0, 1.0))


def _contours(protocol: Protocol, names: tuple[str, ...], usual: tuple[str, ...], kind: str) -> tuple[str, ...]:
    chosen = outlines(protocol, names, usual, kind)
    for name in chosen:
        require_size(protocol, name, range(3, 2001), "an outline", kind)
    return chosen


def _outlines(
    points: Array, protocol: Protocol, names: tuple[str, ...], usual: tuple[str, ...], kind: str
) -> list[Array]:
    """(S, N, 2) each."""
    found = outlines(protocol, names, usual, kind)
    return [np.asarray(points[:, protocol.indices(name)], dtype=np.float64) for name in found]


def _extent(outline: Array, across: Array) -> Array:
    """(S,), how far outlines (S, N, 2) reach along (S, 2)."""
    along = np.einsum("snx,sx->sn", outline, across)
    return np.asarray(along.max(axis=1) - along.min(axis=1))


def _area(outline: Array) -> Array:
    """(S,), area within outlines (S, N, 2) by the shoelace formula; NaN where it is nothing."""
    x, y = np.moveaxis(outline - outline[:, :1], -1, 0)
    area = np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)) / 2
    return np.where(area > 0, area, np.nan)


def _unit(vectors: Array) -> Array:
    """(S, 2), of length 1; 0 where there is no direction."""
    length = np.hypot(vectors[:, :1], vectors[:, 1:])
    return np.asarray(np.divide(vectors, length, out=np.where(np.isnan(vectors), np.nan, 0.0), where=length > 0))


def _diameter(outline: Array, across: Array) -> tuple[Line, ...]:
    """The diameter of an outline (N, 2) along (2,), and dashed, to where it reaches on the other side."""
    along = outline @ across
    start, end = outline[along.argmin()], outline[along.argmax()]
    foot = start + (along.max() - along.min()) * across
    (x0, y0), (x1, y1), (x2, y2) = start.tolist(), foot.tolist(), end.tolist()
    return Line(((x0, y0), (x1, y1))), Line(((x1, y1), (x2, y2)), dashed=True)


def _closed(outline: Array) -> tuple[Line, ...]:
    if not np.isfinite(outline).all():
        return ()
    return (Line(tuple((float(x), float(y)) for x, y in [*outline, outline[0]])),)
