"""The shape prior: what a few labels say about all landmarks."""

import numpy as np
import pytest
from numpy.typing import NDArray
from outlines import SIZE, outlines
from scipy.stats import chi2
from textbook import conditioned

from landmarklabel.errors import LabelError
from landmarklabel.interaction.gaussian import coordinates
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior, _expected
from landmarklabel.io.dataset import read_dataset
from landmarklabel.resources import resource


def fitted(shapes: NDArray[np.float64]) -> ShapePrior:
    return ShapePrior.fit(shapes, np.array([SIZE] * len(shapes)))


def error_after(prior: ShapePrior, truth: NDArray[np.float64], clicks: int, size: tuple[int, int] = SIZE) -> float:
    """Mean error over shapes after the worst landmark was corrected so many times, in pixels."""
    errors = []
    for points in truth:
        before, clicked = prior.in_pixels(size), list[int]()
        for _ in range(clicks):
            distance = np.linalg.norm(before.observe(clicked, points[clicked], 0.1).mean - points, axis=1)
            distance[clicked] = -1
            clicked.append(int(distance.argmax()))
        errors.append(np.linalg.norm(before.observe(clicked, points[clicked], 0.1).mean - points, axis=1).mean())
    return float(np.mean(errors))


@pytest.mark.parametrize(("labels", "factor"), [(5, 2.5), (12, 3), (200, 5)])
def test_three_points_place_all_others(labels: int, factor: float) -> None:
    """From the first handful of labels on, and better with more."""
    truth = outlines(30, 1)
    prior = fitted(outlines(labels, 0))
    assert error_after(prior, truth, 3) < error_after(prior, truth, 0) / factor


def test_many_labels_give_the_covariance_that_made_them() -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(8, 8)) * 6
    true_covariance, mean = factor @ factor.T, rng.uniform(100, 300, (4, 2))
    shapes = rng.multivariate_normal(mean.reshape(-1), true_covariance, 4000).reshape(-1, 4, 2)
    learned = fitted(shapes).in_pixels(SIZE)
    np.testing.assert_allclose(learned.mean, mean, atol=1.0)
    assert np.abs(learned.covariance - true_covariance).max() < 0.06 * np.abs(true_covariance).max()


def test_absent_landmarks_cost_little() -> None:
    """A third of the labels lack the first half, and any landmark may be absent."""
    shapes, truth, rng = outlines(30, 0), outlines(30, 1), np.random.default_rng(2)
    holes = shapes.copy()
    holes[rng.random(holes.shape[:2]) < 0.1] = np.nan
    holes[::3, :8] = np.nan
    assert error_after(fitted(holes), truth, 3) < 1.3 * error_after(fitted(shapes), truth, 3)


def test_wrong_labels_cost_little() -> None:
    """Three of 30 have their landmarks mixed up."""
    shapes, truth, rng = outlines(30, 0), outlines(30, 1), np.random.default_rng(2)
    wrong = shapes.copy()
    for index in range(3):
        wrong[index] = wrong[index, rng.permutation(16)]
    assert error_after(fitted(wrong), truth, 3) < 1.3 * error_after(fitted(shapes), truth, 3)


def test_a_landmark_that_no_label_has_is_not_known() -> None:
    shapes = outlines(8, 0)
    shapes[:, 5] = np.nan
    prior = fitted(shapes)
    assert prior.known.tolist() == [index != 5 for index in range(16)]
    anywhere = prior.in_pixels(SIZE)
    np.testing.assert_allclose(anywhere.of_points()[5], max(SIZE) ** 2 * np.eye(2))
    moved = anywhere.observe([0], anywhere.mean[[0]] + 50)
    np.testing.assert_allclose(moved.mean[5], anywhere.mean[5])
    assert np.abs(moved.mean - anywhere.mean)[6:].min() > 1


def test_a_label_without_landmarks_changes_nothing() -> None:
    shapes = outlines(8, 0)
    empty = np.full_like(shapes[:1], np.nan)
    with_it, without = fitted(np.concatenate([shapes, empty])), fitted(shapes)
    np.testing.assert_allclose(with_it.distribution.covariance, without.distribution.covariance)


def test_landmarks_that_no_two_labels_have_are_no_shape() -> None:
    shapes = np.where(np.eye(6, 16, dtype=bool)[..., None], outlines(6, 0), np.nan)
    with pytest.raises(LabelError, match="landmarks that two labels have or more, and there is none"):
        fitted(shapes)


def test_absent_landmarks_are_expected_as_by_conditioning() -> None:
    """The EM step, beside the plain way: condition on what is placed, one label at a time."""
    current = fitted(outlines(20, 0)).distribution
    shapes = (outlines(6, 1) - (np.array(SIZE) - 1) / 2) / max(SIZE)
    holes = shapes.copy()
    holes[::2, 3:7], holes[1, 0] = np.nan, np.nan
    found = _expected(holes, current)
    uncertainty = np.zeros_like(current.covariance)
    for points, completed, weight in zip(holes, found.completed, found.weights, strict=True):
        placed = np.flatnonzero(np.isfinite(points).all(1))
        mean, covariance = conditioned(current.mean, current.covariance, placed, points[placed])
        np.testing.assert_allclose(completed.reshape(-1), mean, atol=1e-9)
        uncertainty += weight * covariance
        marginal = current.covariance[np.ix_(coordinates(placed), coordinates(placed))]
        surprise = (points - current.mean)[placed].reshape(-1)
        distance = surprise @ np.linalg.solve(marginal, surprise)
        assert weight == pytest.approx(min(1, chi2.ppf(0.99, 2 * len(placed)) / distance) ** 2)
    np.testing.assert_allclose(found.uncertainty, uncertainty, atol=1e-10)


