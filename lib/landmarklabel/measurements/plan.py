"""What is measured on the landmarks of a protocol: the values, notes and lines of all its definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..protocol import Protocol
from .base import Line, Part
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
    def places(self) -> tuple[NDArray[np.intp], ...]:
        """Indices of the landmarks of each part."""
        return tuple(np.array([self._index[label] for label in part.landmarks], dtype=np.intp) for part, _ in self)

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
        values = np.stack(list(columns.values()), axis=1) if columns else np.empty((len(points), 0))
        return np.where(np.isfinite(values), values, np.nan)

    def _values(self, definition: MeasurementDefinition, points: Array, known: dict[str, Array]) -> list[Array]:
        if definition.composed is not None:
            composed = self._composed(definition.composed)
            return list(composed.evaluate(points, self.protocol, definition.structures).T)
        if definition.kind is not None:
            return [definition.kind.value(lambda label: points[:, self._index[label]])]
        return [np.asarray(sum(sign * known[name] for name, sign in definition.terms))]

    def notes(self, points: Array) -> list[str]:
        """What is to be said of each value besides it, of points (K, 2)."""
        found: list[str] = []
        for definition, parts in zip(self.protocol.measurements, self.parts, strict=True):
            if definition.composed is None:
                found += [""] * len(parts)
            else:
                found += self._composed(definition.composed).notes(points, self.protocol, definition.structures)
        return found

    def lines(self, points: Array) -> list[tuple[Line, ...]]:
        """How each value is drawn, in the unit of the points (K, 2)."""
        drawn: dict[str, tuple[Line, ...]] = {}
        with np.errstate(all="ignore"):
            for definition, parts in zip(self.protocol.measurements, self.parts, strict=True):
                found = self._lines(definition, points, drawn)
                drawn |= {part.name: lines for part, lines in zip(parts, found, strict=True)}
        return list(drawn.values())

    def _lines(
        self, definition: MeasurementDefinition, points: Array, known: dict[str, tuple[Line, ...]]
    ) -> list[tuple[Line, ...]]:
        if definition.composed is not None:
            composed = self._composed(definition.composed)
            return list(composed.construction(points, self.protocol, definition.structures))
        if definition.kind is not None:
            return [definition.kind.lines(lambda label: points[self._index[label]])]
        return [tuple(dict.fromkeys(line for name, _ in definition.terms for line in known[name]))]

    def _composed(self, name: str) -> Composed:
        composed = COMPOSED[name]
        return replace(composed, half=self.half) if isinstance(composed, Cobb) else composed


@lru_cache(maxsize=16)
def plan_of(protocol: Protocol, half: float | None = None) -> Plan:
    """What is measured on the landmarks of a protocol, in an image whose middle lies at y = ``half``."""
    return Plan(protocol, parts_of(protocol), half)
