"""Scores of segmentations against computations that share nothing with them, and against shapes known by heart."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from landmarklabel.errors import LabelError
from landmarklabel.files import to_json
from landmarklabel.metrics.segmentation import (
    MEASURES,
    SegmentationScores,
    landmark_to_mask_distances,
    score_segmentation,
    surface_distances,
)


def square(x: int, y: int, width: int, height: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    mask = np.zeros(size[::-1], bool)
    mask[y : y + height, x : x + width] = True
    return mask


def border(mask: np.ndarray) -> list[tuple[int, int]]:
    """(x, y) of pixels of which one of the four neighbours is not of the mask, or outside the image."""
    pixels = {(int(x), int(y)) for y, x in np.argwhere(mask)}
    return [(x, y) for x, y in pixels if {(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)} - pixels]


def by_hand(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float]) -> tuple[float, float]:
    sx, sy = spacing
    one, two = ([(x * sx, y * sy) for x, y in border(mask)] for mask in (a, b))
    there = [min(np.hypot(x - u, y - v) for u, v in two) for x, y in one]
    back = [min(np.hypot(x - u, y - v) for u, v in one) for x, y in two]
    return (sum(there) + sum(back)) / (len(there) + len(back)), max(np.percentile(there, 95), np.percentile(back, 95))


@st.composite
def blobs(draw: st.DrawFn) -> np.ndarray:
    """A mask of a few rectangles and loose pixels, which may touch the image's edge; never empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.uniform(size=(14, 17)) < draw(st.sampled_from([0, 0.02]))
    for _ in range(draw(st.integers(1, 3))):
        x, y = rng.integers(0, 16), rng.integers(0, 13)
        mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
    return mask


SPACINGS = st.sampled_from([(1.0, 1.0), (0.2, 0.2), (0.1, 0.7), (1.5, 0.4)])


@settings(max_examples=25)
@given(blobs(), blobs(), SPACINGS)
def test_surface_distances_against_every_pair_of_border_pixels(
    a: np.ndarray, b: np.ndarray, spacing: tuple[float, float]
) -> None:
    assert surface_distances(a, b, spacing) == pytest.approx(by_hand(a, b, spacing), rel=1e-5, abs=1e-6)


@settings(max_examples=10)
@given(blobs(), blobs(), SPACINGS)
def test_surface_distances_are_monais(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float]) -> None:
    one, two = (torch.from_numpy(mask)[None, None] for mask in (a, b))
    settings = {"include_background": True, "spacing": list(spacing[::-1])}
    average = compute_average_surface_distance(one, two, symmetric=True, **settings)
    greatest = compute_hausdorff_distance(one, two, percentile=95, **settings)
    assert surface_distances(a, b, spacing) == pytest.approx((float(average), float(greatest)), rel=1e-5, abs=1e-6)


def test_a_shifted_square() -> None:
    """20 x 10 pixels, shifted by 4 to the right, of 0.5 x 2 mm."""
    true, predicted = square(5, 5, 20, 10), square(9, 5, 20, 10)
    scores = score_segmentation(predicted[None], true[None], (0.5, 2.0))
    assert scores.dsc == pytest.approx(16 / 20)
    assert scores.hd95 == pytest.approx(by_hand(predicted, true, (0.5, 2.0))[1])
    assert scores.hd95 == pytest.approx(2.0)
    assert surface_distances(true, true, (0.5, 2.0)) == (0, 0)


def test_spacing_is_x_y() -> None:
    """A bar of one pixel's width, shifted by 3: every border pixel is 3 steps off."""
    upright = score_segmentation(square(8, 0, 1, 30)[None], square(5, 0, 1, 30)[None], (0.5, 2.0))
    lying = score_segmentation(square(0, 8, 40, 1)[None], square(0, 5, 40, 1)[None], (0.5, 2.0))
    assert (float(upright.assd), float(upright.hd95)) == pytest.approx((1.5, 1.5))
    assert (float(lying.assd), float(lying.hd95)) == pytest.approx((6.0, 6.0))


def test_landmarks_to_the_contour_of_a_square() -> None:
    """Of pixels 5 to 24 by 5 to 14: the line around it runs half a pixel beyond their centres."""
    points = [[4.5, 9.0], [24.5, 7.3], [2.5, 9.0], [15.0, 16.5], [15.0, 10.0], [np.nan, 3.0], [28.5, 9.0]]
    expected = [0, 0, 2 * 0.5, 2 * 2.0, 9.5 * 0.5, np.nan, 4 * 0.5]
    distances = landmark_to_mask_distances(points, square(5, 5, 20, 10), (0.5, 2.0))
    assert distances == pytest.approx(np.array(expected), nan_ok=True)


def test_the_contour_closes_at_the_edge_of_the_image() -> None:
    distances = landmark_to_mask_distances([[-0.5, 3], [3, 29.5], [10, 20.0]], np.ones((30, 40), bool), (1, 1))
    assert distances == pytest.approx([0, 0, 9.5])


