"""Heights of vertebrae, and the grade of a fracture."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import body, lateral
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import load_protocol

SPINE = load_protocol("spine_68")


def genant(*heights: tuple[float, float, float]) -> dict[str, object]:
    """Measurements of bodies A, B, ... with these anterior, middle and posterior heights in mm."""
    points = np.concatenate([body(*each, at=40.0 * place) for place, each in enumerate(heights)])
    found = measure(lateral(len(heights)), points, (1.0, 1.0))
    return {each.name: each for each in found}


@pytest.mark.parametrize(
    ("heights", "grade", "note"),
    [
        ((25, 25, 25), "normal", ""),
        ((20.3, 25, 25), "normal", ""),  # 19 %
        ((19.5, 25, 25), "mild", "wedge deformity"),  # 22 %
        ((25, 18, 25), "moderate", "biconcave deformity"),  # 28 %
        ((14, 20, 25), "severe", "wedge deformity"),  # 44 %
        ((17, 17, 17), "moderate", "crush deformity"),  # 32 % of the neighbours
    ],
)
def test_the_grade_is_that_of_the_largest_loss(heights, grade, note):
    found = genant((25, 25, 25), heights, (25, 25, 25))["B_grade"]
    assert (found.category, found.note) == (grade, note)


def test_heights_losses_and_wedging_in_numbers():
    found = genant((20, 22, 25))
    assert found["A_height_anterior"].value == pytest.approx(20)
    assert found["A_height_middle"].value == pytest.approx(22)
    assert found["A_height_posterior"].value == pytest.approx(25)
    assert found["A_loss"].value == pytest.approx(20)
    assert found["A_wedge"].value == pytest.approx(np.degrees(np.arctan2(5, 30)))
    assert found["A_height_anterior"].unit == "mm" and found["A_loss"].unit == "%"


def test_four_corners_see_no_biconcave_body():
    protocol = lateral(1, points=4)
    points = body(25, 15, 25)[[0, 2, 3, 5]]
    found = {each.name: each for each in measure(protocol, points, None)}
    assert found["A_height_middle"].value == pytest.approx(25)
    assert found["A_grade"].category == "normal"
    assert found["A_height_middle"].unit == "px"


def test_bodies_have_four_or_six_points():
    with pytest.raises(ValueError, match="structure 'A' has 5 landmarks; expected 4 or 6"):
        lateral(1, points=5)


@settings(max_examples=10)
@given(st.floats(5, 40), st.floats(5, 40), st.floats(-15, 15))
def test_a_frontal_body_in_numbers(width, height, wedge):
    """A body whose lower end plate is turned against its upper one."""
    points = np.full((68, 2), np.nan)
    turn = np.array([np.cos(np.deg2rad(wedge)), np.sin(np.deg2rad(wedge))])
    foot = np.array([0, height])
    points[:4] = [(-width, 0), (width, 0), foot - width * turn, foot + width * turn]
    found = {each.name: each for each in measure(SPINE, points, (2.0, 2.0))}
    assert found["T1_height_mid"].value == pytest.approx(2 * height)
    assert found["T1_wedge"].value == pytest.approx(wedge, abs=1e-6)
    left, right = (2 * np.linalg.norm(points[k + 2] - points[k]) for k in (0, 1))
    assert (found["T1_height_left"].value, found["T1_height_right"].value) == pytest.approx((left, right))
    assert found["T2_wedge"].value is None and "T2-UL" in str(found["T2_wedge"].reason)
