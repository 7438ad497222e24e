"""Measure the landmarks of an image: every measurement of their protocol, with its error bar."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError, listed
from ..protocol import Protocol
from .base import Line, Measurement, Part, unit_of
from .errorbars import ErrorBars, has_scale
from .plan import Plan, plan_of
from .uncertainty import JointErrors

Array = NDArray[np.float64]

#: A landmark that is less likely than this to lie within the protocol's first radius makes no reliable value.
LOW_CONFIDENCE = 0.5

# In so many of the samples a value is defined, if it is reliable.
_ALMOST_ALWAYS = 0.975


def measure(
    protocol: Protocol,
    points: ArrayLike,
    spacing: tuple[float, float] | None,
    joint: JointErrors | None = None,
    magnification: float | None = None,
    seed: int = 0,
    height: float | None = None,
) -> tuple[Measurement, ...]:
    """Every measurement of a protocol.

    Args:
        protocol: of the landmarks.
        points: (K, 2), (x, y) in pixels of the image; NaN where a landmark is absent.
        spacing: (sx, sy), mm of anatomy a pixel; None where that is not known: lengths are then in pixels.
        joint: what is left of error in the landmarks, in pixels of the image; without it there are no intervals.
        magnification: by how much the image is larger than the anatomy, if the spacing is that of the detector. Where a
            DICOM file gives it, the image was read with the spacing of the anatomy, and this is not needed.
        seed: of the samples behind the intervals: the same for the same answer.
        height: of the image, in pixels, by whose half Cobb angles are told apart; None: by the level of the vertebrae.

    Raises:
        LabelError: points that are not (K, 2), or a spacing or magnification that is not positive.
    """
    scale, in_mm = _scale(spacing, magnification), spacing is not None
    plan, at = plan_of(protocol, _half(height, scale)), _checked(points, protocol) * scale
    errors = None if joint is None else joint.scaled(scale)
    bars = None if errors is None else ErrorBars.of(plan, at, errors, in_mm, seed)
    values = plan.values(at[None])[0] if bars is None else bars.values
    said = [{}] * len(values) if bars is None or errors is None else _error_bars(plan, bars, errors)
    found = []
    for (part, definition), value, shown, error_bar in zip(plan, values.tolist(), plan.shown(at), said, strict=True):
        fields: dict[str, Any] = {"analyses": definition.analyses, "note": shown.note, "norm": part.norm}
        if not isfinite(value):
            fields["reason"] = _reason(part, shown.note, protocol, at)
        else:
            fields |= {"lines": _in_pixels(shown.lines, scale)} | _judged(value, part, in_mm) | error_bar
        given = value if isfinite(value) else None
        found.append(Measurement(part.name, part.title, given, unit_of(part.unit, in_mm), part.landmarks, **fields))
    return tuple(found)


def surest_first(
    protocol: Protocol,
    points: ArrayLike,
    spacing: tuple[float, float] | None,
    joint: JointErrors,
    name: str,
    seed: int = 0,
    height: float | None = None,
) -> tuple[str, ...]:
    """Labels of landmarks, first the one whose correction makes one measurement surer the most.

    Those that say nothing of it, because they are placed by hand or absent, are left out.

    Args:
        name: of the measurement; the others as of :func:`measure`.

    Raises:
        LabelError: the protocol has no such measurement.
    """
    scale = _scale(spacing, None)
    plan = plan_of(protocol, _half(height, scale))
    require_measurement(protocol, name)
    index = [part.name for part, _ in plan].index(name)
    bars = ErrorBars.of(plan, _checked(points, protocol) * scale, joint.scaled(scale), spacing is not None, seed)
    told = bars.reductions[index]
    return tuple(protocol.labels[k] for k in np.argsort(-told, kind="stable") if told[k] > 0)


def require_measurement(protocol: Protocol, name: object) -> None:
    """Check that a protocol has a measurement of that name.

    Raises:
        LabelError: it has not.
    """
    known = [part.name for part, _ in plan_of(protocol)]
    if name not in known:
        raise LabelError(
            f"measurement: {str(name)[:60]!r} is not a measurement of {protocol.name}, which has "
            f"{listed(known, 40) or 'none'}"
        )


def _checked(points: ArrayLike, protocol: Protocol) -> Array:
    array = np.array(points, dtype=np.float64)
    if array.shape != (len(protocol), 2):
        raise LabelError(
            f"expected {len(protocol)} landmarks of {protocol.name} as an array ({len(protocol)}, 2), got shape "
            f"{array.shape}"
        )
    array[~np.isfinite(array).all(axis=1)] = np.nan
    return array


def _scale(spacing: tuple[float, float] | None, magnification: float | None) -> Array:
    """(2,), the unit of the measurements a pixel."""
    scale = np.ones(2) if spacing is None else np.array(spacing, dtype=np.float64)
    if scale.shape != (2,) or not np.isfinite(scale).all() or (scale <= 0).any():
        raise LabelError(f"spacing must be two positive numbers, mm a pixel, got {spacing}")
    if magnification is not None and not 0 < magnification < np.inf:
        raise LabelError(f"magnification must be a positive number, got {magnification}")
    return scale if spacing is None or magnification is None else scale / magnification


def _half(height: float | None, scale: Array) -> float | None:
    """y of the middle of an image of so many pixels, in the unit of the measurements."""
    return None if height is None else height / 2 * float(scale[1])


def _reason(part: Part, note: str, protocol: Protocol, at: Array) -> str:
    """Why a value is absent, in a sentence."""
    lacking = [label for label in part.landmarks if not np.isfinite(at[protocol.index(label)]).all()]
    if lacking:
        return f"needs {listed(lacking)}, which {'has' if len(lacking) == 1 else 'have'} no place in this image"
    return note or "not defined by these points: some of them lie on one place or on one line"


def _judged(value: float, part: Part, in_mm: bool) -> dict[str, Any]:
    """What norm and classes say of a value: fields of a :class:`~.base.Measurement`."""
    if not has_scale(part, in_mm):
        return {}
    category = next((each.name for each in part.classes if each.holds(value)), None)
    if part.norm is None or part.norm.sd is None:
        return {"category": category}
    deviation = (value - part.norm.mean) / part.norm.sd
    return {"category": category, "deviation": deviation, "out_of_norm": abs(deviation) > 1}


def _error_bars(plan: Plan, bars: ErrorBars, errors: JointErrors) -> list[dict[str, Any]]:
    """What samples say of each value: fields of a :class:`~.base.Measurement`."""
    told = np.where(plan.depends, bars.reductions * errors.worth_placing, 0.0)
    sure = errors.within(plan.protocol.radii[0]) >= LOW_CONFIDENCE
    steady = (sure | ~plan.depends).all(axis=1) & (bars.defined >= _ALMOST_ALWAYS)
    found: list[dict[str, Any]] = []
    for index, (part, _) in enumerate(plan):
        best = int(told[index].argmax())
        found.append({"improve": plan.protocol.labels[best] if told[index, best] > 0 else None})
        if isfinite(bars.sd[index]):
            found[-1] |= _error_bar(part, bars, index, bool(steady[index]))
    return found


def _error_bar(part: Part, bars: ErrorBars, index: int, steady: bool) -> dict[str, Any]:
    """Of one value.

    Args:
        index: of the value among the bars.
        steady: whether it is almost always defined, and none of its landmarks has a low confidence.
    """
    within68, within95 = ((low, high) for low, high in bars.intervals[:, :, index].tolist())
    probabilities = bars.probabilities[index]
    one_class = not probabilities or any(each.holds(within95[0]) and each.holds(within95[1]) for each in part.classes)
    return {
        "sd": float(bars.sd[index]),
        "interval68": within68,
        "interval95": within95,
        "probabilities": probabilities,
        "reliable": one_class and steady,
    }


def _in_pixels(lines: tuple[Line, ...], scale: Array) -> tuple[Line, ...]:
    """Lines in the unit of the measurements as lines in pixels of the image; without those that are nowhere."""
    x, y = scale.tolist()
    scaled = (Line(tuple((a / x, b / y) for a, b in line.points), line.dashed) for line in lines)
    return tuple(line for line in scaled if all(isfinite(a) and isfinite(b) for a, b in line.points))
