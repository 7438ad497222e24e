"""The cephalometric analyses: formulas as published, on phantoms and random faces, whichever way the face looks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure
from landmarklabel.phantoms import generate
from landmarklabel.protocol import Protocol

CHALLENGE = ["SNA", "SNB", "ANB", "ODI", "APDI", "FHI", "FMA", "MW"]


def face(seed: int) -> np.ndarray:
    """Landmarks (19, 2) of a phantom that looks to the right, each moved a little."""
    points = generate("cephalometric_19", seed)[1].points
    return points + np.random.default_rng(seed).normal(0, 8, points.shape)


def measured(protocol: Protocol, points: np.ndarray, spacing: float | None = 0.1) -> dict[str, Measurement]:
    both = None if spacing is None else (spacing, spacing)
    return {each.name: each for each in measure(protocol, points, both)}


def upright(protocol: Protocol, points: np.ndarray) -> dict[str, complex]:
    """Points as on paper: face to the right, y up, the Frankfort horizontal level."""
    at = {label: complex(x, -y) for label, (x, y) in zip(protocol.labels, points, strict=True)}
    level = at["Or"] - at["Po"]
    return {label: place * level.conjugate() / abs(level) for label, place in at.items()}


def slope(start: complex, end: complex) -> float:
    """Degrees by which a line rises to its end."""
    return math.degrees(math.atan2((end - start).imag, (end - start).real))


@pytest.mark.parametrize("seed", range(5))
def test_the_challenge_measures_from_slopes(cephalometric: Protocol, seed: int) -> None:
    """As a person with ruler and protractor would, on the film with the Frankfort horizontal level."""
    points = face(seed)
    found, at = measured(cephalometric, points), upright(cephalometric, points)
    palate, mandible = slope(at["PNS"], at["ANS"]), slope(at["Go"], at["Me"])
    facial, jaws = slope(at["Pog"], at["N"]), slope(at["B"], at["A"])
    back = slope(at["N"], at["S"]) % 360
    expected = {
        "SNA": slope(at["N"], at["A"]) % 360 - back,
        "SNB": slope(at["N"], at["B"]) % 360 - back,
        # To the mandibular plane, above and behind; a palate that falls to the front (a negative slope) adds.
        "ODI": (mandible + 180) - jaws - palate,
        # Facial angle, plus by how much B lies ahead of the facial plane, plus the palate.
        "APDI": facial + (jaws - facial) - palate,
        "FHI": abs(at["Go"] - at["S"]) / abs(at["Me"] - at["N"]),
        "FMA": slope(at["S"], at["N"]) - slope(at["Go"], at["Gn"]),
        "MW": abs(at["U1"] - at["L1"]) * 0.1 * (1 if at["U1"].real > at["L1"].real else -1),
    }
    expected["ANB"] = expected["SNA"] - expected["SNB"]
    assert {name: found[name].value for name in CHALLENGE} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_other_analyses_from_slopes(cephalometric: Protocol, seed: int) -> None:
    points = face(seed)
    found, at = measured(cephalometric, points), upright(cephalometric, points)
    expected = {
        "facial_angle": slope(at["Pog"], at["N"]),
        "AB_plane": slope(at["B"], at["A"]) - slope(at["Pog"], at["N"]),
        "convexity": slope(at["A"], at["N"]) - slope(at["Pog"], at["A"]),
        "mandibular_plane": -slope(at["Go"], at["Me"]),
        "FMA_Tweed": -slope(at["Go"], at["Me"]),
        "Y_axis": -slope(at["S"], at["Gn"]),
        "palatal_plane": -slope(at["PNS"], at["ANS"]),
        "Jarabak_ratio": 100 * abs(at["Go"] - at["S"]) / abs(at["Me"] - at["N"]),
    }
    # With A ahead, the profile leans forwards from Pog to A (a slope below 90), and back from A to N (one beyond).
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-6)
    for name, point, start, end in [
        ("U1_NA", "U1", "N", "A"),
        ("L1_NB", "L1", "N", "B"),
        ("Pog_NB", "Pog", "N", "B"),
        ("U1_APog", "U1", "A", "Pog"),
    ]:
        line = at[end] - at[start]
        ahead = ((at[point] - at[start]) * line.conjugate() / abs(line)).imag  # the line leads down: its left is ahead
        assert found[name].value == pytest.approx(0.1 * ahead, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_quadrangle_has_360_degrees(cephalometric: Protocol, seed: int) -> None:
    """The sum of saddle, articular and gonial angle leaves N and Me of the pentagon's 540."""
    found = measured(cephalometric, points := face(seed))
    at = dict(zip(cephalometric.labels, points, strict=True))

    def angle(a: str, vertex: str, b: str) -> float:
        one, other = at[a] - at[vertex], at[b] - at[vertex]
        return math.degrees(math.acos(one @ other / math.hypot(*one) / math.hypot(*other)))

    rest = angle("S", "N", "Me") + angle("N", "Me", "Go")
    total = found["Bjork_sum"].value
    assert total is not None
    assert total + rest == pytest.approx(540, abs=1e-6)
    halves = (found["upper_gonial"].value or 0) + (found["lower_gonial"].value or 0)
    assert halves == pytest.approx(found["gonial"].value)


