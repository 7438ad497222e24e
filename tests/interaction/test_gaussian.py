"""Observing points under a normal distribution: exact where it must be, and consistent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from landmarklabel.interaction.gaussian import Gaussian, coordinates


def some_gaussian(seed: int, count: int = 6) -> Gaussian:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(2 * count, 2 * count))
    return Gaussian(rng.normal(size=(count, 2)) * 5, factor @ factor.T + 0.1 * np.eye(2 * count))


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_an_observation_without_noise_is_kept(seed: int, seen: int) -> None:
    before = some_gaussian(seed)
    points = np.random.default_rng(seed + 1).normal(size=(seen, 2))
    after = before.observe(np.arange(seen), points)
    np.testing.assert_allclose(after.mean[:seen], points, atol=1e-6)
    np.testing.assert_allclose(after.of_points()[:seen], 0, atol=1e-6)


@given(st.integers(0, 2**32))
def test_one_after_the_other_is_all_at_once(seed: int) -> None:
    before = some_gaussian(seed)
    points = np.random.default_rng(seed).normal(size=(3, 2))
    together = before.observe([4, 0, 2], points, [0.1, 0.5, 1.0])
    single = before.observe([4], points[:1], 0.1).observe([0], points[1:2], 0.5).observe([2], points[2:], 1.0)
    np.testing.assert_allclose(single.mean, together.mean, atol=1e-6)
    np.testing.assert_allclose(single.covariance, together.covariance, atol=1e-6)


def test_the_mean_and_covariance_are_bayes_rule() -> None:
    """Against the density itself: prior times likelihood, on a line through the posterior mean."""
    before, seen, noise = some_gaussian(3, 2), np.array([[1.0, 2.0]]), 0.7
    after = before.observe([1], seen, noise)
    at = np.random.default_rng(0).normal(size=(5, 4)) + after.mean.reshape(-1)
    prior = multivariate_normal(before.mean.reshape(-1), before.covariance).logpdf(at)
    likelihood = multivariate_normal(seen[0], noise**2 * np.eye(2)).logpdf(at[:, 2:])
    posterior = multivariate_normal(after.mean.reshape(-1), after.covariance).logpdf(at)
    np.testing.assert_allclose(np.ptp(prior + likelihood - posterior), 0, atol=1e-8)


def test_nothing_observed_changes_nothing() -> None:
    before = some_gaussian(0)
    assert before.observe([], np.empty((0, 2))) is before


def test_a_point_is_observed_once() -> None:
    with pytest.raises(ValueError, match=r"observed once, got \[1, 1\]"):
        some_gaussian(0).observe([1, 1], np.zeros((2, 2)))


def test_covariance_of_each_point() -> None:
    gaussian = some_gaussian(1)
    rows = coordinates(np.array([4]))
    np.testing.assert_array_equal(gaussian.of_points()[4], gaussian.covariance[np.ix_(rows, rows)])


def test_another_unit() -> None:
    gaussian = some_gaussian(2, 2)
    mapped = gaussian.mapped([2, 3], [10, 20])
    np.testing.assert_allclose(mapped.mean, gaussian.mean * [2, 3] + [10, 20])
    np.testing.assert_allclose(mapped.of_points()[1], gaussian.of_points()[1] * [[4, 6], [6, 9]])


def test_errors_that_differ_by_direction() -> None:
    """A standard deviation is the same as its covariance; a direction without information changes nothing in it."""
    before, seen = some_gaussian(5), np.array([[3.0, 4.0]])
    same = before.observe([2], seen, np.eye(2)[None] * 0.49)
    np.testing.assert_allclose(same.mean, before.observe([2], seen, 0.7).mean)
    blind = before.observe([2], seen, np.array([[[1e12, 0], [0, 0.49]]]))
    only_y = Gaussian(before.mean, before.covariance).observe([2], [[before.mean[2, 0], 4.0]], [[[1e12, 0], [0, 0.49]]])
    np.testing.assert_allclose(blind.mean, only_y.mean, atol=1e-5)


@given(st.integers(0, 2**32))
def test_points_by_themselves_are_replaced(seed: int) -> None:
    before, other = some_gaussian(seed), some_gaussian(seed + 1)
    indices = np.array([1, 4])
    after = before.with_points(indices, other.mean[indices], other.of_points()[indices])
    np.testing.assert_allclose(after.mean[indices], other.mean[indices])
    np.testing.assert_allclose(after.of_points()[indices], other.of_points()[indices], atol=1e-6)
    np.testing.assert_allclose(after.of_points()[[0, 2, 3, 5]], before.of_points()[[0, 2, 3, 5]])
    assert np.linalg.eigvalsh(after.covariance).min() > 0
