"""Measurements of predicted landmarks after some clicks of an oracle: how far off, how often in their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from clicks.data import Parts
from numpy.typing import NDArray

from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.interaction import Refiners, by_posterior
from landmarklabel.io.cases import Case
from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure
from landmarklabel.measurements.uncertainty import JointErrors
from landmarklabel.metrics import radial_errors
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor

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


def by_model(model: Path, parts: Parts) -> Refiners:
    """The default refiner over a model: its maps, and the shape of the labels that it was trained on."""
    predictor = Predictor.load(model, protocol=parts.training.protocol)
    shape = learn_shape(parts.training.cases)
    assert shape is not None
    return by_posterior(predictor, shape, read_header(model).config.posterior)


def look(cases: Sequence[Case], refiners: Refiners, parts: Parts, cache: Path | None = None) -> list[Seen]:
    """Every image after each number of :data:`CLICKS`: exact clicks, the worst landmark first.

    Args:
        cache: folder of what is believed of each image, which is read if it is there; None: nothing is kept.
    """
    return [seen for case in cases for seen in _seen(case, refiners, parts, cache)]


def _seen(case: Case, refiners: Refiners, parts: Parts, cache: Path | None) -> Iterator[Seen]:
    protocol, truth = parts.training.protocol, np.asarray(case.points, dtype=np.float64)
    true = measure(protocol, truth, case.spacing)
    file = None if cache is None else cache / f"{case.id}.npz"
    if file is not None and file.exists():
        with np.load(file) as content:
            believed = dict(content)
    else:
        believed = _believed(case, refiners)
    if file is not None and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **believed)  # type: ignore[arg-type]
    for clicks in CLICKS:
        points, factor, own, placed = (believed[f"{key}_{clicks}"] for key in ("points", "factor", "own", "placed"))
        said = measure(protocol, points, case.spacing, JointErrors(factor, own, placed))
        yield Seen(case, clicks, points, said, true)


def _believed(case: Case, refiners: Refiners) -> dict[str, Any]:
    """Points and their errors after each number of clicks."""
    radiograph, truth = case.radiograph(), np.asarray(case.points, dtype=np.float64)
    refiner = refiners(radiograph)
    placed = np.empty(0, dtype=np.intp)
    believed: dict[str, Any] = {}
    for click in range(max(CLICKS) + 1):
        known = refiner.given(placed, truth[placed])
        points = known.mean.copy()
        points[placed] = truth[placed]
        joint = JointErrors.of(known, placed)
        found = {"points": points, "factor": joint.factor, "own": joint.own, "placed": joint.placed}
        believed |= {f"{key}_{click}": value for key, value in found.items()}
        errors = radial_errors(points, truth, radiograph.spacing)
        errors[placed] = -1
        placed = np.append(placed, int(np.nanargmax(errors)))
    return believed


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
