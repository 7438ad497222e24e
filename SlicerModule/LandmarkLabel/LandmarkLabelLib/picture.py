"""Reading an image off the main thread, as ITK reads it: the server does the same, so that the world is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .contract import Position, ServerError

#: Shares of the pixels between which a window lies, by the name that the reader sees.
WINDOWS = {
    "Whole range": (0.0, 100.0),
    "Balanced": (1.0, 99.0),
    "Bone": (40.0, 99.9),
    "Soft tissue": (1.0, 75.0),
}

_SAMPLES = 200_000


@dataclass(frozen=True)
class Picture:
    """The pixels of a radiograph and where they lie.

    Attributes:
        pixels: (H, W).
        to_lps: (4, 4), from (i, j, k) to LPS mm; k = 0 on the image.
        windows: name to (lowest, highest) value.
    """

    pixels: np.ndarray
    to_lps: np.ndarray
    windows: dict[str, tuple[float, float]]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.pixels.shape
        return width, height

    @property
    def to_ras(self) -> np.ndarray:
        """(4, 4), from (i, j, k) to RAS mm."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.to_lps

    def pixel(self, position: Position) -> tuple[float, float, float]:
        """LPS mm as (i, j, k)."""
        i, j, k = np.linalg.solve(self.to_lps, [*position, 1.0])[:3]
        return float(i), float(j), float(k)

    def on_image(self, position: Position, tolerance_mm: float = 1e-6) -> tuple[Position, bool]:
        """The nearest position on the image, and whether it is another one.

        A position that is on the image already stays as it is, to the last digit.
        """
        i, j, _ = self.pixel(position)
        width, height = self.size
        # A little inside the last pixels' outer edges, for what rounding does on the way to the server.
        i = min(max(i, -0.5 + 1e-6), width - 0.5 - 1e-6)
        j = min(max(j, -0.5 + 1e-6), height - 0.5 - 1e-6)
        nearest = self.to_lps @ [i, j, 0.0, 1.0]
        if np.abs(nearest[:3] - np.asarray(position)).max() <= tolerance_mm:
            return position, False
        return (float(nearest[0]), float(nearest[1]), float(nearest[2])), True


def read_picture(path: Path) -> Picture:
    """A file of one 2D radiograph.

    Raises:
        ServerError: it can't be read, or is no single image.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise ServerError("file", f"{Path(path).name} can't be read as an image.") from None
    size = image.GetSize()
    if len(size) not in (2, 3) or (len(size) == 3 and size[2] != 1):
        raise ServerError("file", f"{Path(path).name} is of size {size}; expected one 2D radiograph.")
    pixels = sitk.GetArrayFromImage(image)
    pixels = pixels[0] if len(size) == 3 else pixels
    if pixels.ndim == 3:  # colours; the last axis is theirs
        pixels = pixels[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    pixels = np.ascontiguousarray(pixels)
    return Picture(pixels, _to_lps(image), _windows(pixels))


def _to_lps(image: Any) -> np.ndarray:
    matrix = np.eye(4)
    dimension = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimension, dimension))
    matrix[:dimension, :dimension] = direction @ np.diag(image.GetSpacing())
    matrix[:dimension, 3] = image.GetOrigin()
    return matrix


def _windows(pixels: np.ndarray) -> dict[str, tuple[float, float]]:
    sample = pixels.ravel()[:: max(1, pixels.size // _SAMPLES)]
    shares = sorted({share for pair in WINDOWS.values() for share in pair})
    values = dict(zip(shares, np.percentile(sample, shares).tolist()))
    return {name: (values[low], max(values[high], values[low] + 1e-3)) for name, (low, high) in WINDOWS.items()}
