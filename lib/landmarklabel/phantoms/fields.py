"""What has no fine detail, drawn on coarse cells and brought to the image: soft tissue, air, texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .canvas import Canvas, Image
from .view import View

CELL = 2.0  # mm


def spread(image: Image, source: View, target: View) -> Image:
    """An image of the view ``source`` on the pixels of ``target``, linear between cells, constant beyond."""
    scale = target.spacing / source.spacing
    for axis, (count, cells) in enumerate(zip(target.size[::-1], source.size[::-1], strict=True)):
        at = (np.arange(count) - (count - 1) / 2) * scale + (cells - 1) / 2
        low = np.clip(np.floor(at), 0, cells - 2).astype(np.intp)
        share = np.clip(at - low, 0.0, 1.0).astype(np.float32)
        share = share.reshape((-1, 1) if axis == 0 else (1, -1))
        image = np.take(image, low, axis) * (1 - share) + np.take(image, low + 1, axis) * share
    return image


def blurred(image: Image, sigma: float, view: View) -> Image:
    """An image blurred by ``sigma`` mm."""
    return np.asarray(gaussian_filter(image, sigma / view.spacing, mode="nearest", truncate=3.0))


def smooth(canvas: Canvas, sigma: float, target: View) -> Image:
    """What was drawn on a coarse canvas, blurred by ``sigma`` mm, on the pixels of ``target``."""
    return spread(blurred(canvas.image(), sigma, canvas.view), canvas.view, target)


def texture(rng: np.random.Generator, view: View, cell: float, sigma: float) -> Image:
    """(H, W) smooth noise of mean 0 and standard deviation 1 with blobs of some ``sigma`` mm.

    It is drawn on cells of ``cell`` mm that cover the field, so that it is the same at every size of image.
    """
    columns, rows = (int(np.ceil(extent / cell)) + 2 for extent in view.field)
    noise: NDArray[np.float32] = rng.standard_normal((rows, columns), dtype=np.float32)
    noise = gaussian_filter(noise, sigma / cell, mode="wrap", truncate=3.0)
    noise /= max(float(noise.std()), 1e-6)
    grid = View(size=(columns, rows), field=(columns * cell, rows * cell))
    return spread(noise, grid, view)
