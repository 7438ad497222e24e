"""How probable it is that a landmark is within a tolerance: beside formulas of others, and a million draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, f, ncx2

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.refinement import within
from landmarklabel.interaction.trust import normal_within, probability_within

NOWHERE = np.zeros((1, 2))


def one(mean: tuple[float, float], covariance: np.ndarray) -> Belief:
    return Belief.independent(np.array([mean]), np.asarray(covariance, dtype=np.float64)[None])


@given(st.floats(0.05, 20), st.floats(0, 5), st.floats(0, 2 * np.pi))
def test_alike_to_all_sides_it_is_the_noncentral_chi_square(deviation: float, offset: float, angle: float) -> None:
    mean = offset * np.array([[np.cos(angle), np.sin(angle)]])
    expected = ncx2.cdf(1 / deviation**2, 2, offset**2 / deviation**2)
    assert normal_within(mean, deviation**2 * np.eye(2)[None], 1.0)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_of_any_covariance_it_is_what_a_million_draws_say(seed: int) -> None:
    """Of t with 4 degrees of freedom, too, of which the region of 90 % holds as much as of the normal distribution."""
    rng = np.random.default_rng(seed)
    root, mean, tolerance = rng.normal(size=(2, 2)), rng.normal(size=2), rng.uniform(0.5, 4)
    normal = rng.normal(size=(1_000_000, 2)) @ root.T
    share = float((np.hypot(*(normal + mean).T) <= tolerance).mean())
    assert normal_within(mean[None], (root @ root.T)[None], tolerance)[0] == pytest.approx(share, abs=2e-3)
    narrowed = chi2.ppf(0.9, 2) / (2 * f.ppf(0.9, 2, 4))
    tailed = normal * np.sqrt(narrowed * 4 / rng.chisquare(4, (1_000_000, 1)))
    share = float((np.hypot(*(tailed + mean).T) <= tolerance).mean())
    assert probability_within(one(tuple(mean), root @ root.T), NOWHERE, tolerance)[0] == pytest.approx(share, abs=2e-3)


@given(st.floats(0.1, 30))
def test_alike_to_all_sides_and_at_the_mean_it_is_f(tolerance: float) -> None:
    """Up to levels at which somebody may want to trust."""
    narrowed = chi2.ppf(0.9, 2) / (2 * f.ppf(0.9, 2, 4))
    expected = f.cdf(tolerance**2 / narrowed / 2, 2, 4)
    assert probability_within(one((0, 0), np.eye(2)), NOWHERE, tolerance)[0] == pytest.approx(expected, abs=2e-3)


def test_where_regions_are_measured_it_is_the_confidence() -> None:
    known, tolerance = one((0, 0), 4 * np.eye(2)), 2 * np.sqrt(chi2.ppf(0.9, 2))
    assert within(known, tolerance)[0] == pytest.approx(0.9)
    assert probability_within(known, NOWHERE, tolerance)[0] == pytest.approx(0.9, abs=1e-4)


def test_what_has_no_width_is_sure_one_way_or_the_other() -> None:
    known = Belief.independent(np.array([[0.0, 0.5], [0.0, 1.5]]), np.zeros((2, 2, 2)))
    assert probability_within(known, np.zeros((2, 2)), 1.0).tolist() == pytest.approx([1.0, 0.0])
    assert normal_within(NOWHERE, np.diag([0.0, 1.0])[None], 1.0)[0] == pytest.approx(0.6827, abs=1e-4)


def test_nothing_is_said_of_what_has_no_place() -> None:
    known = Belief.independent(np.zeros((2, 2)), np.stack([np.eye(2)] * 2))
    found = probability_within(known, [[0.0, 0.0], [np.nan, np.nan]], 1.0)
    assert np.isfinite(found).tolist() == [True, False]
