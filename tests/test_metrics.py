"""Metrics against the papers' formulas and independent computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from landmarklabel.metrics import (
    failure_rate,
    mse_fraction,
    number_of_clicks,
    pearson_rho,
    radial_errors,
    success_rate,
    summarize,
)

PREDICTED = np.array([[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [np.nan, np.nan]]])
TRUE = np.array([[[0.0, 2.0], [0.0, 0.0]], [[1.0, 1.0], [5.0, 5.0]]])


def test_radial_errors_in_mm() -> None:
    errors = radial_errors(PREDICTED, TRUE, np.array([[0.1, 0.5], [1.0, 1.0]]))
    assert errors == pytest.approx(np.array([[1.0, np.hypot(0.3, 2.0)], [0.0, np.nan]]), nan_ok=True)


@given(st.integers(0, 10_000))
def test_summary_against_an_independent_computation(seed: int) -> None:
    errors = np.random.default_rng(seed).gamma(2.0, 1.0, (7, 5))
    errors[2, 3] = np.nan
    values = [e for row in errors.tolist() for e in row if e == e]
    summary = summarize(errors, [1.0, 2.0])
    mean = sum(values) / len(values)
    assert summary.count == 34
    assert summary.mre == pytest.approx(mean)
    assert summary.std == pytest.approx((sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5)
    assert summary.sdr[2.0] == pytest.approx(100 * sum(v < 2 for v in values) / len(values))


def test_an_error_of_exactly_the_radius_is_no_success() -> None:
    assert success_rate([1.9, 2.0, 2.1], 2.0) == pytest.approx(100 / 3)


def test_nothing_to_count() -> None:
    summary = summarize(np.full(3, np.nan), [2.0])
    assert summary.count == 0
    assert np.isnan(summary.mre)
    assert np.isnan(summary.sdr[2.0])


def test_mse_as_a_fraction_of_the_image() -> None:
    """Errors of 10 pixels in x on a width of 100, of 20 in y on a height of 400: (0.1^2 + 0.05^2) / 2."""
    true = np.array([[[10.0, 20.0]]])
    assert mse_fraction(true + np.array([10, 20]), true, [[100, 400]]) == pytest.approx((0.1**2 + 0.05**2) / 2)


@given(st.integers(0, 10_000))
def test_pearson_against_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 100, (4, 6, 2))
    predicted = true + rng.normal(0, 5, true.shape)
    sizes = rng.uniform(100, 300, (4, 2))
    flat = [(values / sizes[:, None]).ravel() for values in (predicted, true)]
    assert pearson_rho(predicted, true, sizes) == pytest.approx(stats.pearsonr(*flat)[0])


CURVES = np.array([[50.0, 30.0, 19.0, 21.0], [15.0, 9.0, 8.0, 7.0], [90.0, 80.0, 70.0, 60.0], [50.0, 40.0, 30.0, 20.0]])


def test_number_of_clicks_and_failure_rate() -> None:
    """By hand: two clicks, none, never (all three), three; the target itself counts as reached."""
    assert number_of_clicks(CURVES, 20).tolist() == [2, 0, 3, 3]
    assert failure_rate(CURVES, 20) == 25
    assert failure_rate(CURVES, 5) == 100
