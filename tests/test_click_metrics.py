"""Calibration and propagation, by hand and against what is known."""

import math

import numpy as np
import pytest

from landmarklabel.metrics import coverage, mahalanobis, propagation

LEVELS = (0.5, 0.68, 0.9, 0.95)


def test_mahalanobis_by_hand() -> None:
    """Along a long and a short axis, and turned by 45 degrees."""
    assert mahalanobis([[6, 0], [0, 6]], [0, 0], np.diag([9, 4])) == pytest.approx([2, 3])
    turned = np.array([[5.0, 3.0], [3.0, 5.0]])  # variances 8 along (1, 1), 2 along (1, -1)
    assert mahalanobis([[2, 2], [2, -2], [np.nan, 0]], [0, 0], turned) == pytest.approx([1, 2, np.nan], nan_ok=True)


def test_what_is_normal_covers_what_is_stated() -> None:
    rng = np.random.default_rng(0)
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    points = rng.multivariate_normal([3, -2], covariance, 20_000)
    assert coverage(mahalanobis(points, [3, -2], covariance), LEVELS) == pytest.approx([50, 68, 90, 95], abs=1)


def test_too_sure_and_not_sure_enough() -> None:
    """Deviations half as large as they are: the region of 90 % holds 1 - 0.1^(1/4); twice: 1 - 0.1^4."""
    points = np.random.default_rng(0).normal(size=(50_000, 2))
    for stated, held in ((0.25, 1 - 0.1**0.25), (4.0, 1 - 0.1**4)):
        assert coverage(mahalanobis(points, [0, 0], stated * np.eye(2)), [0.9]) == pytest.approx([100 * held], abs=1)


def test_coverage_counts_what_is_there() -> None:
    limit = math.sqrt(-2 * math.log(0.5))
    assert coverage([[limit * 0.99, limit * 1.01], [np.nan, 0.0]], [0.5]) == pytest.approx([100 * 2 / 3])
    assert math.isnan(coverage([np.nan], [0.5])[0])


# Landmarks in a row, 0.1 apart; two clicks on the first image, one on the second, after which all was placed.
POINTS = np.array([[[0.0, 0], [0.1, 0], [0.2, 0], [0.3, 0]]] * 2)
ERRORS = np.array(
    [
        [[10.0, 8, 6, 4], [0, 2, 5, 4], [0, 2, 0, 1]],
        [[np.nan, 20, np.nan, 10], [np.nan, 0, np.nan, 12], [np.nan, 0, np.nan, 12]],
    ]
)
CLICKED = np.array([[0, 2], [1, -1]])
EDGES = (0.0, 0.15, 0.25, math.inf)


def test_propagation_by_hand() -> None:
    near, middle, far = propagation(ERRORS, CLICKED, POINTS, EDGES)
    # 0.1 away: landmark 1 by the first click, 1 and 3 by the second; the second image's neighbours have no truth.
    assert (near.count, near.before, near.after) == (3, pytest.approx(14 / 3), pytest.approx(5 / 3))
    assert (near.mean_drop, near.median_drop) == (pytest.approx(3), pytest.approx(3))
    # 0.2 away: landmark 2 by the first click, and 3 of the second image, which became worse.
    assert (middle.count, middle.mean_drop) == (2, pytest.approx(-0.5))
    assert middle.percentage == pytest.approx(-100 * 0.5 / 8)
    # 0.3 away: landmark 3 by the first click. Landmark 0 was placed already when 2 was clicked.
    assert (far.count, far.before, far.mean_drop) == (1, 4, 0)


def test_propagation_of_the_first_click_alone() -> None:
    near, middle, far = propagation(ERRORS, CLICKED, POINTS, EDGES, slice(1))
    assert [reach.count for reach in (near, middle, far)] == [1, 2, 1]
    assert near.mean_drop == 6


def test_nothing_to_propagate_to() -> None:
    (reach,) = propagation(np.zeros((1, 2, 1)), np.array([[0]]), np.zeros((1, 1, 2)), (0, 1))
    assert reach.count == 0
    assert math.isnan(reach.mean_drop)
