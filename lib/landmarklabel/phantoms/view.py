"""Where the patient stands in the beam: the map from patient millimetres to pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A similarity from the patient's frame to the pixels of an image.

    The field is what the detector shows of an anatomy. It keeps its place in the patient whatever the size of
    the image: more pixels show the same field finer, and another aspect ratio shows more around it.

    Attributes:
        size: (W, H) in pixels.
        field: (w, h) in mm, all of which is in the image.
        origin: the patient's point (x, y), in mm, at the centre of the image.
        angle: rotation of the patient in the image plane in radians, clockwise as seen.
    """

    size: tuple[int, int]
    field: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0

    @property
    def spacing(self) -> float:
        """Millimetres a pixel, the same in x and y."""
        return max(self.field[0] / self.size[0], self.field[1] / self.size[1])

    def pixels(self, points: ArrayLike) -> Array:
        """Patient points (..., 2) in mm to (x, y) pixels (..., 2)."""
        offset = np.asarray(points, dtype=np.float64) - self.origin
        c, s = np.cos(self.angle) / self.spacing, np.sin(self.angle) / self.spacing
        x, y = offset[..., 0], offset[..., 1]
        turned = np.stack([c * x - s * y, s * x + c * y], axis=-1)
        return np.asarray(turned + (np.asarray(self.size) - 1) / 2)

    def coarse(self, cell: float) -> View:
        """The same view on pixels of ``cell`` mm, for what has no fine detail; a little larger all round."""
        extent = np.asarray(self.size) * self.spacing
        columns, rows = (int(n) for n in np.ceil(extent / cell).astype(int) + 2)
        return replace(self, size=(columns, rows), field=(columns * cell, rows * cell))


def placed(size: tuple[int, int], field: tuple[float, float], middle: Array, angle: float) -> View:
    """A view with the patient's point ``middle`` (2,) at its centre."""
    return View(size, field, (float(middle[0]), float(middle[1])), float(angle))


def fitted(view: View, points: Array, margin: float) -> View:
    """The view moved, as little as possible, so that its field holds points (K, 2) in mm, with a margin."""
    frame = replace(view, size=(1000, 1000), field=(1000.0, 1000.0))  # 1 mm a pixel
    seen = frame.pixels(points) - 499.5
    half = np.asarray(view.field) / 2 - margin
    shift = np.maximum(seen.max(axis=0) - half, 0.0) + np.minimum(seen.min(axis=0) + half, 0.0)
    c, s = np.cos(view.angle), np.sin(view.angle)
    back = (c * shift[0] + s * shift[1], -s * shift[0] + c * shift[1])
    return replace(view, origin=(view.origin[0] + float(back[0]), view.origin[1] + float(back[1])))
