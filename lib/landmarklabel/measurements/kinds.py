"""The vocabulary: each kind of measurement, what it depends on, its value and how it is drawn.

A kind is written in a protocol's YAML as ``key: form``, the key and form as :data:`KINDS` and the classes have them.
Lengths come in the unit of the points, angles in degrees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from . import geometry
from .base import Line, Quantity
from .geometry import Array

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Pair = tuple[Label, Label]

#: Gives the points (..., 2) of a landmark, by its label.
At = Callable[[str], Array]


class Kind(BaseModel, ABC):
    """A way to measure.

    Attributes:
        quantity: what it gives.
        form: how it is written, for messages.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: ClassVar[Quantity]
    form: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, content: Any) -> Any:
        """A list as the fields in their order."""
        if isinstance(content, dict) and not cls.form.startswith("["):
            return content
        if isinstance(content, (list, tuple)) and cls.form.startswith("[") and len(content) == len(cls.model_fields):
            return dict(zip(cls.model_fields, content, strict=True))
        if isinstance(content, dict) and set(content) == set(cls.model_fields):  # as model_dump writes it
            return content
        raise ValueError(f"expected {cls.form}, got {content!r}")

    @model_validator(mode="after")
    def _different(self) -> Kind:
        groups = [value for _, value in self if isinstance(value, tuple)]
        for group in groups or [tuple(label for _, label in self)]:
            if len(set(group)) < len(group):
                raise ValueError(f"{list(group)} names one landmark twice; these must be different landmarks")
        return self

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Labels that the value depends on, each once."""
        named: list[str] = []
        for _, value in self:
            named += [value] if isinstance(value, str) else list(value or ())
        return tuple(dict.fromkeys(named))

    @abstractmethod
    def value(self, at: At) -> Array:
        """(...), NaN where it is not defined."""

    @abstractmethod
    def lines(self, at: At) -> tuple[Line, ...]:
        """How it is drawn, where landmarks are single points (2,); in their unit."""


class Distance(Kind):
    """Between two landmarks."""

    quantity: ClassVar[Quantity] = "length"
    form = "[A, B]"

    start: Label
    end: Label

    def value(self, at: At) -> Array:
        return geometry.distance(at(self.start), at(self.end))

    def lines(self, at: At) -> tuple[Line, ...]:
        return (line(at(self.start), at(self.end)),)


class Angle(Kind):
    """At a landmark between the rays to two others, 0 to 180."""

    quantity: ClassVar[Quantity] = "deg"
    form = "[A, vertex, B]"

    first: Label
    vertex: Label
    second: Label

    def value(self, at: At) -> Array:
        return geometry.angle_at(at(self.first), at(self.vertex), at(self.second))

    def lines(self, at: At) -> tuple[Line, ...]:
        return (line(at(self.first), at(self.vertex), at(self.second)),)


class AngleBetween(Kind):
    """Between the directions from A to B and from C to D, 0 to 180."""

    quantity: ClassVar[Quantity] = "deg"
    form = "[[A, B], [C, D]]"

    first: Pair
    second: Pair

    def value(self, at: At) -> Array:
        return geometry.angle_between(_direction(self.first, at), _direction(self.second, at))

    def lines(self, at: At) -> tuple[Line, ...]:
        return _drawn(self.first, at), _drawn(self.second, at)


class SignedAngle(Kind):
    """By which the direction from A to B turns into that from C to D, -180 to 180.

    It is positive where it turns to the side to which the path over ``positive``, three landmarks, turns.
    """

    quantity: ClassVar[Quantity] = "deg"
    form = "{start: [A, B], end: [C, D], positive: [P, Q, R]}"

    start: Pair
    end: Pair
    positive: tuple[Label, Label, Label]

    def value(self, at: At) -> Array:
        side = geometry.turning(*(at(label) for label in self.positive))
        return geometry.signed_angle(_direction(self.start, at), _direction(self.end, at), side)

    def lines(self, at: At) -> tuple[Line, ...]:
        return _drawn(self.start, at), _drawn(self.end, at)


class SignedDistance(Kind):
    """Of a landmark from the line through two others; positive on the side of ``towards``, or not of ``away_from``."""

    quantity: ClassVar[Quantity] = "length"
    form = "{point: P, line: [A, B], towards: Q} or {point: P, line: [A, B], away_from: Q}"

    point: Label
    line: Pair
    towards: Label | None = None
    away_from: Label | None = None

    @model_validator(mode="after")
    def _one_side(self) -> SignedDistance:
        if (self.towards is None) == (self.away_from is None):
            raise ValueError("give one of 'towards' and 'away_from': a landmark that says which side is positive")
        return self

    def value(self, at: At) -> Array:
        sign = 1.0 if self.towards is not None else -1.0
        start, end = (at(label) for label in self.line)
        side = at(self.towards or self.away_from or "")
        return sign * geometry.signed_distance(at(self.point), start, end, side)

    def lines(self, at: At) -> tuple[Line, ...]:
        foot = geometry.foot(at(self.point), *(at(label) for label in self.line))
        start, end = _reaching([foot], self.line, at)
        return line(start, end), line(at(self.point), foot, dashed=True)


class Projection(Kind):
    """How much farther along the line from C to D the perpendicular from A meets it than that from B.

    Of the Wits appraisal, A and B are points A and B, the line the occlusal plane from back to front (Jacobson,
    American Journal of Orthodontics 67, 1975).
    """

    quantity: ClassVar[Quantity] = "length"
    form = "{points: [A, B], line: [C, D]}"

    points: Pair
    line: Pair

    def value(self, at: At) -> Array:
        ahead, behind = (geometry.position_along(at(label), *(at(name) for name in self.line)) for label in self.points)
        return ahead - behind

    def lines(self, at: At) -> tuple[Line, ...]:
        feet = [geometry.foot(at(label), *(at(name) for name in self.line)) for label in self.points]
        start, end = _reaching(feet, self.line, at)
        perpendiculars = (line(at(label), foot, dashed=True) for label, foot in zip(self.points, feet, strict=True))
        return line(start, end), *perpendiculars


class DirectedDistance(Kind):
    """Between two landmarks, positive where the second lies ahead of the first along the direction from C to D."""

    quantity: ClassVar[Quantity] = "length"
    form = "{points: [A, B], along: [C, D]}"

    points: Pair
    along: Pair

    def value(self, at: At) -> Array:
        step, ahead = _direction(self.points, at), _direction(self.along, at)
        sign = np.where(geometry.dot(step, ahead) < 0, -1.0, 1.0)
        return np.where(geometry.length(ahead) > geometry.SAME_PLACE, geometry.length(step) * sign, np.nan)

    def lines(self, at: At) -> tuple[Line, ...]:
        return (_drawn(self.points, at),)


class Ratio(Kind):
    """Of the distance from A to B to that from C to D."""

    quantity: ClassVar[Quantity] = "ratio"
    form = "[[A, B], [C, D]]"

    first: Pair
    second: Pair

    def value(self, at: At) -> Array:
        above, below = (geometry.length(_direction(pair, at)) for pair in (self.first, self.second))
        return geometry.ratio(above, below)

    def lines(self, at: At) -> tuple[Line, ...]:
        return _drawn(self.first, at), _drawn(self.second, at)


class Percent(Ratio):
    """The distance from A to B in percent of that from C to D."""

    quantity: ClassVar[Quantity] = "percent"

    def value(self, at: At) -> Array:
        return 100 * super().value(at)


#: The key of each kind in YAML.
KINDS: dict[str, type[Kind]] = {
    "distance": Distance,
    "angle": Angle,
    "angle_between": AngleBetween,
    "signed_angle": SignedAngle,
    "signed_distance": SignedDistance,
    "projection": Projection,
    "directed_distance": DirectedDistance,
    "ratio": Ratio,
    "percent": Percent,
}


def line(*points: Array, dashed: bool = False) -> Line:
    """A line through points (2,)."""
    return Line(tuple((float(x), float(y)) for x, y in points), dashed)


def _direction(pair: Pair, at: At) -> Array:
    return at(pair[1]) - at(pair[0])


def _drawn(pair: Pair, at: At) -> Line:
    return line(at(pair[0]), at(pair[1]))


def _reaching(feet: list[Array], through: Pair, at: At) -> tuple[Array, Array]:
    """The ends (2,) of a line through two landmarks that reaches as far as some points (2,) on it."""
    ends = [at(through[0]), at(through[1])]
    order = sorted([*ends, *feet], key=lambda point: float(geometry.position_along(point, *ends)))
    return order[0], order[-1]
