"""Prior and heat maps together: each mends what the other gets wrong, and a click stays where it was put."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from outlines import SIZE, manual_revision, outlines

from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.interaction.simulation import Reader, at_random, simulate
from landmarklabel.metrics import radial_errors

STRIDE = 4
NONE = np.empty(0, dtype=np.intp), np.empty((0, 2))


def maps_of(points: NDArray[np.float64], wrong: dict[int, tuple[float, float]]) -> torch.Tensor:
    """Heat maps (K, H, W) at a quarter of the image: a bump at each point, a higher one elsewhere where it is wrong."""
    y, x = np.mgrid[: SIZE[1] // STRIDE, : SIZE[0] // STRIDE]
    maps = []
    for index, point in enumerate(points):
        peaks = [(point, 0.8)] + ([(np.array(wrong[index]), 1.0)] if index in wrong else [])
        centres = [((peak + 0.5) / STRIDE - 0.5, height) for peak, height in peaks]
        maps.append(sum(h * np.exp(-((x - c[0]) ** 2 + (y - c[1]) ** 2) / 8) for c, h in centres))
    return torch.from_numpy(np.stack(maps))


def posterior_of(prior: ShapePrior, maps: torch.Tensor) -> Posterior:
    offset = np.full(2, (STRIDE - 1) / 2)
    evidence = MapEvidence.from_maps(maps, np.full(2, float(STRIDE)), offset, sharpness=8.0, floor=0.1)
    return Posterior(prior.in_pixels(SIZE), evidence)


@pytest.fixture(scope="module")
def prior() -> ShapePrior:
    shapes = outlines(60, 0)
    return ShapePrior.fit(shapes, np.array([SIZE] * len(shapes)))


def error(points: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points - truth, axis=1))


def test_sharp_maps_are_believed(prior: ShapePrior) -> None:
    for truth in outlines(5, 1):
        known = posterior_of(prior, maps_of(truth, {})).given(*NONE)
        assert error(known.mean, truth).max() < STRIDE / 2


def test_the_prior_finds_the_right_one_of_two_peaks(prior: ShapePrior) -> None:
    """Three maps of 16 have a higher peak elsewhere."""
    for truth in outlines(5, 1):
        wrong = {2: tuple(truth[10]), 7: (20.0, 20.0), 12: tuple(truth[3])}
        known = posterior_of(prior, maps_of(truth, wrong)).given(*NONE)
        assert error(known.mean, truth).max() < 2 * STRIDE


def test_a_click_mends_what_is_near(prior: ShapePrior) -> None:
    """Half of the maps are shifted to the next landmark: one click is worth more than one landmark."""
    for truth in outlines(5, 1):
        shifted = truth.copy()
        shifted[:8] = truth[1:9]
        posterior = posterior_of(prior, maps_of(shifted, {}))
        before = posterior.given(*NONE).mean
        after = posterior.given(np.array([3]), truth[[3]]).mean
        mended = error(before, truth) - error(after, truth)
        assert mended.sum() > 1.15 * mended[3] > 10


def test_what_was_placed_stays(prior: ShapePrior) -> None:
    """To the last digit that a covariance can hold, wherever it was put."""
    truth = outlines(1, 1)[0]
    posterior = posterior_of(prior, maps_of(truth, {}))
    placed = np.array([0, 9])
    points = truth[placed] + [[60.0, -40.0], [3.0, 5.0]]
    np.testing.assert_allclose(posterior.given(placed, points).mean[placed], points, atol=1e-6)


def test_all_placed_and_none_placed(prior: ShapePrior) -> None:
    truth = outlines(1, 1)[0]
    posterior = posterior_of(prior, maps_of(truth, {}))
    np.testing.assert_allclose(posterior.given(np.arange(16), truth).mean, truth, atol=1e-6)
    assert np.linalg.eigvalsh(posterior.given(*NONE).of_points()).min() > 0


def test_without_a_network_it_is_the_prior(prior: ShapePrior) -> None:
    truth = outlines(1, 1)[0]
    gaussian = prior.in_pixels(SIZE)
    known = Posterior(gaussian).given(np.array([3]), truth[[3]], 0.5)
    np.testing.assert_array_equal(known.mean, gaussian.observe([3], truth[[3]], 0.5).mean)


def test_a_simulated_reader_does_better_than_by_hand(prior: ShapePrior) -> None:
    """Twelve landmarks hardly seen: after three clicks less than a third of the error of a manual revision is left."""
    rng, curves, manual = np.random.default_rng(0), [], []
    for truth in outlines(8, 1):
        maps = maps_of(truth, {})
        maps[4:] *= 0.01
        errors = radial_errors(simulate(posterior_of(prior, maps), truth, 3, Reader(), rng).points, truth)
        curves.append(errors.mean(1))
        manual.append(manual_revision(errors[0], 3))
    assert np.mean(curves, axis=0)[3] < np.mean(manual, axis=0)[3] / 3


def test_a_simulated_reader_leaves_out_what_has_no_truth(prior: ShapePrior) -> None:
    truth = outlines(1, 1)[0]
    truth[3:] = np.nan
    reader = Reader(at_random, noise=0.5)
    revision = simulate(Posterior(prior.in_pixels(SIZE)), truth, 5, reader, np.random.default_rng(0))
    assert sorted(revision.clicked) == [-1, -1, 0, 1, 2]
    errors = radial_errors(revision.points, truth)
    assert np.isnan(errors[:, 3:]).all()
    assert errors[5, :3].max() < 3


def test_maps_that_say_little_give_way_to_what_was_placed(prior: ShapePrior) -> None:
    """All maps are wrong alike, and not sure: a shift, such as a network of few labels makes."""
    truth = outlines(1, 1)[0]
    sure = posterior_of(prior, maps_of(truth + 12.0, {}))
    assert sure.evidence is not None
    unsure = replace(sure, evidence=sure.evidence.faded(5 / float(sure.evidence.weights.max())))
    alone, placed = Posterior(prior.in_pixels(SIZE)), np.arange(0, len(truth), 2)
    rest = np.setdiff1d(np.arange(len(truth)), placed)

    def wrong(posterior: Posterior) -> float:
        return float(error(posterior.given(placed, truth[placed]).mean, truth)[rest].mean())

    steady = replace(unsure, config=PosteriorConfig(fade=1.0))
    assert wrong(unsure) < 0.8 * wrong(steady)
    assert wrong(unsure) < 1.2 * wrong(alone)