def test_few_labels_are_no_overconfidence() -> None:
    """The truth is no farther from the mean than the covariance says, of a dense outline too."""
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    rng, base = np.random.default_rng(0), np.stack([200 + 100 * np.cos(angle), 250 + 150 * np.sin(angle)], 1)
    waves = np.stack([np.cos(order * angle) / order for order in range(1, 8)])  # (7, 100)
    shapes = base + np.einsum("naw,wk->nka", rng.normal(0, 15, (40, 2, 7)), waves) + rng.normal(0, 2, (40, 100, 2))
    learned = fitted(shapes[:8]).in_pixels(SIZE)
    surprise = (shapes[8:] - learned.mean.numpy()).reshape(32, -1)
    distance = (surprise * np.linalg.solve(learned.covariance, surprise.T).T).sum(1).mean() / 200
    assert 0.1 < distance < 1.5


def test_it_moves_with_the_images_size() -> None:
    """The same anatomy at twice the resolution: twice the pixels, half a pixel's shift kept."""
    shapes = outlines(8, 0)
    prior = fitted(shapes)
    small, large = prior.in_pixels(SIZE), prior.in_pixels((800, 1000))
    np.testing.assert_allclose(large.mean, 2 * (small.mean + 0.5) - 0.5)
    np.testing.assert_allclose(large.covariance, 4 * small.covariance)


def test_identical_labels_are_no_certainty() -> None:
    prior = fitted(np.repeat(outlines(1, 0), 6, axis=0))
    assert np.linalg.eigvalsh(prior.in_pixels(SIZE).covariance).min() > 0


def test_fewer_labels_than_needed_is_said() -> None:
    with pytest.raises(LabelError, match=f"learned from {FEWEST_LABELS} labels or more, and there are 2"):
        fitted(outlines(2, 0))


@pytest.mark.parametrize("protocol", ["cephalometric_19", "spine_68", "chest_166"])
def test_every_anatomy(protocol: str) -> None:
    """From 12 labels, four points halve the error of patients who are not among them, at least."""
    cases = read_dataset(f"studies:{resource('sample_data') / protocol}", protocol).labelled()
    points, sizes = np.stack([case.points for case in cases]), np.array([case.radiograph().size for case in cases])
    prior = ShapePrior.fit(points[:12], sizes[:12])
    size = tuple(sizes[0])
    assert error_after(prior, points[12:], 4, size) < error_after(prior, points[12:], 0, size) / 2


# From the first label on -------------------------------------------------------------------------------------


def test_one_label_is_the_mean_shape_and_what_is_placed_moves_it() -> None:
    """In an image of another size, too: the one label is at the same place of it, and all goes where one goes."""
    label = np.array([[[10.0, 20.0], [40.0, 30.0], [70.0, 60.0]]])
    prior = ShapePrior.of_few(label, np.array([[101, 81]]))
    assert prior.in_pixels((101, 81)).mean.numpy() == pytest.approx(label[0])
    twice = prior.in_pixels((202, 162))
    assert twice.mean.numpy() == pytest.approx(2 * label[0] + 0.5)
    moved = twice.observe([1], twice.mean[[1]].numpy() + np.array([10, 0])).mean - twice.mean
    assert (moved[:, 0].numpy() > 3).all()
    assert np.abs(moved[:, 1].numpy()).max() < 1e-6


def test_more_labels_make_the_first_ones_surer() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([[10.0, 20.0], [40.0, 30.0], [70.0, 60.0]]) + rng.normal(0, 2, (4, 3, 2))
    sizes = np.full((4, 2), 100)
    wide = [np.trace(ShapePrior.of_few(labels[:n], sizes[:n]).in_pixels((100, 100)).covariance) for n in (1, 2, 4)]
    assert wide[0] > wide[1] > wide[2]


def test_a_landmark_that_no_label_has_is_unknown() -> None:
    label = np.array([[[10.0, 20.0], [np.nan, np.nan], [70.0, 60.0]]])
    assert ShapePrior.of_few(label, np.array([[100, 100]])).known.tolist() == [True, False, True]
    with pytest.raises(LabelError, match="1 labels have none"):
        ShapePrior.of_few(np.full((1, 3, 2), np.nan), np.array([[100, 100]]))


def test_of_nothing_nothing_follows() -> None:
    prior = ShapePrior.of_nothing(3)
    assert not prior.known.any()
    before = prior.in_pixels((100, 50))
    after = before.observe([1], [[3.0, 4.0]])
    assert after.mean[[0, 2]].numpy() == pytest.approx(before.mean[[0, 2]].numpy())
    assert after.mean[1].numpy() == pytest.approx([3, 4], abs=0.01)
