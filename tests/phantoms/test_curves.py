"""Curves and the points that landmarks are defined by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from landmarklabel.phantoms import curves
from landmarklabel.phantoms.warp import Warp

KNOTS = np.array([(0.0, 0.0), (3.0, 4.0), (8.0, 3.0), (9.0, -2.0), (14.0, 0.0)])


@pytest.mark.parametrize("closed", [False, True])
def test_a_spline_is_the_cubic_spline_of_scipy(closed: bool) -> None:
    points = np.concatenate([KNOTS, KNOTS[:1]]) if closed else KNOTS
    steps = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
    times = np.concatenate([[0.0], np.cumsum(steps)])
    expected = CubicSpline(times, points, bc_type="periodic" if closed else "natural")
    at = np.linspace(0, times[-1], 50, endpoint=not closed)
    assert np.allclose(curves.spline(KNOTS, 50, closed), expected(at), atol=1e-9)


def test_evenly_has_equal_steps_and_keeps_the_first_point() -> None:
    around = curves.evenly(curves.ellipse((3, 4), (30, 10), count=720), 40, closed=True)
    steps = np.hypot(*(np.roll(around, -1, axis=0) - around).T)
    assert np.ptp(steps) < 0.05 * steps.mean()
    assert np.allclose(around[0], (33, 4))


def test_inset_moves_inwards_whatever_the_direction() -> None:
    circle = curves.ellipse((5, 5), (10, 10), count=100)
    for outline in (circle, circle[::-1]):
        assert np.allclose(np.hypot(*(curves.inset(outline, 2.0) - 5).T), 8.0, atol=0.01)


def test_ribbon_runs_above_a_curve_first_when_it_goes_right() -> None:
    band = curves.ribbon(np.array([(0.0, 0.0), (5.0, 0.0), (10.0, 0.0)]), 2.0)
    assert np.allclose(band[:3, 1], -1.0)
    assert np.allclose(band[3:, 1], 1.0)


def test_crossing_finds_the_point_or_says_that_there_is_none() -> None:
    level = np.array([(0.0, 2.0), (10.0, 2.0)])
    assert np.allclose(curves.crossing(level, np.array([(4.0, 0.0), (6.0, 4.0)])), (5.0, 2.0))
    with pytest.raises(ValueError, match="do not cross"):
        curves.crossing(level, np.array([(0.0, 3.0), (10.0, 4.0)]))


def test_deepest_farthest_and_centroid() -> None:
    bay = np.array([(0.0, 0.0), (2.0, 1.0), (5.0, 3.0), (8.0, 1.0), (10.0, 0.0)])
    assert np.allclose(curves.deepest(bay), (5.0, 3.0))
    assert np.allclose(curves.farthest(bay, (1, 0)), (10.0, 0.0))
    assert np.allclose(curves.centroid(np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (0.0, 2.0)])), (2.0, 1.0))


def test_a_warp_takes_its_points_to_their_places_and_is_smooth_between() -> None:
    rng = np.random.default_rng(1)
    source = rng.uniform(0, 100, (9, 2))
    target = source + rng.normal(0, 3, (9, 2))
    warp = Warp(source, target)
    assert np.allclose(warp(source), target, atol=1e-8)
    assert np.allclose(Warp(source, source)(target), target, atol=1e-8)
