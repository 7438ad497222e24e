"""The projection: every pixel gets exactly the area that an outline covers of it."""

from __future__ import annotations

import numpy as np
import pytest

from landmarklabel.phantoms.canvas import Canvas
from landmarklabel.phantoms.view import View, fitted

VIEW = View(size=(20, 16), field=(20.0, 16.0), origin=(9.5, 7.5))  # 1 mm a pixel, (0, 0) at pixel (0, 0)


def drawn(*outlines: list[tuple[float, float]], weight: float = 1.0) -> np.ndarray:
    canvas = Canvas(VIEW)
    for outline in outlines:
        canvas.add(outline, weight)
    return canvas.image()


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def test_a_box_covers_its_border_pixels_by_their_share() -> None:
    image = drawn(box(2.0, 3.0, 5.25, 6.0))  # pixels reach from -0.5 to 0.5 around their centres
    assert image[4, 4] == pytest.approx(1.0)
    assert image[4, 2] == pytest.approx(0.5)
    assert image[4, 5] == pytest.approx(0.75)
    assert image[3, 2] == pytest.approx(0.25)
    assert image.sum() == pytest.approx(3.25 * 3.0, rel=1e-6)
    assert image[4, 7:].max() == pytest.approx(0.0, abs=1e-6)


def test_the_direction_of_an_outline_does_not_matter() -> None:
    corners = [(3.1, 2.2), (15.7, 5.4), (8.3, 13.9)]
    assert np.allclose(drawn(corners), drawn(corners[::-1]), atol=1e-6)


def test_weights_add_up_and_take_away() -> None:
    canvas = Canvas(VIEW)
    canvas.add(np.array([box(2, 2, 12, 12), box(5, 5, 8, 8)]), (3.0, -1.0))
    image = canvas.image()
    assert image[3, 3] == pytest.approx(3.0)
    assert image[6, 6] == pytest.approx(2.0)
    assert image.sum() == pytest.approx(300 - 9, rel=1e-6)


@pytest.mark.parametrize(
    ("outline", "area"),
    [
        (box(-7.0, 2.0, 3.5, 5.0), 12.0),
        (box(15.5, 2.0, 40.0, 5.0), 12.0),
        (box(4.0, -9.0, 7.0, 1.5), 6.0),
        (box(4.0, 13.5, 7.0, 99.0), 6.0),
        (box(-9.0, -9.0, 99.0, 99.0), 320.0),
        (box(-9.0, 3.0, -2.0, 8.0), 0.0),
    ],
)
def test_what_lies_outside_of_the_image_is_left_out(outline: list[tuple[float, float]], area: float) -> None:
    assert drawn(outline).sum() == pytest.approx(area, abs=1e-4)


def test_slanted_edges_agree_with_many_samples_a_pixel() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        turn = np.sort(rng.uniform(0, 2 * np.pi, 7))
        reach = rng.uniform(2.5, 11.0, 7)
        outline = np.stack([9.5 + reach * np.cos(turn), 7.5 + reach * np.sin(turn)], axis=1)
        assert np.abs(drawn([tuple(p) for p in outline]) - sampled(outline)).max() < 0.04


def sampled(outline: np.ndarray, times: int = 24) -> np.ndarray:
    """Even-odd rule at times x times places of each pixel."""
    y, x = ((np.arange(count * times) + 0.5) / times - 0.5 for count in (VIEW.size[1], VIEW.size[0]))
    grid_x, grid_y = np.meshgrid(x, y)
    inside = np.zeros(grid_x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        crosses = (y0 > grid_y) != (y1 > grid_y)
        at = x0 + (grid_y - y0) * (x1 - x0) / (y1 - y0 if y1 != y0 else 1.0)
        inside ^= crosses & (grid_x < at)
    return inside.reshape(VIEW.size[1], times, VIEW.size[0], times).mean(axis=(1, 3))


def test_an_empty_canvas_is_an_empty_image() -> None:
    assert not Canvas(VIEW).image().any()


def test_a_view_puts_its_origin_at_the_centre_and_turns_clockwise() -> None:
    view = View(size=(101, 51), field=(202.0, 102.0), origin=(10.0, 20.0), angle=np.pi / 2)
    assert view.spacing == pytest.approx(2.0)
    assert np.allclose(view.pixels([10.0, 20.0]), (50.0, 25.0))
    assert np.allclose(view.pixels([14.0, 20.0]), (50.0, 27.0))  # right turns down


def test_a_wider_image_shows_the_whole_field() -> None:
    view = View(size=(300, 100), field=(100.0, 100.0))
    assert view.spacing == pytest.approx(1.0)


def test_fitted_moves_no_farther_than_needed() -> None:
    view = View(size=(100, 100), field=(100.0, 100.0), angle=0.3)
    points = np.array([(60.0, 0.0), (20.0, 5.0)])
    pixels = fitted(view, points, margin=5.0).pixels(points)
    assert pixels.min() >= 0 and pixels.max() <= 99
    assert fitted(view, np.zeros((1, 2)), margin=5.0) == view
