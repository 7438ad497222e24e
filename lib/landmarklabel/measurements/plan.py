"""What is measured on the landmarks of a protocol: the values, notes and lines of all its definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..protocol import Protocol
from .base import Part, Shown
from .cobb import Cobb
from .composed import COMPOSED, Composed
from .definition import MeasurementDefinition, parts_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What is measured on the landmarks of a protocol, looked up once.

    Attributes:
        protocol: of the landmarks.
        parts: for each definition the values that it gives; P in all.
        half: y of the middle of the image, in the unit of the points; None where it is not known.
    """

    protocol: Protocol
    parts: tuple[tuple[Part, ...], ...]
    half: float | None = None

    def __iter__(self) -> Iterator[tuple[Part, MeasurementDefinition]]:
        """The P parts in order, with their definitions."""
        for definition, parts in zip(self.protocol.measurements, self.parts, strict=True):
            yield from ((part, definition) for part in parts)

    @cached_property
    def depends(self) -> NDArray[np.bool_]:
        """(P, K), on which landmarks each part depends."""
        depends = np.zeros((sum(map(len, self.parts)), len(self.protocol)), dtype=bool)
        for row, (part, _) in zip(depends, self, strict=True):
            row[[self._index[label] for label in part.landmarks]] = True
        return depends

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: index for index, label in enumerate(self.protocol.labels)}

    def values(self, points: Array) -> Array:
        """(S, P), of S sets of points (S, K, 2); NaN where they define none."""
        columns: dict[str, Array] = {}
        with np.errstate(all="ignore"):  # what is not defined is NaN
            for definition, parts in zip(self.protocol.measurements, self.parts, strict=True):
                found = self._values(definition, points, columns)
                columns |= {part.name: column for part, column in zip(parts, found, strict=True)}
        values = np.stack(list(columns.values())) if columns else np.empty((0, len(points)))
        return np.where(np.isfinite(values), values, np.nan).T  # a value's samples side by side

    def _values(self, definition: MeasurementDefinition, points: Array, known: dict[str, Array]) -> list[Array]:
        if definition.composed is not None:
            composed = self._composed(definition.composed)
            return list(composed.evaluate(points, self.protocol, definition.structures).T)
        if definition.kind is not None:
            return [definition.kind.value(lambda label: points[:, self._index[label]])]
        return [np.asarray(sum(sign * known[name] for name, sign in definition.terms))]

    def shown(self, points: Array) -> list[Shown]:
        """What each value is shown with, of points (K, 2); lines in their unit."""
        found: dict[str, Shown] = {}
        with np.errstate(all="ignore"):
            for definition, parts in zip(self.protocol.measurements, self.parts, strict=True):
                each = self._shown(definition, points, found)
                found |= {part.name: shown for part, shown in zip(parts, each, strict=True)}
        return list(found.values())

    def _shown(self, definition: MeasurementDefinition, points: Array, known: dict[str, Shown]) -> tuple[Shown, ...]:
        if definition.composed is not None:
            return self._composed(definition.composed).shown(points, self.protocol, definition.structures)
        if definition.kind is not None:
            return (Shown(lines=definition.kind.lines(lambda label: points[self._index[label]])),)
        return (Shown(lines=tuple(dict.fromkeys(line for name, _ in definition.terms for line in known[name].lines))),)

    def _composed(self, name: str) -> Composed:
        composed = COMPOSED[name]
        return replace(composed, half=self.half) if isinstance(composed, Cobb) else composed


@lru_cache(maxsize=16)
def plan_of(protocol: Protocol, half: float | None = None) -> Plan:
    """What is measured on the landmarks of a protocol, in an image whose middle lies at y = ``half``."""
    return Plan(protocol, parts_of(protocol), half)
