"""Observing points under a normal distribution: against the textbook's formula, and exact where it must be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from textbook import conditioned

from landmarklabel.interaction.lowrank import LowRankGaussian

Array = NDArray[np.float64]


def some_moments(seed: int, count: int = 6) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(2 * count, 2 * count))
    return rng.normal(size=(count, 2)) * 5, factor @ factor.T + 0.1 * np.eye(2 * count)


def some_gaussian(seed: int, count: int = 6) -> LowRankGaussian:
    return LowRankGaussian.from_covariance(*some_moments(seed, count))


def test_with_enough_latent_variables_the_covariance_is_kept() -> None:
    mean, covariance = some_moments(0)
    kept = LowRankGaussian.from_covariance(mean, covariance)
    np.testing.assert_array_equal(kept.mean, mean)
    np.testing.assert_allclose(kept.covariance, covariance, atol=1e-4 * np.abs(covariance).max())
    np.testing.assert_allclose(kept.of_points()[4], covariance[8:10, 8:10])


def test_with_few_each_point_keeps_its_own_covariance() -> None:
    mean, covariance = some_moments(1)
    few = LowRankGaussian.from_covariance(mean, covariance, most=3)
    assert few.factor.shape == (6, 2, 3)
    blocks = covariance.reshape(6, 2, 6, 2)
    np.testing.assert_allclose(few.of_points(), np.stack([blocks[k, :, k] for k in range(6)]), atol=1e-10)
    assert np.linalg.eigvalsh(few.covariance).min() > 0


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_an_observation_is_what_the_formula_says(seed: int, rank: int) -> None:
    before = LowRankGaussian.from_covariance(*some_moments(seed), most=rank)
    seen, points = np.array([4, 0, 2]), np.random.default_rng(seed).normal(size=(3, 2))
    noise = np.array([0.1, 0.5, 1.0])
    after = before.observe(seen, points, noise)
    mean, covariance = conditioned(before.mean.numpy(), before.covariance.numpy(), seen, points, noise)
    scale = np.abs(before.covariance.numpy()).max()
    np.testing.assert_allclose(after.mean.reshape(-1), mean, atol=1e-6 * scale)
    np.testing.assert_allclose(after.covariance, covariance, atol=1e-6 * scale)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_an_observation_without_noise_is_kept(seed: int, seen: int) -> None:
    before = some_gaussian(seed)
    points = np.random.default_rng(seed + 1).normal(size=(seen, 2))
    after = before.observe(np.arange(seen), points)
    np.testing.assert_allclose(after.mean[:seen], points, atol=1e-5)
    np.testing.assert_allclose(after.of_points()[:seen], 0, atol=1e-5)


@given(st.integers(0, 2**32))
def test_one_after_the_other_is_all_at_once(seed: int) -> None:
    before = some_gaussian(seed)
    points = np.random.default_rng(seed).normal(size=(3, 2))
    together = before.observe([4, 0, 2], points, [0.1, 0.5, 1.0])
    single = before.observe([4], points[:1], 0.1).observe([0], points[1:2], 0.5).observe([2], points[2:], 1.0)
    np.testing.assert_allclose(single.mean, together.mean, atol=1e-6)
    np.testing.assert_allclose(single.covariance, together.covariance, atol=1e-6)


def test_nothing_observed_changes_nothing() -> None:
    before = some_gaussian(0)
    after = before.observe([], np.empty((0, 2)))
    np.testing.assert_allclose(after.mean, before.mean)
    np.testing.assert_allclose(after.covariance, before.covariance)


def test_a_point_is_observed_once() -> None:
    with pytest.raises(ValueError, match=r"observed once, got \[1, 1\]"):
        some_gaussian(0).observe([1, 1], np.zeros((2, 2)))


def test_errors_that_differ_by_direction() -> None:
    """A direction in which nothing was seen changes nothing, whatever number stands there."""
    before = some_gaussian(5)
    precision = torch.zeros_like(before.own)
    precision[2, 1, 1] = 4.0
    moved = [before.mean.clone(), before.mean.clone()]
    moved[0][2], moved[1][2] = torch.tensor([1e3, 4.0]), torch.tensor([-7.0, 4.0])
    one, other = (before.conditioned(at, precision) for at in moved)
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-8)


def test_a_batch_is_each_by_itself() -> None:
    one, other = some_gaussian(1), some_gaussian(2)
    parts = ("mean", "factor", "own")
    both = LowRankGaussian(*(torch.stack([getattr(one, part), getattr(other, part)]) for part in parts))
    at, precision = torch.randn(2, 6, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64).repeat(2, 6, 1, 1)
    together = both.conditioned(at, precision)
    for index, single in enumerate((one, other)):
        alone = single.conditioned(at[index], precision[index])
        np.testing.assert_allclose(together[index].mean, alone.mean, atol=1e-10)
        np.testing.assert_allclose(together[index].covariance, alone.covariance, atol=1e-10)


def test_another_unit() -> None:
    gaussian = some_gaussian(2, 2)
    mapped = gaussian.mapped(3.0, [10, 20])
    np.testing.assert_allclose(mapped.mean, gaussian.mean.numpy() * 3 + [10, 20])
    np.testing.assert_allclose(mapped.covariance, gaussian.covariance * 9)
