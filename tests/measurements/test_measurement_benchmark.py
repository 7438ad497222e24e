"""What benchmarks/measurements.py computes of angles and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from measured.clicked import outside
from measured.spines import as_given, smape

from landmarklabel.measurements.cobb import Curves


def test_smape_is_that_of_the_challenge():
    """Of each image differences over sums, then the mean: (2 + 0 + 1) / (21 + 20 + 9) and 0."""
    angles = np.array([[10.0, 10, 5], [30, 20, 10]])
    truth = np.array([[11.0, 10, 4], [30, 20, 10]])
    assert smape(angles, truth) == pytest.approx(100 * (2 / 50) / 2, abs=1e-3)


def test_angles_are_given_from_the_major_curve_upwards():
    angles, none = np.array([[1.0, 3, 2], [1, 2, 3]]), np.zeros((2, 3), dtype=np.intp)
    found = as_given(Curves(angles, none, none, np.array([1, 2])))
    assert found.tolist() == [[3, 1, 2], [3, 2, 1]]


def test_rates_off_by_more_than_five_points_are_named():
    rows = {"SNA": {"clicks_0": {"in_68": 0.62, "in_95": 0.93}}, "SNB": {"clicks_0": {"in_68": None, "in_95": None}}}
    assert outside(rows) == ["SNA, clicks_0: 68 % holds 62 %"]
