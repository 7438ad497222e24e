"""The shape prior: what a few labels say about all landmarks."""

import numpy as np
import pytest
from numpy.typing import NDArray
from outlines import SIZE, outlines

from landmarklabel.errors import LabelError
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
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