@given(blobs(), SPACINGS, st.integers(0, 1000))
def test_landmarks_to_any_contour(mask: np.ndarray, spacing: tuple[float, float], seed: int) -> None:
    """Against many points on the line, which halves the way from each pixel of the mask to each neighbour beyond."""
    inside = {(int(x), int(y)) for y, x in np.argwhere(mask)}
    crossings = np.array(
        [
            ((x + u) / 2, (y + v) / 2)
            for x, y in inside
            for u, v in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1))
            if (u, v) not in inside
        ]
    )
    points = np.random.default_rng(seed).uniform(-3, 20, (6, 2))
    found = landmark_to_mask_distances(points, mask, spacing)
    nearest = np.linalg.norm((points[:, None] - crossings) * spacing, axis=2).min(axis=1)
    # The line passes through every crossing, and goes straight from one to the next, at most one pixel on.
    assert (found <= nearest + 1e-9).all()
    assert (nearest - found <= 0.5 * np.hypot(*spacing)).all()
    assert landmark_to_mask_distances(crossings, mask, spacing) == pytest.approx(np.zeros(len(crossings)))


def test_a_disc_is_not_charged_half_a_pixel() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    outline = np.array([50.3, 48.7]) + 30 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y, x = np.mgrid[:100, :100]
    disc = np.hypot(x - 50.3, y - 48.7) <= 30
    assert landmark_to_mask_distances(outline, disc, (1, 1)).mean() < 0.25


def test_empty_masks() -> None:
    empty, full = np.zeros((30, 40), bool), square(5, 5, 20, 10)
    points = np.array([[4.5, 9.0], [9.0, 9.0]])
    predicted, true = np.stack([full, empty, full, empty]), np.stack([full, full, empty, empty])
    scores = score_segmentation(predicted, true, (1, 1), points + 3, points, [np.array([0, 1])] * 4)
    assert scores.dsc[0] == pytest.approx(np.array([1, 0, 0, np.nan]), nan_ok=True)
    for distance in (scores.assd, scores.hd95):
        assert distance[0] == pytest.approx(np.array([0, np.nan, np.nan, np.nan]), nan_ok=True)
    assert scores.asd[0] == pytest.approx(np.array([2.25, np.nan, 2.25, np.nan]), nan_ok=True)
    assert scores.tre[0] == pytest.approx(np.full(4, np.hypot(3, 3)))
    assert scores.missed.tolist() == [[False, True, False, False]]
    assert scores.spurious.tolist() == [[False, False, True, False]]


def test_target_registration_error_by_structure() -> None:
    """In mm of each axis; a landmark that is absent in either is left out, and a structure of none has no error."""
    masks = np.stack([square(5, 5, 20, 10)] * 3)
    true = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [np.nan, np.nan], [5.0, 5.0]])
    predicted = true + np.array([[0, 1], [2, 0], [4, 0], [1, 1], [np.nan, np.nan]])
    members = [np.array([0, 1]), np.array([2, 3]), np.array([3, 4])]
    scores = score_segmentation(masks, masks, (0.5, 2.0), predicted, true, members)
    assert scores.tre[0] == pytest.approx(np.array([1.5, 2.0, np.nan]), nan_ok=True)


def test_without_points_there_is_no_distance_of_points() -> None:
    masks = np.stack([square(5, 5, 20, 10)])
    scores = score_segmentation(masks, masks)
    assert np.isnan([scores.asd, scores.tre]).all()
    assert scores.dsc == 1


def test_figures_by_hand() -> None:
    nan = np.nan
    values = np.array([[1.0, 3.0], [2.0, nan], [nan, nan]])
    missed = np.array([[False, False], [False, True], [True, True]])
    scores = SegmentationScores(values / 10, values, values, values, values, missed, np.zeros((3, 2), bool))
    figures = scores.figures(["heart", "lung"])
    assert figures["images"] == 3
    assert figures["structures"]["heart"]["asd"] == pytest.approx({"mean": 1.5, "std": np.sqrt(0.5), "count": 2})
    assert figures["structures"]["lung"]["hd95"] == {"mean": 3.0, "std": 0.0, "count": 1}
    assert figures["overall"]["tre"] == {"mean": 2.0, "std": 0.0, "count": 2}, "images of 2.0 and 2.0, and one of none"
    assert [figures["structures"][name]["missed"] for name in ("heart", "lung")] == [1, 2]
    assert figures["overall"]["missed"] == 3
    assert json.loads(to_json(figures))["overall"]["dsc"]["mean"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="scores of 2 structures, but 1 names"):
        scores.figures(["heart"])


def test_images_are_put_together() -> None:
    true = np.stack([square(5, 5, 20, 10), square(1, 1, 3, 3)])
    one, two = score_segmentation(true, true), score_segmentation(np.roll(true, 2, axis=2), true)
    both = SegmentationScores.concatenate([one, two])
    for measure in (*MEASURES, "missed", "spurious"):
        expected = np.concatenate([getattr(one, measure), getattr(two, measure)])
        assert np.array_equal(getattr(both, measure), expected, equal_nan=True)


def test_what_does_not_fit_is_refused() -> None:
    masks = np.zeros((2, 4, 5), bool)
    with pytest.raises(LabelError, match=r"masks \(R, H, W\) of one shape, got \(2, 4, 5\) and \(1, 4, 5\)"):
        score_segmentation(masks, masks[:1])
    with pytest.raises(LabelError, match="the landmarks of each of 2 structures, got 1"):
        score_segmentation(masks, masks, true_points=np.zeros((3, 2)), members=[np.array([0])])
