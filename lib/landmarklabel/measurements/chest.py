"""Cardiothoracic ratio and lung areas from the outlines of lungs and heart on a posteroanterior chest radiograph.

The cardiothoracic ratio is the greatest transverse diameter of the heart over the greatest inner one of the chest
(Danzer, American Journal of the Medical Sciences 157, 1919): how far the heart reaches to either side, added, over how
far the outer borders of the lungs are apart. Above 0.5 the heart counts as enlarged.

*Transverse* is meant of the patient, not of the film, who may stand a little inclined: it is square to the bisector of
the two lungs' long axes. On 200 chest phantoms that errs by 1.3 degrees at the median, and the ratio by 0.003 with it.
The borders of the two lungs need not reach farthest at the same height; on the phantoms the greatest width at one
height is 0.03 % less at the median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Class_, Line, Part, Shown
from .geometry import cross, dot, length, ratio
from .structures import labels_of, outline_of, outlines, require_size

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]

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
        cardiac, thoracic = _extent(heart, across), _extent(np.concatenate([right, left]), across)
        return np.stack([ratio(cardiac, thoracic), cardiac, thoracic], axis=1)

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """The two diameters, each at the height of the point that reaches farthest to the left of the image."""
        right, left, heart = _outlines(points[None], protocol, structures, (*LUNGS, "heart"), "cardiothoracic")
        across = transverse(right, left)[0]
        if not np.isfinite(across).all() or not np.isfinite(heart).all():
            return (Shown(),) * 3
        cardiac = _diameter(heart[:, 0], across)
        thoracic = _diameter(np.concatenate([right, left])[:, 0], across)
        return tuple(Shown(lines=lines) for lines in ((*cardiac, *thoracic), cardiac, thoracic))


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

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """The outlines."""
        found = _outlines(points[None], protocol, structures, LUNGS, "lung_areas")
        right, left = (_closed(outline[:, 0]) for outline in found)
        return tuple(Shown(lines=lines) for lines in (right, left, (*right, *left)))


def transverse(right: Array, left: Array) -> Array:
    """(S, 2), unit vectors across the patient, from the right lung's side to the left one's; NaN if there are none.

    The long axis of a lung is that along which its outline's points vary most. Twice its angle is a vector that can be
    added up.

    Args:
        right, left: (N, S, 2), outlines of the lungs.
    """
    doubled = _axis(right) + _axis(left)
    angle = np.arctan2(doubled[:, 1], doubled[:, 0]) / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    facing = dot(left.mean(axis=0) - right.mean(axis=0), across)
    return np.asarray(across * np.where(length(doubled) > 0, np.where(facing < 0, -1.0, 1.0), np.nan)[:, None])


def _axis(outline: Array) -> Array:
    """(S, 2), the long axis of outlines (N, S, 2), as a unit vector at twice its angle; NaN if they have none."""
    x, y = np.moveaxis(outline - outline.mean(axis=0), -1, 0)
    doubled = np.stack([(x * x - y * y).sum(axis=0), 2 * (x * y).sum(axis=0)], axis=-1)
    return np.asarray(doubled / np.where(length(doubled) > 0, length(doubled), np.nan)[:, None])


def _contours(protocol: Protocol, names: tuple[str, ...], usual: tuple[str, ...], kind: str) -> tuple[str, ...]:
    chosen = outlines(protocol, names, usual, kind)
    for name in chosen:
        require_size(protocol, name, range(3, 2001), "an outline", kind)
    return chosen


def _outlines(
    points: Array, protocol: Protocol, names: tuple[str, ...], usual: tuple[str, ...], kind: str
) -> list[Array]:
    """(N, S, 2) each."""
    return [outline_of(points, protocol, name) for name in outlines(protocol, names, usual, kind)]


def _extent(outline: Array, across: Array) -> Array:
    """(S,), how far outlines (N, S, 2) reach along (S, 2)."""
    along = dot(outline, across)
    return np.asarray(along.max(axis=0) - along.min(axis=0))


def _area(outline: Array) -> Array:
    """(S,), area within outlines (N, S, 2) by the shoelace formula; NaN where it is nothing."""
    relative = outline - outline[0]
    area = np.abs(cross(relative[:-1], relative[1:]).sum(axis=0)) / 2
    return np.where(area > 0, area, np.nan)


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
