"""Measurements as a protocol's YAML defines them, and what makes such a definition wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..errors import listed
from .base import Class_, Norm, Part, Quantity
from .kinds import (
    KINDS,
    Angle,
    AngleBetween,
    DirectedDistance,
    Distance,
    Kind,
    Percent,
    Projection,
    Ratio,
    SignedAngle,
    SignedDistance,
)

if TYPE_CHECKING:  # a protocol holds definitions
    from ..protocol import Protocol

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\r\n\t]+$")]
Terms = Annotated[tuple[Name, ...], Field(min_length=2)]

#: Kinds that other measurements make.
_MADE = ("sum", "difference", "composed")


class MeasurementDefinition(BaseModel):
    """One measurement of a protocol: exactly one kind, and what is said of its value.

    Attributes:
        name: its key everywhere.
        title: its name in words.
        description: how it is defined, and by whom.
        norm: what is usual.
        classes: named ranges of values, exclusive.
        analyses: that it belongs to.
        distance, angle, angle_between, signed_angle, signed_distance, projection, directed_distance, ratio, percent:
            of landmarks, see :mod:`.kinds`.
        sum: names of measurements above this one, that are added.
        difference: the first less the others.
        composed: key of a kind that takes code, with a value for each of its parts; see :mod:`.composed`.
        structures: that a composed one is of; by default those that it expects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: str = ""
    description: str = ""
    norm: Norm | None = None
    classes: tuple[Class_, ...] = ()
    analyses: tuple[Name, ...] = ()
    distance: Distance | None = None
    angle: Angle | None = None
    angle_between: AngleBetween | None = None
    signed_angle: SignedAngle | None = None
    signed_distance: SignedDistance | None = None
    projection: Projection | None = None
    directed_distance: DirectedDistance | None = None
    ratio: Ratio | None = None
    percent: Percent | None = None
    sum: Terms | None = None
    difference: Terms | None = None
    composed: Name | None = None
    structures: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> MeasurementDefinition:
        given = [key for key in (*KINDS, *_MADE) if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"measurement '{self.name}' has {listed(given) or 'no kind'}; give exactly one of "
                f"{listed([*KINDS, *_MADE], 20)}"
            )
        if self.composed is not None and (self.norm or self.classes):
            raise ValueError(f"measurement '{self.name}': a composed measurement brings its own norms and classes")
        if self.composed is None and self.structures:
            raise ValueError(f"measurement '{self.name}': 'structures' belongs to 'composed'")
        self._require_exclusive()
        return self

    def _require_exclusive(self) -> None:
        rising = sorted(self.classes, key=lambda each: each.limits)
        for lower, upper in pairwise(rising):
            limit = upper.limits[0]
            if lower.limits[1] > limit or (lower.holds(limit) and upper.holds(limit)):
                raise ValueError(f"measurement '{self.name}': the classes '{lower.name}' and '{upper.name}' overlap")
        names = [each.name for each in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"measurement '{self.name}': two of its classes have one name ({listed(names)})")

    @cached_property
    def kind(self) -> Kind | None:
        """How it is measured on landmarks; None if others make it."""
        return next((getattr(self, key) for key in KINDS if getattr(self, key) is not None), None)

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """The measurements that make it, with their signs; empty if it is none of others."""
        if self.sum is not None:
            return tuple((name, 1.0) for name in self.sum)
        first, *others = self.difference or ("",)
        return ((first, 1.0), *((name, -1.0) for name in others)) if self.difference else ()


def parts_of(protocol: Protocol) -> tuple[tuple[Part, ...], ...]:
    """What each definition of a protocol measures: one part, or those of a composed kind.

    Raises:
        ValueError: a definition names what is not there, or what does not fit; says which, and what.
    """
    known: dict[str, Part] = {}
    found: list[tuple[Part, ...]] = []
    for definition in protocol.measurements:
        parts = _parts(definition, protocol, known)
        for part in parts:
            if part.name in known:
                raise ValueError(f"measurements: '{part.name}' is there twice; give each a name of its own")
            known[part.name] = part
        found.append(parts)
    return tuple(found)


def _parts(definition: MeasurementDefinition, protocol: Protocol, known: dict[str, Part]) -> tuple[Part, ...]:
    if definition.composed is not None:
        return _composed_parts(definition, protocol)
    kind = definition.kind
    if kind is None:
        return (_sum(definition, [_term(definition, name, known) for name, _ in definition.terms]),)
    unknown = [label for label in kind.landmarks if label not in protocol.labels]
    if unknown:
        raise ValueError(
            f"measurement '{definition.name}' names {listed(unknown)}, which this protocol has not; use its labels "
            f"({listed(protocol.labels, 30)})"
        )
    return (_part(definition, kind.quantity, kind.landmarks),)


def _composed_parts(definition: MeasurementDefinition, protocol: Protocol) -> tuple[Part, ...]:
    from .composed import COMPOSED  # which needs protocols, and they need this

    composed = COMPOSED.get(str(definition.composed))
    if composed is None:
        raise ValueError(
            f"measurement '{definition.name}': there is no composed measurement '{definition.composed}'; there are "
            f"{listed(COMPOSED, 20)}"
        )
    return composed.parts(protocol, definition.structures)


def _term(definition: MeasurementDefinition, name: str, known: dict[str, Part]) -> Part:
    if name not in known:
        raise ValueError(
            f"measurement '{definition.name}' is made of '{name}', which is no measurement above it; there are "
            f"{listed(known, 30) or 'none'}"
        )
    return known[name]


def _sum(definition: MeasurementDefinition, terms: Sequence[Part]) -> Part:
    quantities = list(dict.fromkeys(term.unit for term in terms))
    if len(quantities) > 1:
        raise ValueError(f"measurement '{definition.name}' adds {listed(quantities)}; its terms must be of one kind")
    if quantities[0] in ("stage", "grade"):
        raise ValueError(f"measurement '{definition.name}' adds {quantities[0]}s, which are no quantities")
    return _part(definition, quantities[0], tuple(dict.fromkeys(label for term in terms for label in term.landmarks)))


def _part(definition: MeasurementDefinition, quantity: Quantity, landmarks: tuple[str, ...]) -> Part:
    title = definition.title or definition.name
    return Part(definition.name, title, quantity, landmarks, definition.norm, definition.classes)
