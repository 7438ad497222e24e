"""The vocabulary against plain formulas, under motions of the image, and where it is not defined."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.measurements.kinds import KINDS, Kind

Point = tuple[float, float]
Place = Callable[[str], Point]

#: One of each kind, over landmarks A to F.
EXAMPLES: dict[str, Any] = {
    "distance": ["A", "B"],
    "angle": ["A", "B", "C"],
    "angle_between": [["A", "B"], ["C", "D"]],
    "signed_angle": {"start": ["A", "B"], "end": ["C", "D"], "positive": ["E", "F", "A"]},
    "signed_distance": {"point": "A", "line": ["B", "C"], "away_from": "D"},
    "projection": {"points": ["A", "B"], "line": ["C", "D"]},
    "directed_distance": {"points": ["A", "B"], "along": ["C", "D"]},
    "ratio": [["A", "B"], ["C", "D"]],
    "percent": [["A", "B"], ["C", "D"]],
}
LABELS = "ABCDEF"


def kind(key: str) -> Kind:
    return KINDS[key].model_validate(EXAMPLES[key])


def value(key: str, points: np.ndarray) -> np.ndarray:
    """Of points (..., 6, 2)."""
    with np.errstate(all="ignore"):
        return np.asarray(kind(key).value(lambda label: points[..., LABELS.index(label), :]))


def heading(at: Place, start: str, end: str) -> complex:
    return complex(*at(end)) - complex(*at(start))


def degrees_from_to(a: complex, b: complex) -> float:
    """In (-180, 180]."""
    turned = math.degrees(math.atan2(b.imag, b.real) - math.atan2(a.imag, a.real))
    return (turned + 180) % 360 - 180


def along(at: Place, label: str, start: str, end: str) -> complex:
    """In the line's own coordinates: how far along it, and how far off it."""
    line = heading(at, start, end)
    return heading(at, start, label) * line.conjugate() / abs(line)


def expected(key: str, at: Place) -> float:
    """By complex numbers, and not by products of vectors."""
    first, second = heading(at, "A", "B"), heading(at, "C", "D")
    if key == "distance":
        return math.dist(at("A"), at("B"))
    if key == "angle":  # by the law of cosines
        a, b, c = math.dist(at("B"), at("C")), math.dist(at("A"), at("C")), math.dist(at("A"), at("B"))
        return math.degrees(math.acos(max(-1.0, min(1.0, (a * a + c * c - b * b) / (2 * a * c)))))
    if key == "angle_between":
        return abs(degrees_from_to(first, second))
    if key == "signed_angle":
        bend = degrees_from_to(heading(at, "E", "F"), heading(at, "F", "A"))
        return degrees_from_to(first, second) * math.copysign(1, bend)
    if key == "signed_distance":
        off, other = (along(at, label, "B", "C").imag for label in "AD")
        return abs(off) * (1 if off * other < 0 else -1)
    if key == "projection":
        return along(at, "A", "C", "D").real - along(at, "B", "C", "D").real
    if key == "directed_distance":
        return math.copysign(abs(first), 90 - abs(degrees_from_to(second, first)))
    return abs(first) / abs(second) * (100 if key == "percent" else 1)


@pytest.mark.parametrize("key", EXAMPLES)
def test_equals_a_plain_formula(key: str, rng: np.random.Generator) -> None:
    points = rng.uniform(0, 2000, (200, 6, 2))
    for found, each in zip(value(key, points), points, strict=True):
        plain = expected(key, lambda label, each=each: tuple(each[LABELS.index(label)]))
        assert found == pytest.approx(plain, rel=1e-6, abs=1e-5)


def moved(points: np.ndarray, turn: float, shift: tuple[float, float], scale: float, mirror: bool) -> np.ndarray:
    angle = math.radians(turn)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points * (-1 if mirror else 1, 1)) @ rotation.T * scale + shift


@pytest.mark.parametrize("key", EXAMPLES)
@settings(max_examples=20)
@given(
    turn=st.floats(-180, 180),
    shift=st.tuples(*[st.floats(-500, 500)] * 2),
    scale=st.floats(0.1, 10),
    mirror=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_depends_on_the_anatomy_alone(
    key: str, turn: float, shift: tuple[float, float], scale: float, mirror: bool, seed: int
) -> None:
    """However the image is turned, shifted, mirrored; and enlarged, where the value is no length."""
    points = np.random.default_rng(seed).uniform(0, 500, (1, 6, 2))
    before, after = value(key, points), value(key, moved(points, turn, shift, scale, mirror))
    larger = scale if KINDS[key].quantity == "length" else 1.0
    if KINDS[key].quantity == "deg":  # -180 and 180 are one direction
        assert math.cos(math.radians(float(after[0] - before[0]))) == pytest.approx(1, abs=1e-9)
    else:
        assert after == pytest.approx(before * larger, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_absent_landmark_makes_it_undefined(key: str, rng: np.random.Generator) -> None:
    points = rng.uniform(0, 500, (6, 2))
    for label in kind(key).landmarks:
        lacking = points.copy()
        lacking[LABELS.index(label)] = np.nan
        assert np.isnan(value(key, lacking))


@pytest.mark.parametrize("key", sorted(set(EXAMPLES) - {"distance"}))
def test_points_in_one_place_define_nothing(key: str) -> None:
    assert np.isnan(value(key, np.full((6, 2), 7.0)))


def test_points_in_one_place_are_at_no_distance() -> None:
    assert value("distance", np.full((6, 2), 7.0)) == 0


def test_a_side_needs_a_landmark_that_is_off_the_line() -> None:
    points = np.array([[0, 5], [0, 0], [10, 0], [20, 0], [0, 0], [0, 0]], dtype=float)
    assert np.isnan(value("signed_distance", points))


def test_towards_and_away_from_are_opposite(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 500, (50, 6, 2))
    away = value("signed_distance", points)
    towards = KINDS["signed_distance"].model_validate({"point": "A", "line": ["B", "C"], "towards": "D"})
    assert towards.value(lambda label: points[:, LABELS.index(label)]) == pytest.approx(-away)


def drawn(key: str, points: np.ndarray) -> list[tuple[bool, np.ndarray]]:
    return [(line.dashed, np.array(line.points)) for line in kind(key).lines(lambda a: points[LABELS.index(a)])]


@pytest.mark.parametrize("key", EXAMPLES)
def test_lines_go_through_the_landmarks(key: str, rng: np.random.Generator) -> None:
    points = rng.uniform(0, 500, (6, 2))
    ends = np.concatenate([line for _, line in drawn(key, points)])
    named = {"signed_angle": "ABCD", "signed_distance": "A", "projection": "AB", "directed_distance": "AB"}
    for label in named.get(key, kind(key).landmarks):
        assert np.abs(ends - points[LABELS.index(label)]).sum(axis=1).min() < 1e-9


def test_a_perpendicular_meets_its_line_at_a_right_angle(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 500, (6, 2))
    (solid, line), (dashed, perpendicular) = drawn("signed_distance", points)
    assert (solid, dashed) == (False, True)
    assert np.diff(line, axis=0)[0] @ np.diff(perpendicular, axis=0)[0] == pytest.approx(0, abs=1e-6)
    assert np.hypot(*np.diff(perpendicular, axis=0)[0]) == pytest.approx(abs(value("signed_distance", points)))
