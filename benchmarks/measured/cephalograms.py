"""The eight measures of ISBI 2015: how two readers differ, and predictions beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landmarklabel.io.cases import Case
from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import Protocol

ANALYSIS = "ISBI 2015"

#: Of the classes that follow the landmarks in a reader's file, in their order, our measurement.
_IN_FILES = ("ANB", "SNB", "SNA", "ODI", "APDI", "FHI", "FMA", "MW")


def eight(protocol: Protocol) -> tuple[str, ...]:
    """Names of the measures."""
    return tuple(each.name for each in protocol.measurements if ANALYSIS in each.analyses)


def readers(cases: Sequence[Case], protocol: Protocol) -> dict[str, Any]:
    """By measure: mean absolute difference of the readers, how often their classes agree, and for each class."""
    spacing = {case.id: case.radiograph().spacing for case in cases}
    both = [[_by_name(case, reader, protocol, spacing[case.id]) for case in cases] for reader in ("senior", "junior")]
    return {name: _two([one[name] for one in both[0]], [one[name] for one in both[1]]) for name in eight(protocol)}


def _by_name(case: Case, reader: str, protocol: Protocol, spacing: tuple[float, float]) -> dict[str, Measurement]:
    points = np.asarray(case.extra[reader], dtype=np.float64)
    return {each.name: each for each in measure(protocol, points, spacing)}


def _two(first: Sequence[Measurement], second: Sequence[Measurement]) -> dict[str, Any]:
    off = np.array([a.value - b.value for a, b in zip(first, second, strict=True)])  # type: ignore[operator]
    alike = np.array([a.category == b.category for a, b in zip(first, second, strict=True)])
    categories = [a.category or "none" for a in first]
    return {
        "unit": first[0].unit,
        "mean_absolute_difference": round(float(np.abs(off).mean()), 4),
        "to_their_mean": round(float(np.abs(off).mean()) / 2, 4),
        "bias_senior_less_junior": round(float(off.mean()), 4),
        "same_class": round(float(alike.mean()), 4),
        "same_class_by_senior_class": {
            name: {
                "images": categories.count(name),
                "same_class": round(float(alike[[category == name for category in categories]].mean()), 4),
            }
            for name in dict.fromkeys(categories)
        },
    }
