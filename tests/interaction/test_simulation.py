"""Simulated readers: whom they ask, what they place, when they stop."""

import numpy as np
import pytest
from outlines import LANDMARKS, SIZE, manual_revision, outlines

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refiners import Unmoved
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.interaction.simulation import Reader, as_asked, at_random, simulate, worst_first
from landmarklabel.metrics import radial_errors


def each(variances: np.ndarray) -> np.ndarray:
    """(K, 2, 2), alike in both directions."""
    return np.asarray(variances, dtype=np.float64)[:, None, None] * np.eye(2)


def scattered(count: int, seed: int = 0) -> tuple[Unmoved, np.ndarray]:
    """A prediction whose errors and stated variances are all different, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (count, 2))
    first = Belief.independent(truth + rng.normal(0, 5, (count, 2)), each(rng.uniform(1, 50, count)))
    return Unmoved(first), truth


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    return Posterior(ShapePrior.fit(outlines(30, 0), np.full((30, 2), SIZE)).in_pixels(SIZE))


@pytest.mark.parametrize("order", [worst_first, as_asked, at_random])
def test_nothing_is_clicked_twice_and_all_ends_when_all_is_placed(posterior: Posterior, order) -> None:
    truth = outlines(1, 1)[0]
    truth[4] = np.nan
    revision = simulate(posterior, truth, 20, Reader(order, noise=1), np.random.default_rng(0))
    placed = LANDMARKS - 1
    assert sorted(revision.clicked[:placed]) == [*range(4), *range(5, LANDMARKS)]
    assert (revision.clicked[placed:] == -1).all()
    assert revision.points.shape == (21, LANDMARKS, 2)
    assert (revision.points[placed:] == revision.points[placed]).all()
    assert np.isfinite(revision.seconds[: placed + 1]).all()
    assert np.isnan(revision.seconds[placed + 1 :]).all()


def test_clicks_are_off_by_the_stated_deviation_and_stay() -> None:
    refiner, truth = scattered(600)
    revision = simulate(refiner, truth, 600, Reader(at_random, noise=3), np.random.default_rng(0))
    offsets = revision.points[-1] - truth
    assert offsets.std() == pytest.approx(3, rel=0.05)
    assert abs(offsets.mean()) < 0.3
    first = revision.clicked[0]
    assert (revision.points[1:, first] == revision.points[1, first]).all()


def test_clicks_are_off_as_far_in_millimetres_along_both_axes() -> None:
    """By 3 mm, of pixels that are 0.5 mm wide and 2 mm high; in pixels of 1 mm by 3 pixels."""
    refiner, truth = scattered(600)
    for spacing, deviations in (((0.5, 2.0), (6, 1.5)), ((1.0, 1.0), (3, 3))):
        revision = simulate(refiner, truth, 600, Reader(at_random, noise=3), np.random.default_rng(0), spacing)
        assert (revision.points[-1] - truth).std(axis=0) == pytest.approx(deviations, rel=0.1)


def test_what_was_placed_is_shown_where_it_was_put(posterior: Posterior) -> None:
    """Also where the posterior, which knows the reader's noise, would put it elsewhere."""
    truth = outlines(1, 1)[0]
    revision = simulate(posterior, truth, 1, Reader(noise=20), np.random.default_rng(3))
    chosen, rng = revision.clicked[0], np.random.default_rng(3)
    put = truth[chosen] + rng.normal(0, 20, 2)
    np.testing.assert_array_equal(revision.points[1, chosen], put)
    assert np.abs(posterior.given(revision.clicked, put[None], 20).mean[chosen] - put).max() > 1


def test_the_same_seed_gives_the_same(posterior: Posterior) -> None:
    truth, reader = outlines(1, 1)[0], Reader(at_random, noise=2)
    one, two, other = (simulate(posterior, truth, 5, reader, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.clicked, two.clicked)
    assert (one.points != other.points).any()


def test_revising_what_does_not_move_is_manual_revision() -> None:
    refiner, truth = scattered(12)
    revision = simulate(refiner, truth, 8, Reader(), np.random.default_rng(0))
    errors = radial_errors(revision.points, truth)
    assert errors.mean(1) == pytest.approx(manual_revision(errors[0], 8))


def test_the_worst_is_the_worst_in_millimetres() -> None:
    """Off by 3 pixels of 1 mm, and by 2 pixels of 2 mm."""
    truth = np.zeros((2, 2))
    refiner = Unmoved(Belief.independent(np.array([[3.0, 0.0], [0.0, 2.0]]), each(np.ones(2))))
    orders = [simulate(refiner, truth, 2, Reader(), np.random.default_rng(0), s).clicked for s in ((1, 1), (1, 2))]
    assert [order.tolist() for order in orders] == [[0, 1], [1, 0]]


def test_the_tool_asks_for_what_it_is_least_sure_of() -> None:
    """Where landmarks say nothing of each other, that is what a click is worth."""
    refiner, truth = scattered(12)
    revision = simulate(refiner, truth, 12, Reader(as_asked), np.random.default_rng(0))
    spread = np.trace(refiner.first.of_points(), axis1=1, axis2=2)
    assert revision.clicked.tolist() == np.argsort(-spread).tolist()


def test_deviations_are_of_what_was_not_placed() -> None:
    """In units of the stated deviation: off by 6 with one of 3 is 2; of a landmark that is placed nothing is asked."""
    truth = np.array([[0.0, 0.0], [10.0, 10.0], [np.nan, np.nan]])
    first = Belief.independent(np.array([[6.0, 0.0], [10.0, 15.0], [1.0, 1.0]]), each([9.0, 25, 1]))
    revision = simulate(Unmoved(first), truth, 2, Reader(), np.random.default_rng(0))
    np.testing.assert_allclose(revision.deviations, [[2, 1, np.nan], [np.nan, 1, np.nan], [np.nan] * 3])