@pytest.mark.parametrize("seed", range(3))
def test_a_face_that_looks_to_the_left_measures_the_same(cephalometric: Protocol, seed: int) -> None:
    points = face(seed)
    one, other = measured(cephalometric, points), measured(cephalometric, points * (-1, 1) + (2000, 0))
    values = {name: each.value for name, each in one.items()}
    assert {name: each.value for name, each in other.items()} == pytest.approx(values, abs=1e-9)


def test_moving_b_forwards_makes_a_class_iii(cephalometric: Protocol) -> None:
    """ANB falls, APDI rises, and so on, as the words of each measure say."""
    points = face(0)
    before = {name: each.value or 0.0 for name, each in measured(cephalometric, points).items()}
    ahead = points.copy()
    ahead[cephalometric.index("B")] += (60, 0)
    after = measured(cephalometric, ahead)
    moved = {name: (each.value or 0.0) - before[name] for name, each in after.items()}
    assert moved["SNB"] > 0 > moved["ANB"]
    assert moved["APDI"] > 0
    assert moved["AB_plane"] > 0
    assert after["ANB"].category == "class III"


def test_an_upper_incisor_behind_the_lower_is_a_crossbite(cephalometric: Protocol) -> None:
    points = face(0)
    upper, lower = cephalometric.index("U1"), cephalometric.index("L1")
    for overjet, category in [
        (-30, "anterior crossbite"),
        (10, "edge to edge"),
        (30, "normal overjet"),
        (60, "large overjet"),
    ]:
        points[upper] = points[lower] + (overjet, 0)
        found = measured(cephalometric, points)["MW"]
        assert (found.value, found.category) == (pytest.approx(overjet / 10), category)


def test_limits_belong_to_the_normal_class(cephalometric: Protocol) -> None:
    of = {definition.name: definition.classes for definition in cephalometric.measurements}
    for name in CHALLENGE:
        middle = next(each for each in of[name] if each.from_ is not None and each.to is not None)
        low, high = middle.limits
        assert sum(each.holds(low) for each in of[name]) == sum(each.holds(high) for each in of[name]) == 1


def test_norms_name_their_source(cephalometric: Protocol) -> None:
    norms = [definition.norm for definition in cephalometric.measurements if definition.norm]
    assert len(norms) > 15
    for norm in norms:
        assert any(year in norm.source for year in ("1948", "1953", "1954", "1972", "1974", "1978"))
        assert len(norm.population) > 8


def test_out_of_norm_is_more_than_one_deviation_off(cephalometric: Protocol) -> None:
    for each in measured(cephalometric, face(1)).values():
        if each.norm is not None and each.norm.sd is not None and each.value is not None:
            assert each.deviation == pytest.approx((each.value - each.norm.mean) / each.norm.sd)
            assert each.out_of_norm == (abs(each.value - each.norm.mean) > each.norm.sd)
        else:
            assert (each.deviation, each.out_of_norm) == (None, None)
