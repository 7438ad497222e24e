"""Small pictures of landmarks on images, drawn fast enough to make one at every validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TRUE_COLOUR = (80, 220, 120)
PREDICTED_COLOUR = (255, 90, 70)
_ERROR_COLOUR = (255, 210, 0)


def overlay(
    image: NDArray[np.uint8],
    predicted: NDArray[np.floating] | None = None,
    true: NDArray[np.floating] | None = None,
    labels: Sequence[str] | None = None,
    height: int = 512,
) -> Image.Image:
    """An image with landmarks: true ones as green rings, predicted ones as red crosses, a line between.

    Args:
        image: (H, W), 8 bit.
        predicted, true: (K, 2), (x, y) in pixels of ``image``; NaN is not drawn.
        labels: K names to write beside the points.
        height: of the picture, in pixels.
    """
    scale = height / image.shape[0]
    picture = Image.fromarray(image).convert("RGB").resize((max(1, round(image.shape[1] * scale)), height))
    draw = ImageDraw.Draw(picture)
    arm = max(2.0, height / 160)
    if predicted is not None and true is not None:
        for a, b in zip(_scaled(predicted, scale), _scaled(true, scale), strict=True):
            if np.isfinite([*a, *b]).all():
                draw.line([*a, *b], fill=_ERROR_COLOUR)
    for index, (x, y) in enumerate(() if true is None else _scaled(true, scale)):
        if np.isfinite([x, y]).all():
            draw.ellipse([x - arm, y - arm, x + arm, y + arm], outline=TRUE_COLOUR)
            if labels and predicted is None:
                draw.text((x + arm + 1, y - 2 * arm), labels[index], fill=TRUE_COLOUR)
    for index, (x, y) in enumerate(() if predicted is None else _scaled(predicted, scale)):
        if np.isfinite([x, y]).all():
            draw.line([x - arm, y, x + arm, y], fill=PREDICTED_COLOUR)
            draw.line([x, y - arm, x, y + arm], fill=PREDICTED_COLOUR)
            if labels:
                draw.text((x + arm + 1, y - 2 * arm), labels[index], fill=PREDICTED_COLOUR)
    return picture


def _scaled(points: NDArray[np.floating], scale: float) -> NDArray[np.floating]:
    return (points + 0.5) * scale - 0.5


def side_by_side(pictures: Sequence[Image.Image], gap: int = 4, ground: str = "black") -> Image.Image:
    """Pictures in a row."""
    width = sum(p.width for p in pictures) + gap * (len(pictures) - 1)
    row = Image.new("RGB", (width, max(p.height for p in pictures)), ground)
    x = 0
    for picture in pictures:
        row.paste(picture, (x, 0))
        x += picture.width + gap
    return row


def regions(
    mean: NDArray[np.floating], covariance: NDArray[np.floating], probability: float = 0.9, corners: int = 48
) -> NDArray[np.float64]:
    """Outlines (K, corners, 2) of the ellipses that hold a landmark with a probability, if it is normally distributed.

    Args:
        mean: (K, 2).
        covariance: (K, 2, 2).
    """
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    circle = np.sqrt(-2 * np.log(1 - probability)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(mean[:, None] + circle @ np.linalg.cholesky(covariance).transpose(0, 2, 1))


def enlarged(image: NDArray[np.uint8], height: int) -> tuple[Image.Image, float]:
    """An image (H, W) as a picture of that height, and by how much it is larger."""
    scale = height / image.shape[0]
    size = (max(1, round(image.shape[1] * scale)), height)
    return Image.fromarray(image).convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def draw_regions(
    picture: Image.Image, outlines: NDArray[np.floating], scale: float, colour: tuple[int, int, int], line: int = 2
) -> None:
    """Fill outlines (K, N, 2), in pixels of the image that the picture enlarges, so that what is below shines through.

    Where several overlap, it is no denser: what is drawn is where any landmark may be.
    """
    mask = Image.new("L", picture.size)
    draw = ImageDraw.Draw(mask)
    for outline in _scaled(outlines, scale):
        draw.polygon([tuple(corner) for corner in outline], fill=70)
    for outline in _scaled(outlines, scale):
        corners = [tuple(corner) for corner in outline]
        draw.line([*corners, corners[0]], fill=200, width=line)
    picture.paste(colour, (0, 0), mask)


def draw_arrows(
    picture: Image.Image,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    scale: float,
    colour: tuple[int, int, int],
    line: int = 2,
) -> None:
    """Arrows from points (K, 2) to points (K, 2), in pixels of the image that the picture enlarges."""
    draw = ImageDraw.Draw(picture)
    for tail, tip in zip(_scaled(start, scale), _scaled(end, scale), strict=True):
        way = tip - tail
        length = float(np.hypot(*way))
        if not length > 0:
            continue
        along = way / length * min(5.0 * line, length)
        across = np.array([-along[1], along[0]]) * 0.45
        draw.line([*tail, *(tip - along)], fill=colour, width=line)
        draw.polygon([tuple(tip), tuple(tip - along + across), tuple(tip - along - across)], fill=colour)


def draw_dots(
    picture: Image.Image, points: NDArray[np.floating], scale: float, colour: tuple[int, int, int], radius: float
) -> None:
    """Discs at points (K, 2), in pixels of the image that the picture enlarges; NaN is not drawn."""
    draw = ImageDraw.Draw(picture)
    for x, y in _scaled(points[np.isfinite(points).all(axis=1)], scale):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def captioned(picture: Image.Image, title: str, lines: Sequence[str], size: int) -> Image.Image:
    """A picture with a title above it and lines of text below, on white; letters are ``size`` pixels high."""
    step = round(1.5 * size)
    page = Image.new(
        "RGB", (picture.width, picture.height + round(1.8 * size) + step * len(lines) + size // 2), "white"
    )
    draw = ImageDraw.Draw(page)
    draw.text((size // 4, size // 4), title, fill="black", font=ImageFont.load_default(1.15 * size))
    page.paste(picture, (0, round(1.8 * size)))
    for number, text in enumerate(lines):
        at = (size // 4, picture.height + round(2.0 * size) + step * number)
        draw.text(at, text, fill=(70, 70, 70), font=ImageFont.load_default(size))
    return page
