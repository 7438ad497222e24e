"""Answers that bear each other's names: which there are, and that they count as uncertainty until a click decides."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.hypotheses import renamings, weighed
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.protocol import Protocol, load_protocol

SIZE, STRIDE = (240, 640), 4
NONE = np.empty(0, dtype=np.intp), np.empty((0, 2))


@pytest.fixture(scope="module")
def spine() -> Protocol:
    return load_protocol("spine_68")


def column(count: int, seed: int) -> NDArray[np.float64]:
    """(count, 68, 2): 17 boxes below each other, that begin anywhere within two of their heights."""
    rng = np.random.default_rng(seed)
    corners = np.array([[-20, 0], [20, 0], [-20, 22], [20, 22]], dtype=float)
    levels = np.arange(17)[:, None, None] * [0, 30] + corners
    start = rng.normal([120, 60], [4, 25], (count, 1, 1, 2))
    return (levels + start + rng.normal(0, 1, (count, 17, 4, 2))).reshape(count, 68, 2)


def test_every_vertebra_takes_the_place_of_its_neighbour(spine: Protocol) -> None:
    down, up = renamings(spine)[:2]
    points = column(1, 0)[0]
    np.testing.assert_allclose((down @ points)[:-4], points[4:])
    np.testing.assert_allclose((up @ points)[4:], points[:-4])
    np.testing.assert_allclose((down @ points)[-4:], 2 * points[-4:] - points[-8:-4])
    np.testing.assert_allclose((up @ points)[:4], 2 * points[:4] - points[4:8])


def test_left_and_right_are_exchanged_where_the_anatomy_has_both(triangle: Protocol, cephalometric: Protocol) -> None:
    (exchanged,) = renamings(triangle)
    np.testing.assert_array_equal(exchanged @ np.arange(3), [1, 0, 2])
    assert renamings(cephalometric).shape == (0, 19, 19)


def test_no_hypothesis_counts_more_than_the_answer() -> None:
    weights = weighed(torch.tensor([0.0, 7.0, -1.0]))
    assert weights[0] == weights[1] > weights[2]
    assert weights.sum() == pytest.approx(1)


def ambiguous(truth: NDArray[np.float64]) -> MapEvidence:
    """Maps with a peak at each landmark, and one a little higher at that of the next vertebra."""
    other = np.concatenate([truth[4:], truth[-4:] + np.array([0, 30])])
    y, x = np.mgrid[: SIZE[1] // STRIDE, : SIZE[0] // STRIDE]
    maps = [
        sum(h * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4) for (px, py), h in ((a, 0.8), (b, 0.85)))
        for a, b in zip((truth + 0.5) / STRIDE - 0.5, (other + 0.5) / STRIDE - 0.5, strict=True)
    ]
    offset = np.full(2, (STRIDE - 1) / 2)
    return MapEvidence.from_maps(torch.from_numpy(np.stack(maps)), np.full(2, float(STRIDE)), offset, 8.0, 0.1)


def test_a_shifted_level_is_allowed_for_and_one_click_decides(spine: Protocol) -> None:
    """The maps prefer the next vertebra, throughout: that it may be this one is stated, and a click moves them all."""
    prior = ShapePrior.fit(column(60, 0), np.array([SIZE] * 60)).in_pixels(SIZE)
    truth = column(1, 7)[0]
    truth += [120, 45] - truth[:4].mean(0) + [0, 11]  # as far above where spines usually begin as the other is below
    config = PosteriorConfig()
    plain = Posterior(prior, ambiguous(truth), config)
    posterior = Posterior(prior, ambiguous(truth), config, renamings(spine))
    known = posterior.given(*NONE)
    error = np.linalg.norm(known.mean - truth, axis=1)
    assert error.min() > 20
    up = np.sqrt(known.of_points()[:, 1, 1])
    assert (error < 3 * up).all()
    assert (error > 3 * np.sqrt(plain.given(*NONE).of_points()[:, 1, 1])).all()
    first = by_gain(known)[:1]
    after = posterior.given(first, truth[first])
    assert np.linalg.norm(after.mean - truth, axis=1).max() < 6
