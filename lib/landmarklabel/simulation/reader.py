"""A reader who knows where the landmarks of an image are, and puts right whatever is off by more than a tolerance.

The reader looks at one landmark after the other, confirms what is right, and clicks the first that is off. What is not
settled follows; and so on until everything that is looked at is right. Without a prediction every landmark is placed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..metrics import radial_errors
from .settings import Habits

Array = NDArray[np.float64]

#: What moves by less than this part of the tolerance is not looked at again, unless that makes it wrong.
NOTICED = 0.1


@dataclass(frozen=True)
class Screen:
    """What the reader sees.

    Attributes:
        points: (K, 2), (x, y) in pixels of the image; NaN where there is nothing.
        order: indices of landmarks, the first to be looked at first; those that it lacks come last.
        trusted: (K,), which the tool is sure of.
    """

    points: Array
    order: tuple[int, ...]
    trusted: NDArray[np.bool_]

    def with_point(self, index: int, point: Array) -> Screen:
        """The same with one landmark elsewhere."""
        points = self.points.copy()
        points[index] = point
        return Screen(points, self.order, self.trusted)


class Desk(Protocol):
    """The tool, of one image."""

    def refine(self, placed: Mapping[int, Array], missing: Collection[int]) -> Screen:
        """The image after all that a person has said: what was placed or confirmed, in pixels; what is not there."""


@dataclass(frozen=True)
class Act:
    """Something that the reader did.

    Attributes:
        kind: ``look``, ``click``, or ``missing``: a click that takes a landmark away.
        index: of the landmark.
        error: of the landmark before it; NaN where there was nothing.
        at: seconds that the reader had spent on the image when it was done: looks and clicks at their pace, and waits.
        wait: seconds until the others had followed.
    """

    kind: Literal["look", "click", "missing"]
    index: int
    error: float
    at: float
    wait: float = 0.0


@dataclass(frozen=True)
class Reading:
    """An image, read.

    Attributes:
        points: (K, 2), as they are saved; NaN is missing.
        placed: (K,), which landmarks the reader's hand placed.
        acts: what it took, in order.
    """

    points: Array
    placed: NDArray[np.bool_]
    acts: tuple[Act, ...]

    @property
    def clicks(self) -> int:
        return sum(act.kind != "look" for act in self.acts)

    @property
    def looks(self) -> int:
        return sum(act.kind == "look" for act in self.acts)


def errors_of(points: Array, truth: Array, spacing: tuple[float, float]) -> Array:
    """(K,) how far off each landmark is, in the unit of the spacing: infinite where it should be and is not, or is and
    should not be; NaN where it rightly is not.

    Args:
        points, truth: (K, 2), in pixels; NaN is not there.
        spacing: (sx, sy), a pixel.
    """  # fmt: skip
    errors = radial_errors(points, truth, np.asarray(spacing))
    shown, true = (np.isfinite(each).all(axis=1) for each in (points, truth))
    return np.where(shown == true, errors, np.inf)


class Reader:
    """Reads one image.

    Args:
        habits: of the reader.
        truth: (K, 2), in pixels of the image; NaN is not in it.
        spacing: (sx, sy), by which pixels become the unit of the tolerance.
        size: (W, H) of the image; no click is beside it.
        rng: the reader's hand. Which way it slips at each landmark does not depend on the order of clicks.
        spend: is told of the seconds that looks and clicks take.
    """

    def __init__(
        self,
        habits: Habits,
        truth: Array,
        spacing: tuple[float, float],
        size: tuple[int, int],
        rng: np.random.Generator,
        spend: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._habits, self._truth, self._spacing, self._spend = habits, truth, spacing, spend
        slips = rng.normal(0, 1, truth.shape) * habits.noise / np.asarray(spacing)
        self._last_pixel = np.asarray(size) - 1.0
        self._hand = np.clip(truth + slips, 0, self._last_pixel)
        self._shuffled = tuple(int(index) for index in rng.permutation(len(truth)))
        self._seen = np.full(truth.shape, np.nan)
        self._placed: dict[int, Array] = {}
        self._confirmed: dict[int, Array] = {}
        self._missing: list[int] = []
        self._acts: list[Act] = []
        self._now = 0.0

    def read(self, screen: Screen | None, desk: Desk) -> Reading:
        """Put everything right that is looked at.

        Args:
            screen: the prediction; None where there is none.
            desk: what moves the others after a click.
        """
        if screen is None:
            points = self._place_all()
        else:
            while (index := self._next_wrong(screen)) is not None:
                screen = self._correct(index, screen, desk)
            points = screen.points.copy()
        placed = np.zeros(len(self._truth), dtype=bool)
        placed[list(self._placed)] = True
        return Reading(points, placed, tuple(self._acts))

    def _place_all(self) -> Array:
        points = np.full(self._truth.shape, np.nan)
        for index in range(len(points)):
            self._act(self._settle(index), index, np.nan)
            points[index] = self._placed.get(index, np.nan)
        return points

    def _next_wrong(self, screen: Screen) -> int | None:
        """Look at what was not seen as it is now, until something is off; what is not on screen needs no look."""
        errors = errors_of(screen.points, self._truth, self._spacing)
        for index in self._in_order(screen, errors):
            if self._needs_look(index, screen, errors[index]):
                if np.isfinite(screen.points[index]).all():
                    self._act("look", index, float(errors[index]))
                self._seen[index] = screen.points[index]
                if self._off(errors[index]):
                    return index
                if self._habits.confirm and self._inside(screen.points[index]):  # the server refuses any other
                    self._confirmed[index] = screen.points[index]
        return None

    def _inside(self, point: Array) -> bool:
        return bool(((point >= 0) & (point <= self._last_pixel)).all())

    def _off(self, error: float) -> bool:
        return bool(error > self._habits.tolerance)

    def _in_order(self, screen: Screen, errors: Array) -> list[int]:
        if self._habits.order == "oracle":
            return [int(index) for index in np.argsort(-np.nan_to_num(errors, nan=-1.0, posinf=np.inf), kind="stable")]
        order = self._shuffled if self._habits.order == "random" else screen.order
        return list(dict.fromkeys([*order, *range(len(errors))]))

    def _needs_look(self, index: int, screen: Screen, error: float) -> bool:
        settled = index in self._placed or index in self._confirmed or index in self._missing
        if settled or np.isnan(error):
            return False
        if self._habits.trust and screen.trusted[index]:
            return False
        moved = np.linalg.norm((screen.points[index] - self._seen[index]) * self._spacing)
        # What drifts out of tolerance is seen, by however little; so whoever looks at everything lets nothing slip.
        return bool(not moved <= NOTICED * self._habits.tolerance or self._off(error))

    def _correct(self, index: int, screen: Screen, desk: Desk) -> Screen:
        error = float(errors_of(screen.points, self._truth, self._spacing)[index])
        self._act(self._settle(index), index, error)
        if not self._habits.follow:
            return screen.with_point(index, self._placed.get(index, np.full(2, np.nan)))
        start = time.perf_counter()
        screen = desk.refine({**self._confirmed, **self._placed}, self._missing)
        self._waited(time.perf_counter() - start)
        return screen

    def _settle(self, index: int) -> Literal["click", "missing"]:
        """The reader's word on a landmark: here, or not in this image."""
        if np.isnan(self._truth[index]).any():
            self._missing.append(index)
            return "missing"
        self._placed[index] = self._hand[index]
        return "click"

    def _act(self, kind: Literal["look", "click", "missing"], index: int, error: float) -> None:
        seconds = self._habits.look_s if kind == "look" else self._habits.click_s
        self._now += seconds
        self._acts.append(Act(kind, index, error, self._now))
        self._spend(seconds)

    def _waited(self, seconds: float) -> None:
        """So long it took until the others had followed the last click."""
        self._now += seconds
        self._acts[-1] = replace(self._acts[-1], wait=seconds)
