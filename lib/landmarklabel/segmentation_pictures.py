"""Pictures of what a segmenting network sees: structures in their colours, uv-maps in colours of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.color import lab2rgb, rgb2lab
from skimage.measure import find_contours

from .pictures import PREDICTED_COLOUR, TRUE_COLOUR, captioned, draw_dots, enlarged, side_by_side
from .segmentation import colour

_FILL = 0.28  # opacity
_UV_OPACITY = 0.8
_LINE_DISTANCE = 12  # pixels of the picture from one line of equal u to the next, about
# Colours of (u, v) at (-1, -1), (1, -1), (-1, 1) and (1, 1). u runs from light to dark and v from blue to yellow, which
# dichromats see as well; all mixtures in CIELAB are colours of sRGB.
_UV_CORNERS = np.array([(70, 200, 255), (120, 60, 215), (150, 215, 50), (205, 60, 30)])


def segmentation_overlay(
    image: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    predicted: ArrayLike | None = None,
    true: ArrayLike | None = None,
    height: int = 512,
) -> Image.Image:
    """An image with its structures, each filled with its colour and outlined, and landmarks as dots.

    Args:
        image: (H, W), 8 bit.
        masks: (R, H, W).
        predicted, true: (K, 2), (x, y) in pixels of ``image``; NaN is not drawn.
        height: of the picture, in pixels.
    """
    picture, scale = enlarged(image, height)
    draw_segmentation(picture, masks, scale, line=max(1, round(height / 300)))
    _draw_landmarks(picture, scale, predicted, true)
    return picture


def uv_overlay(
    image: NDArray[np.uint8],
    uv: NDArray[np.floating],
    predicted: ArrayLike | None = None,
    true: ArrayLike | None = None,
    height: int = 512,
) -> Image.Image:
    """An image with uv-maps (R, 2, H, W) in colours, and landmarks as in :func:`segmentation_overlay`."""
    picture, scale = enlarged(image, height)
    draw_uv(picture, uv, scale)
    _draw_landmarks(picture, scale, predicted, true)
    return picture


def _draw_landmarks(picture: Image.Image, scale: float, predicted: ArrayLike | None, true: ArrayLike | None) -> None:
    radius = max(1.2, picture.height / 300)
    for points, dots in ((true, TRUE_COLOUR), (predicted, PREDICTED_COLOUR)):
        if points is not None:
            where = np.asarray(points, dtype=np.float64)
            draw_dots(picture, where, scale, (0, 0, 0), radius + 1)
            draw_dots(picture, where, scale, dots, radius)


def draw_segmentation(picture: Image.Image, masks: NDArray[np.bool_], scale: float, line: int = 2) -> None:
    """Fill and outline masks (R, H, W) of the image that the picture enlarges; where several overlap, both show.

    Outlines run between the pixels that are of a structure and those that are not.
    """
    for index, mask in enumerate(masks):
        fill = Image.fromarray(np.where(_enlarged_as(picture, mask, scale), round(255 * _FILL), 0).astype(np.uint8))
        picture.paste(colour(index), (0, 0), fill)
    draw_outlines(picture, masks, scale, [colour(index) for index in range(len(masks))], line)


def draw_outlines(
    picture: Image.Image,
    masks: NDArray[np.bool_],
    scale: float,
    colours: Sequence[tuple[int, int, int]],
    line: int = 2,
) -> None:
    """Outline masks (R, H, W) of the image that the picture enlarges, each in its colour."""
    draw = ImageDraw.Draw(picture)
    for mask, shade in zip(masks, colours, strict=True):
        for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
            corners = (contour[:, ::-1] - 1 + 0.5) * scale - 0.5
            draw.line([tuple(corner) for corner in corners], fill=shade, width=line, joint="curve")


def _enlarged_as(picture: Image.Image, pixels: NDArray[Any], scale: float) -> NDArray[Any]:
    """Pixels (..., H, W) of the image that a picture enlarges, at each pixel of the picture: those they lie on."""
    rows, columns = (
        np.minimum(((np.arange(length) + 0.5) / scale).astype(int), most - 1)
        for length, most in ((picture.height, pixels.shape[-2]), (picture.width, pixels.shape[-1]))
    )
    return pixels[..., rows[:, None], columns]


def draw_uv(picture: Image.Image, uv: NDArray[np.floating], scale: float, lines: int = 10) -> None:
    """Colour a picture by uv-maps (R, 2, H, W) of the image that it enlarges, later regions above earlier ones.

    Args:
        lines: into how many steps lines of equal u, and of equal v, divide each map at most; a small one gets fewer.
    """
    shown = np.zeros((picture.height, picture.width, 3), np.uint8)
    covered = np.zeros((picture.height, picture.width), bool)
    for own in uv:
        own = _enlarged_as(picture, own, scale)
        there = np.isfinite(own).all(axis=0)
        steps = min(lines, int(np.sqrt(np.count_nonzero(there))) // _LINE_DISTANCE)
        colours = uv_colours(own)
        colours[_between_steps(own, steps)] //= 2
        shown[there] = colours[there]
        covered |= there
    opacity = np.where(covered, round(255 * _UV_OPACITY), 0).astype(np.uint8)
    picture.paste(Image.fromarray(shown), (0, 0), Image.fromarray(opacity))


def uv_colours(uv: NDArray[np.floating]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) of a uv-map (2, H, W), black where it is NaN; what lies beyond [-1, 1] looks as at the border.

    Four colours in the corners, mixed in CIELAB, so that equal steps look about equal: at the top, where v is -1, from
    light blue to violet, at the bottom from light green to red.
    """
    there = np.isfinite(uv).all(axis=0)
    right, down = (np.clip(np.where(there, uv, 0.0), -1, 1)[..., None] + 1) / 2
    corners = rgb2lab(_UV_CORNERS / 255)
    top, bottom = (left + right * (other - left) for left, other in (corners[:2], corners[2:]))
    rgb = lab2rgb(top + down * (bottom - top))
    return np.where(there[..., None], np.rint(255 * rgb), 0).astype(np.uint8)


