"""Cardiothoracic ratio and lung areas on outlines whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.measurements.measure import measure
from landmarklabel.phantoms import chest
from landmarklabel.protocol import load_protocol

CHEST = load_protocol("chest_166")


def ellipse(count: int, centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    angle = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii + centre


def upright(heart: float = 60.0) -> np.ndarray:
    """(166, 2), lungs from x = -140 to 140, a heart as wide on either side."""
    points = np.zeros((166, 2))
    points[CHEST.indices("right_lung")] = ellipse(44, (-80, 0), (60, 120))[::-1]
    points[CHEST.indices("left_lung")] = ellipse(50, (80, 0), (60, 120))
    points[CHEST.indices("heart")] = ellipse(26, (10, 40), (heart, 50))
    return points


def test_the_ratio_in_numbers():
    found = {each.name: each for each in measure(CHEST, upright(), (0.5, 0.5))}
    assert found["thoracic_diameter"].value == pytest.approx(140, rel=0.002)
    assert found["cardiac_diameter"].value == pytest.approx(60, rel=0.002)
    assert found["cardiothoracic_ratio"].value == pytest.approx(60 / 140, rel=0.004)
    assert found["cardiothoracic_ratio"].category == "normal"
    wide = {each.name: each for each in measure(CHEST, upright(75), None)}
    assert wide["cardiothoracic_ratio"].category == "enlarged heart"
    assert wide["cardiac_diameter"].unit == "px"


def test_areas_in_numbers():
    found = {each.name: each for each in measure(CHEST, upright(), (0.5, 0.5))}
    assert found["right_lung_area"].value == pytest.approx(np.pi * 60 * 120 / 4, rel=0.01)
    assert found["lung_area"].value == pytest.approx(found["right_lung_area"].value + found["left_lung_area"].value)
    assert found["lung_area"].unit == "mm2"


@settings(max_examples=10)
@given(st.integers(0, 2**16))
def test_the_area_is_that_of_triangles(seed):
    """Summed from the first point of the outline; by pieces of a star, so that it crosses itself nowhere."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 44))
    star = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(20, 90, 44)[:, None]
    points = upright()
    points[CHEST.indices("right_lung")] = star + 300
    triangles = [np.linalg.det(np.stack([a, b])) / 2 for a, b in zip(star, np.roll(star, -1, axis=0), strict=True)]
    found = {each.name: each for each in measure(CHEST, points, None)}
    assert found["right_lung_area"].value == pytest.approx(abs(sum(triangles)))


def test_a_patient_who_leans_has_the_same_ratio():
    """Phantoms are drawn upright in their own frame: transverse is their x axis, to some degrees."""
    off = []
    for seed in range(12):
        points = chest.draw_patient(np.random.default_rng(seed)).landmarks
        heart, lungs = (
            points[CHEST.indices("heart")],
            np.concatenate([points[CHEST.indices(n)] for n in ("right_lung", "left_lung")]),
        )
        true = np.ptp(heart[:, 0]) / np.ptp(lungs[:, 0])
        off.append(measure(CHEST, points, None)[0].value - true)
    assert np.abs(off).max() < 0.015


def test_a_lung_that_is_missing_makes_no_ratio():
    points = upright()
    points[CHEST.indices("left_lung")[3]] = np.nan
    found = {each.name: each for each in measure(CHEST, points, None)}
    assert found["cardiothoracic_ratio"].value is None and "LL04" in str(found["cardiothoracic_ratio"].reason)
    assert found["right_lung_area"].value is not None and found["lung_area"].value is None
