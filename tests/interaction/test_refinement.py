"""Answers to corrections: nothing that a person said is changed, and the order of review is the best next click."""

import numpy as np
import pytest

from landmarklabel.errors import LabelError
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.lowrank import LowRankGaussian
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refinement import by_gain, refine, within
from landmarklabel.landmarks import Status
from landmarklabel.protocol import Protocol


def some_posterior(seed: int = 0, count: int = 3) -> Posterior:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(2 * count, 2 * count))
    covariance = factor @ factor.T + 0.1 * np.eye(2 * count)
    return Posterior(LowRankGaussian.from_covariance(rng.uniform(10, 50, (count, 2)), covariance))


def test_what_was_placed_is_kept_to_the_last_digit(triangle: Protocol) -> None:
    point = np.array([31.123456789012345, 11.987654321098765])
    answer = refine(some_posterior(), triangle, {"top": point})
    assert answer.landmarks["top"].tolist() == point.tolist()
    assert answer.landmarks.status == (Status.PREDICTED, Status.PREDICTED, Status.CORRECTED)
    assert answer.landmarks.confidence[2] == 1
    assert set(answer.review_order) == {"left", "right"}


def test_the_others_follow(triangle: Protocol) -> None:
    posterior = some_posterior()
    still = refine(posterior, triangle, {})
    moved = refine(posterior, triangle, {"top": still.landmarks["top"] + [5, 0]})
    assert np.abs(moved.landmarks.points[:2] - still.landmarks.points[:2]).max() > 0.1


def test_missing_is_missing(triangle: Protocol) -> None:
    answer = refine(some_posterior(), triangle, {"top": np.array([20.0, 20.0])}, missing=["left"])
    assert answer.landmarks.status[0] is Status.MISSING
    assert np.isnan(answer.landmarks["left"]).all()
    assert answer.review_order == ("right",)


def test_all_and_none_placed(triangle: Protocol) -> None:
    points = {label: np.array([10.0 * index, 5.0]) for index, label in enumerate(triangle.labels)}
    everything = refine(some_posterior(), triangle, points)
    assert everything.review_order == ()
    assert everything.landmarks.points.tolist() == [[0, 5], [10, 5], [20, 5]]
    assert len(refine(some_posterior(), triangle, {}).review_order) == 3


def test_contradictions(triangle: Protocol) -> None:
    point = np.zeros(2)
    with pytest.raises(LabelError, match="top: both placed and missing"):
        refine(some_posterior(), triangle, {"top": point}, missing=["top"])
    with pytest.raises(LabelError, match="'F-1' is not a landmark of triangle"):
        refine(some_posterior(), triangle, {"F-1": point})
    # Two landmarks at one place, far from any shape: both stay.
    answer = refine(some_posterior(), triangle, {"top": point, "left": point})
    assert answer.landmarks["top"].tolist() == answer.landmarks["left"].tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_next_click_is_the_one_that_leaves_least(seed: int) -> None:
    """Each is tried: the variance of all landmarks that is left when it is known."""
    posterior = some_posterior(seed, count=7)
    prior = posterior.prior
    left = [np.trace(prior.observe([index], prior.mean[[index]]).covariance) for index in range(7)]
    known = posterior.given(np.empty(0, dtype=np.intp), np.empty((0, 2)))
    assert by_gain(known).tolist() == np.argsort(left).tolist()
    fall = float(np.trace(prior.covariance)) - np.array(left)
    np.testing.assert_allclose(known.gains(), fall, rtol=1e-4)


def test_confidence_is_a_probability() -> None:
    """Against samples, for a landmark whose two variances are equal."""
    known = Belief.independent(np.zeros((1, 2)), 4 * np.eye(2)[None])
    samples = np.random.default_rng(0).multivariate_normal([0, 0], 4 * np.eye(2), 200_000)
    for tolerance in (1.0, 3.0):
        share = np.mean(np.linalg.norm(samples, axis=1) <= tolerance)
        assert within(known, tolerance)[0] == pytest.approx(share, abs=0.005)
