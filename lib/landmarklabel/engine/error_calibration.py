"""How sure measurements may be called: their stated errors against those on images that were not learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..interaction.belief import Belief
from ..interaction.error_scaling import ErrorScaling, Factors
from ..interaction.refiners import Refiner
from ..interaction.simulation import Reader, as_asked, simulate, worst_first
from ..io.dataset import Case
from ..measurements.errorbars import INTERVALS, ErrorBars
from ..measurements.plan import Plan, plan_of
from ..measurements.uncertainty import JointErrors
from ..protocol import Protocol
from .interaction import Refiners

Array = NDArray[np.float64]

#: After how many clicks is looked; for more, the last counts.
CLICKS = 3

#: Which parts of the stated dependence are tried.
DEPENDENCES = (1.0, 0.3, 0.0)

# More images say little new, and take their time.
_MOST_IMAGES = 50

#: A definition's own factor counts as much as the common one where so many images tell it.
IMAGES = 20

# Which factors are tried.
_FACTORS = np.geomspace(0.2, 2.5, 60)


@dataclass(frozen=True)
class _Look:
    """What is believed of one image once a reader has placed some of its landmarks exactly.

    Attributes:
        image: its id.
        truth: (K, 2), its true landmarks.
        spacing: (2,), mm a pixel; None where that is not known.
        placed: (C,), which landmarks.
        known: what is believed then.
    """

    image: str
    truth: Array
    spacing: tuple[float, float] | None
    placed: NDArray[np.intp]
    known: Belief


@dataclass(frozen=True)
class _Stated:
    """N looks after the same number of clicks: P values beside the true ones.

    Attributes:
        images: (N,), ids; readers of several orders look at the same one.
        values, true: (N, P); NaN where they are not defined.
        intervals: (N, 2, 2, P): of 68 and 95 %, low and high; NaN where none is stated.
    """

    images: NDArray[np.str_]
    values: Array
    true: Array
    intervals: Array

    def held(self, level: int, factor: float, columns: NDArray[np.intp]) -> float:
        """How much of the truth the intervals of one level hold, were they that much wider; NaN of no value at all."""
        low, high = self._ends(level, factor, columns)
        true = self.true[:, columns]
        return float(((low <= true) & (true <= high))[np.isfinite(low + high + true)].mean())

    def compared(self, columns: NDArray[np.intp]) -> int:
        """In how many images there is anything to compare."""
        there = np.isfinite(self.true[:, columns] + self._ends(0, 1.0, columns)[0]).any(axis=1)
        return len(np.unique(self.images[there]))

    def _ends(self, level: int, factor: float, columns: NDArray[np.intp]) -> tuple[Array, Array]:
        """(N, C) each, low and high of the intervals of one level."""
        values = self.values[:, None, columns]
        low, high = np.moveaxis(values + factor * (self.intervals[:, level][..., columns] - values), 1, 0)
        return low, high


@dataclass
class _Recording:
    """A refiner that remembers what it answered."""

    refiner: Refiner
    answers: list[tuple[NDArray[np.intp], Belief]] = field(default_factory=list)

    def given(
        self, indices: NDArray[np.intp], points: Array, noise: float = 0.0, absent: NDArray[np.intp] | None = None
    ) -> Belief:
        known = self.refiner.given(indices, points, noise, absent)
        self.answers.append((indices, known))
        return known


def scaling_of(cases: Sequence[Case], refiners: Refiners, protocol: Protocol) -> ErrorScaling | None:
    """How errors become those of measurements, from readers who place the worst landmark, or the one asked for.

    Args:
        cases: images that were not learned from, with placed landmarks.
        refiners: what answers the readers.
        protocol: whose measurements are looked at; None is answered for one without any.
    """
    plan = plan_of(protocol)
    if not protocol.measurements:
        return None
    cases = cases[:: -(-len(cases) // _MOST_IMAGES) or 1]
    looks = [look for case in cases for look in _looks(case, refiners)]
    found = [_fitted(looks, plan, dependence) for dependence in DEPENDENCES]
    return min(found, key=_change)


def _looks(case: Case, refiners: Refiners) -> Iterator[_Look]:
    radiograph, truth = case.radiograph(), np.asarray(case.points, dtype=np.float64)
    refiner, spacing = refiners(radiograph), radiograph.spacing if radiograph.spacing_known else None
    for order in (worst_first, as_asked):
        recording = _Recording(refiner)
        simulate(recording, truth, CLICKS, Reader(order), np.random.default_rng(0), radiograph.spacing)
        yield from (_Look(case.id, truth, spacing, placed, known) for placed, known in recording.answers)


def _change(scaling: ErrorScaling) -> float:
    """How much factors change errors, on average: the dependence that is true asks for the least."""
    return float(np.abs(np.log([list(factors) for factors in scaling.measurements.values()])).mean())


def _fitted(looks: Sequence[_Look], plan: Plan, dependence: float) -> ErrorScaling:
    """The factors for one dependence."""
    names = np.array([definition.name for _, definition in plan])
    columns = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}
    common: list[Factors] = []
    single: dict[str, list[Factors]] = {name: [] for name in columns}
    for clicks in range(1 + max(len(look.placed) for look in looks)):
        stated = _stated([look for look in looks if len(look.placed) == clicks], plan, dependence)
        images = {name: stated.compared(places) for name, places in columns.items()}
        there = [places for name, places in columns.items() if images[name]]
        common.append(_factors(stated, there) if there else (common or [(1.0, 1.0)])[-1])
        for name, places in columns.items():
            own = _factors(stated, [places]) if images[name] else common[-1]
            single[name].append(_between(own, common[-1], images[name] / (images[name] + IMAGES)))
    measurements = {name: tuple(factors) for name, factors in single.items()}
    return ErrorScaling(dependence=dependence, common=tuple(common), measurements=measurements)


def _factors(stated: _Stated, definitions: Sequence[NDArray[np.intp]]) -> Factors:
    """The factors at which intervals hold what they say, on average over definitions.

    Of what comes next, intervals that hold a share of N images hold N / (N + 1) of that share (split conformal
    prediction: Lei et al., Journal of the American Statistical Association 113, 2018). Two looks at an image are not
    two images: they err alike.
    """
    count, found = stated.compared(np.concatenate(definitions)), []
    for level, share in enumerate(INTERVALS):
        held = np.mean([[stated.held(level, factor, places) for factor in _FACTORS] for places in definitions], axis=0)
        enough = held >= share * (count + 1) / count
        found.append(float(_FACTORS[enough.argmax() if enough.any() else -1]))
    return _rounded(found[0], found[1])


def _between(own: Factors, common: Factors, share: float) -> Factors:
    """The geometric mean, weighted."""
    inner, outer = (a**share * b ** (1 - share) for a, b in zip(own, common, strict=True))
    return _rounded(inner, outer)


def _rounded(inner: float, outer: float) -> Factors:
    """The outer interval is never within the inner one."""
    return round(inner, 3), round(max(outer, inner / 2), 3)


def _stated(looks: Sequence[_Look], plan: Plan, dependence: float) -> _Stated:
    rows = [_row(look, plan, dependence) for look in looks]
    values, true, intervals = (np.stack(column) for column in zip(*rows, strict=True))
    return _Stated(np.array([look.image for look in looks]), values, true, intervals)


def _row(look: _Look, plan: Plan, dependence: float) -> tuple[Array, Array, Array]:
    """What is stated of one image: values (P,), the true ones (P,), intervals (2, 2, P)."""
    scale = np.ones(2) if look.spacing is None else np.array(look.spacing)
    points = look.known.mean.copy()
    points[look.placed] = look.truth[look.placed]
    joint = JointErrors.of(look.known, look.placed, scaling=ErrorScaling(dependence=dependence))
    bars = ErrorBars.of(plan, points * scale, joint.scaled(scale), look.spacing is not None)
    placed = (joint.placed | ~plan.depends).all(axis=1)  # nothing is left of error
    return bars.values, plan.values(look.truth[None] * scale)[0], np.where(placed, np.nan, bars.intervals)
