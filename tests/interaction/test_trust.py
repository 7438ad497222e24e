"""How probable it is that a landmark is within a tolerance: beside formulas of others, and a million draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ncx2

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.refinement import within
from landmarklabel.interaction.trust import probability_within

NOWHERE = np.zeros((1, 2))


def one(mean: tuple[float, float], covariance: np.ndarray) -> Belief:
    return Belief.independent(np.array([mean]), np.asarray(covariance, dtype=np.float64)[None])


@given(st.floats(0.05, 20), st.floats(0, 5), st.floats(0, 2 * np.pi))
def test_alike_to_all_sides_it_is_the_noncentral_chi_square(deviation: float, offset: float, angle: float) -> None:
    known = one((offset * np.cos(angle), offset * np.sin(angle)), deviation**2 * np.eye(2))
    expected = ncx2.cdf(1 / deviation**2, 2, offset**2 / deviation**2)
    assert probability_within(known, NOWHERE, 1.0)[0] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_of_any_covariance_it_is_what_a_million_draws_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root, mean, tolerance = rng.normal(size=(2, 2)), rng.normal(size=2), rng.uniform(0.5, 4)
    draws = rng.normal(size=(1_000_000, 2)) @ root.T + mean
    share = float((np.hypot(*draws.T) <= tolerance).mean())
    assert probability_within(one(tuple(mean), root @ root.T), NOWHERE, tolerance)[0] == pytest.approx(share, abs=2e-3)


def test_at_the_mean_and_alike_it_is_the_confidence() -> None:
    known = one((0, 0), 4 * np.eye(2))
    assert probability_within(known, NOWHERE, 3.0)[0] == pytest.approx(within(known, 3.0)[0], abs=1e-6)


def test_what_has_no_width_is_sure_one_way_or_the_other() -> None:
    known = Belief.independent(np.array([[0.0, 0.5], [0.0, 1.5]]), np.zeros((2, 2, 2)))
    assert probability_within(known, np.zeros((2, 2)), 1.0).tolist() == pytest.approx([1.0, 0.0])
    line = one((0.0, 0.0), np.diag([0.0, 1.0]))
    assert probability_within(line, NOWHERE, 1.0)[0] == pytest.approx(0.6827, abs=1e-4)


def test_nothing_is_said_of_what_has_no_place() -> None:
    known = Belief.independent(np.zeros((2, 2)), np.stack([np.eye(2)] * 2))
    found = probability_within(known, [[0.0, 0.0], [np.nan, np.nan]], 1.0)
    assert np.isfinite(found).tolist() == [True, False]
