"""Error bars of values, from samples of the landmarks that they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Part
from .plan import Plan
from .uncertainty import SAMPLES, JointErrors, reductions

if TYPE_CHECKING:
    from ..interaction.error_scaling import ErrorScaling

Array = NDArray[np.float64]

#: What the two intervals hold: as much as one and two standard deviations of a normal distribution do.
INTERVALS = (0.68, 0.95)

# Quantiles at which errors are multiplied, and between which it is interpolated: the ends of the intervals, and all.
_KNOTS = (0.0, 0.025, 0.16, 0.5, 0.84, 0.975, 1.0)

# Of so many samples a value must be defined, or nothing is said of its error.
_OFTEN = 0.5


@dataclass(frozen=True)
class ErrorBars:
    """P values and their error bars.

    Attributes:
        values: (P,), of the points themselves; NaN where they define none.
        defined: (P,), in which part of the samples each value is defined.
        sd: (P,), standard deviation of the error; NaN where a value is rarely defined.
        intervals: (2, 2, P): of 68 and 95 %, low and high; NaN as ``sd``.
        probabilities: for each value those of its classes, of the samples in which it is defined.
        reductions: (P, K), which part of the variance goes once a person places a landmark; 0 where one did.
    """

    values: Array
    defined: Array
    sd: Array
    intervals: Array
    probabilities: tuple[dict[str, float], ...]
    reductions: Array

    @classmethod
    def of(cls, plan: Plan, points: Array, joint: JointErrors, in_mm: bool, seed: int = 0) -> ErrorBars:
        """Measure points and samples around them, at once.

        Args:
            plan: what is measured.
            points: (K, 2), NaN absent.
            joint: the errors in them, in the same unit.
            in_mm: whether that is mm, as classes of lengths need it.
            seed: of the samples.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of values that are too large to be squared
            return cls._of(plan, points, joint, in_mm, joint.sample(SAMPLES, seed))

    @classmethod
    def _of(cls, plan: Plan, points: Array, joint: JointErrors, in_mm: bool, errors: Array) -> ErrorBars:
        value, values = np.split(plan.values(_around(points, errors)), [1])
        parts = [part for part, _ in plan]
        rising = np.sort(values, axis=0)  # NaN last
        count = np.isfinite(values).sum(axis=0)
        if joint.scaling is not None:
            factors = _factors(plan, joint.scaling, int(joint.placed.sum()))
            rising = _scaled(rising, count, value[0], factors)
        often = count >= _OFTEN * SAMPLES
        intervals = np.stack([_interval(rising, count, parts, share) for share in INTERVALS])
        told = reductions(values, errors, joint)
        told[:, joint.placed | ~np.isfinite(points).all(axis=1)] = 0.0
        return cls(
            value[0],
            count / SAMPLES,
            np.where(often, _deviation(rising, count), np.nan),
            np.where(often, intervals, np.nan),
            tuple(
                _probabilities(part, rising[:n, i], in_mm) for i, (part, n) in enumerate(zip(parts, count, strict=True))
            ),
            told,
        )


def _around(points: Array, errors: Array) -> Array:
    """(1 + S, K, 2), points (K, 2) and then each with errors (S, K, 2); a coordinate's samples stay side by side."""
    sets = np.repeat(points[..., None], 1 + len(errors), axis=2)
    sets[..., 1:] += errors.transpose(1, 2, 0)
    return np.asarray(sets.transpose(2, 0, 1))


def _factors(plan: Plan, scaling: ErrorScaling, clicks: int) -> Array:
    """(2, P), by what inner and outer errors of values are multiplied; NaN where values are counted in steps."""
    steps = (np.nan, np.nan)
    found = [steps if _in_steps(part) else scaling.of(each.name, clicks) for part, each in plan]
    return np.array(found, dtype=np.float64).reshape(-1, 2).T


def _scaled(rising: Array, count: NDArray[np.intp], value: Array, factors: Array) -> Array:
    """Rising values (S, P) whose errors are multiplied and lie about ``value`` (P,); they rise still.

    A largest angle is larger in most samples than in the landmarks themselves, since it is picked among noisy ones.
    The landmarks are no such sample of the truth, but smoother than it; so that where the middle of the samples lies
    says as little as their width, before it has been measured.

    Args:
        factors: (2, P), of errors up to the 68 % interval, and from the 95 % interval on; NaN leaves values as they
            are. Where no value is negative, none becomes so.
    """
    knots = np.stack([_at(rising, count, each) for each in _KNOTS])
    ends = value + factors[[1, 1, 0, 0, 0, 1, 1]] * (knots - knots[3])
    ends = np.maximum.accumulate(np.maximum(ends, np.where(rising[0] >= 0, 0.0, -np.inf)), axis=0)
    scaled = rising.copy()
    for index in np.flatnonzero(np.isfinite(factors[0]) & (count > 0)):
        scaled[:, index] = np.interp(rising[:, index], knots[:, index], ends[:, index])
    return scaled


def _at(rising: Array, count: NDArray[np.intp], quantile: float) -> Array:
    """(P,), of the first ``count`` (P,) of rising values (S, P)."""
    place = np.rint(quantile * np.maximum(count - 1, 0)).astype(np.intp)
    return np.asarray(np.take_along_axis(rising, place[None], axis=0)[0])


def _in_steps(part: Part) -> bool:
    return part.unit in ("stage", "grade")


def _deviation(values: Array, count: NDArray[np.intp]) -> Array:
    """(P,), standard deviations of the values (S, P) that are defined, ``count`` (P,) of them."""
    there = np.isfinite(values)
    mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.asarray(np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / np.maximum(count, 1)))


def _interval(rising: Array, count: NDArray[np.intp], parts: Sequence[Part], share: float) -> Array:
    """(2, P), low and high of the middle ``share`` of the first ``count`` (P,) of rising values (S, P)."""
    whole = np.array([_in_steps(part) for part in parts])
    ends = []
    for quantile in ((1 - share) / 2, (1 + share) / 2):
        place = quantile * np.maximum(count - 1, 0)
        below = np.where(whole, np.rint(place), np.floor(place)).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low, high = (np.take_along_axis(rising, each[None], axis=0)[0] for each in (below, above))
        part = np.where(whole, 0.0, place - below)
        ends.append(low + part * (high - low))
    return np.stack(ends)


def _probabilities(part: Part, rising: Array, in_mm: bool) -> dict[str, float]:
    """Of each class of a part, which share of rising values (N,) it holds."""
    if not has_scale(part, in_mm) or not rising.size:
        return {}
    return {each.name: _share(rising, *each.limits, each.from_ is None, each.to is None) for each in part.classes}


def _share(rising: Array, low: float, high: float, without_low: bool, without_high: bool) -> float:
    first = rising.searchsorted(low, side="right" if without_low else "left")
    last = rising.searchsorted(high, side="left" if without_high else "right")
    return max(int(last) - int(first), 0) / rising.size


def has_scale(part: Part, in_mm: bool) -> bool:
    """Whether norms and classes, whose lengths are in mm, can be applied to a part."""
    return in_mm or part.unit not in ("length", "area")
