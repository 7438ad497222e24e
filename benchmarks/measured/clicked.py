"""Measurements of predicted landmarks after some clicks of an oracle: how far off, how often in their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from clicks.data import Parts
from numpy.typing import NDArray

from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.interaction import Refiners, by_posterior
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.error_scaling import ErrorScaling
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.io.cases import Case
from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure, surest_first
from landmarklabel.measurements.uncertainty import JointErrors
from landmarklabel.metrics import radial_errors
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol

Array = NDArray[np.float64]

#: After how many clicks is looked.
CLICKS = (0, 1, 3)


@dataclass(frozen=True)
class Seen:
    """What the tool says of one image after some clicks.

    Attributes:
        case: the image, with its true landmarks.
        clicks: how many.
        points: (K, 2), in pixels.
        said: the measurements of them, with their intervals.
        true: those of the true landmarks.
    """

    case: Case
    clicks: int
    points: Array
    said: tuple[Measurement, ...]
    true: tuple[Measurement, ...]


@dataclass(frozen=True)
class Tool:
    """The default refiner over a model: its maps, and the shape of the labels that it was trained on.

    Attributes:
        refiners: what answers a reader.
        scaling: how its errors become those of measurements.
        protocol: of the landmarks.
    """

    refiners: Refiners
    scaling: ErrorScaling | None
    protocol: Protocol

    @classmethod
    def load(cls, model: Path, parts: Parts) -> Tool:
        predictor = Predictor.load(model, protocol=parts.training.protocol)
        shape, config = learn_shape(parts.training.cases), read_header(model).config.posterior
        assert shape is not None
        return cls(by_posterior(predictor, shape, config), config.measured, parts.training.protocol)


@dataclass(frozen=True)
class State:
    """What is known after some clicks: by it a reader decides what to place next.

    Attributes:
        tool: that answers.
        known: what it believes.
        points: (K, 2), those that were placed where they are.
        joint: their errors.
        size: (W, H) of the image.
    """

    tool: Tool
    known: Belief
    points: Array
    joint: JointErrors
    size: tuple[int, int]


def _worst(state: State, errors: Array) -> int:
    """An oracle's choice."""
    return int(np.nanargmax(np.where(state.joint.placed, -1.0, errors)))


def _asked(state: State, errors: Array) -> int:
    """What the tool asks for by itself."""
    return next(int(index) for index in by_gain(state.known) if not state.joint.placed[index])


def _for_cobb(state: State, errors: Array) -> int:
    """What the tool asks for so that the main thoracic curve is measured surer."""
    protocol = state.tool.protocol
    first = surest_first(protocol, state.points, None, state.joint, "cobb_mt", height=state.size[1])
    return protocol.index(first[0]) if first else _asked(state, errors)


#: What is placed next.
ORDERS: Mapping[str, Callable[[State, Array], int]] = MappingProxyType(
    {"worst": _worst, "asked": _asked, "for cobb_mt": _for_cobb}
)


def look(cases: Sequence[Case], tool: Tool, order: str = "worst") -> list[Seen]:
    """Every image after each number of :data:`CLICKS`, exact ones, in one of the :data:`ORDERS`."""
    return [seen for case in cases for seen in _seen(case, tool, ORDERS[order])]


def _seen(case: Case, tool: Tool, order: Callable[[State, Array], int]) -> Iterator[Seen]:
    radiograph, truth = case.radiograph(), np.asarray(case.points, dtype=np.float64)
    height = radiograph.size[1]
    true = measure(tool.protocol, truth, case.spacing, height=height)
    refiner, placed = tool.refiners(radiograph), np.empty(0, dtype=np.intp)
    for clicks in range(max(CLICKS) + 1):
        known = refiner.given(placed, truth[placed])
        points = known.mean.copy()
        points[placed] = truth[placed]
        joint = JointErrors.of(known, placed, scaling=tool.scaling)
        if clicks in CLICKS:
            said = measure(tool.protocol, points, case.spacing, joint, height=height)
            yield Seen(case, clicks, points, said, true)
        state = State(tool, known, points, joint, radiograph.size)
        placed = np.append(placed, order(state, radial_errors(points, truth, radiograph.spacing)))


def figures(seen: Sequence[Seen], named: Callable[[str], str]) -> dict[str, Any]:
    """Mean absolute difference to the true value, coverage and rate of right classes, by measurement and clicks.

    Args:
        seen: of all images.
        named: under which name a measurement is counted; "" for none.
    """
    found: dict[str, Any] = {}
    for clicks in CLICKS:
        pairs: dict[str, list[tuple[Measurement, Measurement]]] = {}
        for one in (one for one in seen if one.clicks == clicks):
            for said, true in zip(one.said, one.true, strict=True):
                if said.value is not None and true.value is not None and named(said.name):
                    pairs.setdefault(named(said.name), []).append((said, true))
        for name, both in pairs.items():
            found.setdefault(name, {})[f"clicks_{clicks}"] = _figures(both)
    return found


def _figures(pairs: Sequence[tuple[Measurement, Measurement]]) -> dict[str, Any]:
    off = np.array([said.value - true.value for said, true in pairs])  # type: ignore[operator]
    bars = [(said, true) for said, true in pairs if said.interval68 is not None and said.interval95 is not None]
    classed = [said.category == true.category for said, true in pairs if true.category is not None]
    return {
        "values": len(pairs),
        "unit": pairs[0][0].unit,
        "mean_absolute_difference": round(float(np.abs(off).mean()), 4),
        "bias": round(float(off.mean()), 4),
        "in_68": _rate([_holds(said.interval68, true) for said, true in bars]),
        "in_95": _rate([_holds(said.interval95, true) for said, true in bars]),
        "median_sd": round(float(np.median([said.sd for said, _ in bars])), 4) if bars else None,
        "right_class": _rate(classed),
    }


def _holds(interval: tuple[float, float] | None, true: Measurement) -> bool:
    assert interval is not None and true.value is not None
    return interval[0] <= true.value <= interval[1]


def _rate(truths: Sequence[bool]) -> float | None:
    return round(float(np.mean(truths)), 4) if truths else None


def outside(found: Mapping[str, Any], most: float = 0.05) -> list[str]:
    """Which stated rates are off by more than ``most``, in words."""
    return [
        f"{name}, {clicks}: {stated} % holds {100 * row[key]:.0f} %"
        for name, rows in found.items()
        for clicks, row in rows.items()
        for key, stated in (("in_68", 68), ("in_95", 95))
        if row[key] is not None and abs(row[key] - stated / 100) > most
    ]
