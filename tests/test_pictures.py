"""What is drawn of uncertainty and of moves is what was meant."""

import numpy as np
from PIL import Image

from landmarklabel.pictures import captioned, draw_arrows, draw_dots, draw_regions, enlarged, regions

RED = (255, 0, 0)


def drawn(picture: Image.Image) -> np.ndarray:
    """Where a black picture is no longer black, (H, W)."""
    return np.asarray(picture).any(axis=2)


def test_a_region_holds_the_probability_that_it_states() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 2, 2)) + 2 * np.eye(2)
    mean, covariance = np.array([[5.0, 9.0], [-3.0, 0.0]]), factors @ factors.transpose(0, 2, 1)
    outlines = regions(mean, covariance, 0.7, corners=720)
    for index in range(2):
        points = rng.multivariate_normal(mean[index], covariance[index], 20_000)
        corners = outlines[index] - mean[index]
        order = np.argsort(np.arctan2(*corners.T[::-1]))
        angles, lengths = np.arctan2(*corners.T[::-1])[order], np.linalg.norm(corners, axis=1)[order]
        away = points - mean[index]
        border = np.interp(np.arctan2(*away.T[::-1]), angles, lengths, period=2 * np.pi)
        assert abs(np.mean(np.linalg.norm(away, axis=1) < border) - 0.7) < 0.015


def test_regions_lie_where_the_image_was_enlarged_to_and_let_it_shine_through() -> None:
    picture, scale = enlarged(np.zeros((30, 40), np.uint8), 90)
    assert picture.size == (120, 90)
    assert scale == 3
    square = np.array([[[9.5, 4.5], [19.5, 4.5], [19.5, 14.5], [9.5, 14.5]]])
    draw_regions(picture, np.concatenate([square, square]), scale, RED, line=1)
    y, x = np.nonzero(drawn(picture))
    assert abs(np.array([x.min(), x.max(), y.min(), y.max()]) - [30, 60, 15, 45]).max() <= 1
    inside = picture.getpixel((45, 30))
    assert isinstance(inside, tuple)
    assert 40 < inside[0] < 120, "twice the same region is no denser than once"


def test_an_arrow_is_widest_near_its_tip_and_nothing_is_drawn_where_nothing_moved() -> None:
    picture = Image.new("RGB", (100, 40))
    still = np.array([[20.0, 30.0]])
    draw_arrows(picture, np.concatenate([[[10.0, 20.0]], still]), np.concatenate([[[80.0, 20.0]], still]), 1, RED)
    widths = drawn(picture).sum(axis=0)
    columns = np.flatnonzero(widths)
    assert abs(columns[[0, -1]] - [10, 80]).max() <= 1
    assert 68 <= widths.argmax() <= 74
    assert widths[15:65].max() <= 2


def test_dots_are_at_the_points_and_absent_ones_are_left_out() -> None:
    picture = Image.new("RGB", (60, 60))
    draw_dots(picture, np.array([[4.5, 9.5], [np.nan, np.nan]]), 2.0, RED, 3.0)
    y, x = np.nonzero(drawn(picture))
    assert abs(np.array([x.mean(), y.mean()]) - [9.5, 19.5]).max() <= 0.5


def test_a_caption_leaves_the_picture_as_it_was() -> None:
    picture = Image.new("RGB", (120, 50), RED)
    page = np.asarray(captioned(picture, "Title", ["one", "two"], 10))
    red = (page == RED).all(axis=2)
    y = np.flatnonzero(red.any(axis=1))
    assert red.sum() == 120 * 50
    assert y.max() - y.min() == 49
    above, below = page[: y.min()], page[y.max() + 1 :]
    assert (above < 100).any()
    assert (below < 140).any()
