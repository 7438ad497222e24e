"""Structures, maps and landmarks are drawn where they are, in colours that say which."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from landmarklabel.segmentation import colour
from landmarklabel.segmentation_pictures import (
    contact_sheet,
    draw_segmentation,
    draw_uv,
    legend,
    segmentation_overlay,
    uv_colours,
    uv_overlay,
)


def black(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height))


def masks() -> np.ndarray:
    """Two overlapping squares of 10 x 10 and one that is empty, in 40 x 30 pixels."""
    found = np.zeros((3, 30, 40), bool)
    found[0, 5:15, 5:15] = True
    found[2, 5:15, 10:20] = True
    return found


def grid(steps: int) -> np.ndarray:
    """A map (2, H, W) of all u and v from -1 to 1."""
    axis = np.linspace(-1, 1, steps)
    return np.stack(np.meshgrid(axis, axis))


@pytest.mark.parametrize("scale", [1, 3, 0.5])
def test_structures_are_filled_and_outlined_where_they_are(scale: float) -> None:
    picture = black(round(40 * scale), round(30 * scale))
    draw_segmentation(picture, masks(), scale, line=1)
    y, x = np.nonzero(np.asarray(picture).any(axis=2))
    expected = np.array([5, 20, 5, 15]) * scale
    assert np.abs([x.min(), x.max() + 1, y.min(), y.max() + 1] - expected).max() <= 1


def test_a_fill_has_the_colour_of_its_structure_and_lets_the_image_shine_through() -> None:
    picture = black(120, 90)
    draw_segmentation(picture, masks(), 3, line=1)
    pixels = np.asarray(picture).astype(float)
    only_first, only_third, both = pixels[30, 22], pixels[30, 52], pixels[30, 38]
    for seen, index in ((only_first, 0), (only_third, 2)):
        assert seen == pytest.approx(0.28 * np.array(colour(index)), abs=2)
    assert both == pytest.approx(0.72 * only_first + only_third, abs=2)
    assert pixels[30, 14:16].max(axis=0) == pytest.approx(np.array(colour(0))), "the outline, full"


def test_colours_of_a_map_step_evenly_and_none_comes_twice() -> None:
    lab = rgb2lab(uv_colours(grid(9)))
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(lab, axis=axis), axis=-1)
        assert steps.max() / steps.min() < 1.3
    flat = lab.reshape(-1, 3)
    apart = np.linalg.norm(flat[:, None] - flat, axis=-1) + 100 * np.eye(len(flat))
    assert apart.min() > 8
    assert (np.diff(lab[..., 0], axis=1) < 0).all(), "u, from light to dark"
    assert (np.diff(lab[..., 2], axis=0) > 0).all(), "v, from blue to yellow"


def test_colours_beyond_the_map() -> None:
    border = uv_colours(np.array([[[1.0]], [[-1.0]]]))
    assert np.array_equal(uv_colours(np.array([[[1.7]], [[-30.0]]])), border)
    assert not uv_colours(np.array([[[np.nan]], [[0.5]]])).any()


def test_a_map_covers_what_it_knows_and_nothing_else() -> None:
    uv = np.full((2, 2, 30, 40), np.nan)
    uv[0, :, 5:15, 5:15] = grid(10)
    uv[1, :, 10:20, 10:20] = 1.0
    picture = black(120, 90)
    draw_uv(picture, uv, 3, lines=0)
    pixels = np.asarray(picture)
    covered = np.zeros((90, 120), bool)
    covered[15:45, 15:45] = covered[30:60, 30:60] = True
    assert np.array_equal(pixels.any(axis=2), covered)
    assert pixels[40, 40].tolist() == pixels[55, 55].tolist(), "the later region, above the earlier"
    assert pixels[20, 20].tolist() != pixels[20, 40].tolist()


def test_lines_of_equal_u_and_v() -> None:
    picture, plain = black(200, 200), black(200, 200)
    draw_uv(picture, grid(200)[None], 1, lines=4)
    draw_uv(plain, grid(200)[None], 1, lines=0)
    darker = np.asarray(picture).sum(axis=2) < 0.7 * np.asarray(plain).sum(axis=2)
    rows, columns = np.flatnonzero(darker.all(axis=1)), np.flatnonzero(darker.all(axis=0))
    assert rows.tolist() == columns.tolist() == [49, 99, 149]
    assert darker.mean() < 0.05


def test_a_small_map_is_not_covered_by_lines() -> None:
    picture, plain = black(20, 20), black(20, 20)
    draw_uv(picture, grid(20)[None], 1, lines=10)
    draw_uv(plain, grid(20)[None], 1, lines=0)
    assert (np.asarray(picture) != np.asarray(plain)).any(axis=2).mean() < 0.2


@pytest.mark.parametrize("draw", [segmentation_overlay, uv_overlay])
def test_landmarks_are_on_top_and_absent_ones_left_out(draw) -> None:  # type: ignore[no-untyped-def]
    content = masks() if draw is segmentation_overlay else np.full((1, 2, 30, 40), np.nan)
    points = np.array([[12.0, 8.0], [np.nan, np.nan]])
    picture = draw(np.zeros((30, 40), np.uint8), content, points, points + np.array([20, 10]), height=300)
    assert picture.size == (400, 300)
    red, green = picture.getpixel((124, 84)), picture.getpixel((324, 184))
    assert red[0] > 200 > 100 > red[1]
    assert green[1] > 200 > 150 > green[0]


def test_a_legend_has_the_colours_in_order() -> None:
    pixels = np.asarray(legend(["Heart", "Lung"], letters=10))
    assert pixels[8, 6].tolist() == list(colour(0))
    assert pixels[24, 6].tolist() == list(colour(1))


def test_a_contact_sheet_holds_every_picture_as_it_was() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    one, two, three = (Image.new("RGB", (60 + 10 * i, 50), colours[i]) for i in range(3))
    sheet = np.asarray(contact_sheet([[(one, "One", ["a line"]), (two, "Two", [])], [(three, "Three", [])]], 10))
    places = []
    for index, rgb in enumerate(colours):
        found = (sheet == rgb).all(axis=2)
        assert found.sum() == (60 + 10 * index) * 50
        places.append(np.argwhere(found).min(axis=0))
    assert places[0][0] == places[1][0] < places[2][0]
    assert places[0][1] == places[2][1] < places[1][1]