def _between_steps(uv: NDArray[np.floating], lines: int) -> NDArray[np.bool_]:
    """Pixels (H, W) whose right or lower neighbour is in another step of u or v."""
    step = np.clip(np.floor((uv + 1) / 2 * lines), 0, max(lines - 1, 0))
    between = np.zeros(uv.shape[1:], bool)
    with np.errstate(invalid="ignore"):
        between[:, :-1] |= (np.abs(np.diff(step, axis=2)) > 0).any(axis=0)
        between[:-1] |= (np.abs(np.diff(step, axis=1)) > 0).any(axis=0)
    return between


def legend(titles: Sequence[str], letters: int = 12) -> Image.Image:
    """The colours of structures beside their titles, on white, one below the other."""
    step = round(1.6 * letters)
    pages = []
    for index, title in enumerate(titles):
        page = Image.new("RGB", (step + letters * max(map(len, titles)), step), "white")
        draw = ImageDraw.Draw(page)
        draw.rectangle([2, 2, step - 4, step - 4], fill=colour(index))
        draw.text((step, 1), title, fill="black", font=ImageFont.load_default(letters))
        pages.append(page)
    return _stacked(pages, 0)


def contact_sheet(
    rows: Sequence[Sequence[tuple[Image.Image, str, Sequence[str]]]], letters: int = 14, gap: int = 8
) -> Image.Image:
    """Rows of pictures, each with a title above it and lines of text below, on white.

    Args:
        rows: of each picture the picture, its title and its lines.
        letters: their height, in pixels.
    """
    pages = [[captioned(picture, title, lines, letters) for picture, title, lines in row] for row in rows]
    return _stacked([side_by_side(row, gap, "white") for row in pages], gap)


def _stacked(pictures: Sequence[Image.Image], gap: int) -> Image.Image:
    """Pictures one below the other, on white."""
    height = sum(picture.height for picture in pictures) + gap * (len(pictures) - 1)
    column = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    y = 0
    for picture in pictures:
        column.paste(picture, (0, y))
        y += picture.height + gap
    return column
