"""Small pictures of landmarks on images, drawn fast enough to make one at every validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

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


def side_by_side(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Pictures in a row."""
    width = sum(p.width for p in pictures) + gap * (len(pictures) - 1)
    row = Image.new("RGB", (width, max(p.height for p in pictures)))
    x = 0
    for picture in pictures:
        row.paste(picture, (x, 0))
        x += picture.width + gap
    return row
