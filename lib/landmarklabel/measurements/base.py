"""What a measurement says: its value, how sure that is, its norm and class, and the lines by which it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What a value is, before it is known whether lengths are in mm or in pixels.
Quantity = Literal["deg", "length", "area", "ratio", "percent", "stage", "grade"]

#: An interval of values, low and high.
Interval = tuple[float, float]

_UNITS: dict[Quantity, tuple[str, str]] = {
    "deg": ("deg", "deg"),
    "length": ("mm", "px"),
    "area": ("mm2", "px2"),
    "ratio": ("", ""),
    "percent": ("%", "%"),
    "stage": ("stage", "stage"),
    "grade": ("grade", "grade"),
}


def unit_of(quantity: Quantity, in_mm: bool) -> str:
    """The unit of a value: ``deg``, ``mm``, ``px``, ``mm2``, ``px2``, ``%``, ``""`` (a ratio), ``stage``, ``grade``."""
    return _UNITS[quantity][0 if in_mm else 1]


class Norm(BaseModel):
    """What is usual, in the unit of the measurement; lengths in mm.

    Attributes:
        mean, sd: of the population; sd None where the source gives none.
        population: who was measured.
        source: the publication.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: float
    sd: float | None = Field(None, gt=0)
    population: str = Field(min_length=1)
    source: str = Field(min_length=1)


class Class_(BaseModel):  # noqa: N801 - "class" is the word of the field, and of Python
    """A range of values that has a name. Lengths in mm; classes of one measurement don't overlap.

    Attributes:
        name: of the class.
        above: values are larger than this; or
        from_: are at least this (``from`` in YAML).
        below: values are smaller than this; or
        to: are at most this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    name: str = Field(min_length=1)
    above: float | None = None
    from_: float | None = Field(None, alias="from")
    below: float | None = None
    to: float | None = None

    @model_validator(mode="after")
    def _one_range(self) -> Class_:
        if self.above is not None and self.from_ is not None:
            raise ValueError(f"class '{self.name}' has both 'above' (without the limit) and 'from' (with it); give one")
        if self.below is not None and self.to is not None:
            raise ValueError(f"class '{self.name}' has both 'below' (without the limit) and 'to' (with it); give one")
        low, high = self.limits
        if low == -math.inf and high == math.inf:
            raise ValueError(f"class '{self.name}' has no limit; give 'above', 'from', 'below' or 'to'")
        if low > high or (low == high and (self.from_ is None or self.to is None)):
            raise ValueError(f"class '{self.name}' from {low:g} to {high:g} holds no value")
        return self

    @property
    def limits(self) -> Interval:
        """Lowest and highest value, infinite where there is no limit."""
        low = self.above if self.above is not None else self.from_
        high = self.below if self.below is not None else self.to
        return -math.inf if low is None else low, math.inf if high is None else high

    def holds(self, value: float) -> bool:
        """Whether a value is of this class; NaN is of none."""
        low, high = self.limits
        from_low = value > low if self.from_ is None else value >= low
        return from_low and (value < high if self.to is None else value <= high)


@dataclass(frozen=True)
class Line:
    """A line by which a measurement is drawn.

    Attributes:
        points: (x, y) of its two or more points, in pixels of the image.
        dashed: whether it is an aid, such as a perpendicular, and not what is measured.
    """

    points: tuple[tuple[float, float], ...]
    dashed: bool = False


class Shown(NamedTuple):
    """What a value is shown with.

    Attributes:
        note: what is to be said of it, such as the end vertebrae; "" for nothing.
        lines: by which it is drawn; none where points define no value.
    """

    note: str = ""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Part:
    """One value of a composed measurement, such as the main thoracic Cobb angle.

    Attributes:
        name: its key.
        title: its name in words.
        unit: what it is.
        landmarks: labels that it may depend on.
        norm: what is usual; None if nobody says.
        classes: named ranges of values, exclusive.
    """

    name: str
    title: str
    unit: Quantity
    landmarks: tuple[str, ...]
    norm: Norm | None = None
    classes: tuple[Class_, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """A measurement of one image.

    Attributes:
        name, title: its key, and its name in words.
        value: None where it is absent.
        unit: see :func:`unit_of`.
        landmarks: labels that it depends on.
        analyses: that it belongs to, such as ``Steiner``.
        reason: why it is absent, a sentence; None where it is not.
        note: what else is to be said, such as the end vertebrae; "" for nothing.
        sd: standard deviation of its error; None where nothing is known of the landmarks' errors, as intervals.
        interval68, interval95: in which the true value lies with that probability.
        norm: what is usual.
        deviation: from the norm, in its standard deviations.
        out_of_norm: whether that is more than one.
        category: name of the class of the value; None where there are no classes, or the value is in none.
        probabilities: of each class.
        improve: label of the landmark whose correction would make this measurement surer the most.
        reliable: whether there are intervals, the 95 % one lies in one class and no landmark has a low confidence.
        lines: how it is drawn.
    """

    name: str
    title: str
    value: float | None
    unit: str
    landmarks: tuple[str, ...]
    analyses: tuple[str, ...] = ()
    reason: str | None = None
    note: str = ""
    sd: float | None = None
    interval68: Interval | None = None
    interval95: Interval | None = None
    norm: Norm | None = None
    deviation: float | None = None
    out_of_norm: bool | None = None
    category: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    improve: str | None = None
    reliable: bool = False
    lines: tuple[Line, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: plain numbers, lists and texts; see docs/measurements.md."""
        return {
            "name": self.name,
            "title": self.title,
            "value": self.value,
            "unit": self.unit,
            "landmarks": list(self.landmarks),
            "analyses": list(self.analyses),
            "reason": self.reason,
            "note": self.note,
            "sd": self.sd,
            "interval68": _listed(self.interval68),
            "interval95": _listed(self.interval95),
            "norm": None if self.norm is None else self.norm.model_dump(),
            "deviation": self.deviation,
            "out_of_norm": self.out_of_norm,
            "category": self.category,
            "probabilities": dict(self.probabilities),
            "improve": self.improve,
            "reliable": self.reliable,
            "lines": [{"points": [list(at) for at in line.points], "dashed": line.dashed} for line in self.lines],
        }


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
