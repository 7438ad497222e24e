"""A radiograph: one 2D image with its geometry.

Two different things are called "spacing", and mixing them up moves points:

- :class:`Geometry` says where a pixel lies in the world (LPS, millimetres) *as viewers see it*. It equals what
  SimpleITK, and with it 3D Slicer, make of the same file, so that a point written by us lands on the same pixel
  there, even where that reading of the header is a poor estimate of the true size.
- :attr:`Radiograph.spacing` says how many millimetres of anatomy a pixel is, as well as the file can tell, and
  :attr:`Radiograph.spacing_source` from where that is known. Errors and measurements use it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ImageError

Array = NDArray[np.float64]


class SpacingSource(str, Enum):
    """Where :attr:`Radiograph.spacing` comes from, best first."""

    PIXEL_SPACING = "PixelSpacing"
    IMAGER_PIXEL_SPACING_MAGNIFIED = "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor"
    IMAGER_PIXEL_SPACING = "ImagerPixelSpacing"
    FILE = "file"
    GIVEN = "given"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Geometry:
    """The map between pixels and the world.

    Pixels are (x, y), 0-based, a pixel's centre at its integer coordinates. World coordinates are (x, y, z) in
    LPS, millimetres. The first two columns of ``direction`` are the directions of x and y in the world.

    Attributes:
        size: (W, H) in pixels.
        spacing: (sx, sy), world millimetres from one pixel to the next.
        origin: world position of pixel (0, 0), shape (3,).
        direction: direction cosines, shape (3, 3), as SimpleITK's ``GetDirection`` in rows.
    """

    size: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ImageError(f"an image of {self.size[0]} x {self.size[1]} pixels has no pixels")
        if not (np.all(np.isfinite(self.spacing)) and min(self.spacing) > 0):
            raise ImageError(f"pixel spacing must be positive, got {self.spacing[0]:g} x {self.spacing[1]:g}")
        if abs(np.linalg.det(np.reshape(self.direction, (3, 3)))) < 1e-6:
            raise ImageError(f"the direction cosines {self.direction} do not span a plane")

    @cached_property
    def _axes(self) -> Array:
        """World step for one pixel in x and in y, shape (3, 2)."""
        return np.reshape(self.direction, (3, 3))[:, :2] * np.asarray(self.spacing)

    @cached_property
    def _inverse_axes(self) -> Array:
        return np.asarray(np.linalg.pinv(self._axes))

    def pixel_to_world(self, points: ArrayLike) -> Array:
        """Pixels (..., 2) to world (..., 3), LPS mm. NaN stays NaN."""
        points = np.asarray(points, dtype=np.float64)
        # Element by element, not a matrix product: BLAS may answer differently for one point than for many.
        x, y = points[..., :1], points[..., 1:2]
        return np.asarray(self.origin) + (x * self._axes[:, 0] + y * self._axes[:, 1])

    def world_to_pixel(self, points: ArrayLike) -> Array:
        """World (..., 3), LPS mm, to pixels (..., 2), along the image's normal. NaN stays NaN."""
        offset = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        return np.asarray((offset[..., None, :] * self._inverse_axes).sum(axis=-1))

    def distance_from_plane(self, points: ArrayLike) -> Array:
        """How far world points (..., 3) lie from the image's plane, in mm, shape (...)."""
        offset = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        normal = np.cross(self._axes[:, 0], self._axes[:, 1])
        return np.abs((offset * (normal / np.linalg.norm(normal))).sum(axis=-1))

    def contains(self, points: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which pixels (..., 2) lie on the image, whose outline is half a pixel beyond the outer centres.

        Args:
            points: pixels, shape (..., 2); NaN is not on the image.
            margin: how far outside still counts, in pixels.
        """
        points = np.asarray(points, dtype=np.float64)
        low, high = -0.5 - margin, np.asarray(self.size) - 0.5 + margin
        with np.errstate(invalid="ignore"):
            return np.asarray(np.all((points >= low) & (points <= high), axis=-1))


@dataclass(frozen=True)
class Radiograph:
    """One 2D image with its geometry.

    Attributes:
        pixels: (H, W), the file's own values (after rescaling), bright = dense, whatever the file's convention.
        geometry: the map between pixels and the world.
        spacing: (sx, sy), millimetres of anatomy a pixel; (1, 1) where unknown.
        spacing_source: where ``spacing`` comes from.
        window: (low, high) of the display window that the file recommends, in the values of ``pixels``, or None.
        source: file name or id, for messages.
    """

    pixels: NDArray[np.generic]
    geometry: Geometry
    spacing: tuple[float, float] = (1.0, 1.0)
    spacing_source: SpacingSource = SpacingSource.UNKNOWN
    window: tuple[float, float] | None = None
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2:
            raise ImageError(f"{self.source or 'image'}: expected one 2D image, got shape {self.pixels.shape}")
        height, width = self.pixels.shape
        if (width, height) != tuple(self.geometry.size):
            raise ImageError(
                f"{self.source or 'image'}: {width} x {height} pixels, but a geometry for "
                f"{self.geometry.size[0]} x {self.geometry.size[1]}"
            )
        if np.issubdtype(self.pixels.dtype, np.floating) and not np.isfinite(self.pixels).all():
            raise ImageError(f"{self.source or 'image'}: some pixels are not finite numbers")

    @classmethod
    def from_array(cls, pixels: NDArray[np.generic], spacing: tuple[float, float] | None = None) -> Radiograph:
        """An image from memory: ``pixels`` (H, W), bright = dense; ``spacing`` (sx, sy) in mm, or None if unknown."""
        pixels = np.asarray(pixels)
        if pixels.ndim != 2:
            raise ImageError(f"expected one 2D image of shape (H, W), got shape {pixels.shape}")
        known = spacing is not None
        spacing = spacing or (1.0, 1.0)
        geometry = Geometry(size=(pixels.shape[1], pixels.shape[0]), spacing=spacing)
        return cls(pixels, geometry, spacing, SpacingSource.GIVEN if known else SpacingSource.UNKNOWN)

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) in pixels."""
        return self.geometry.size

    @property
    def spacing_known(self) -> bool:
        """Whether ``spacing`` is in millimetres; False: one unit is one pixel."""
        return self.spacing_source is not SpacingSource.UNKNOWN

    def display(self) -> NDArray[np.uint8]:
        """The image as a viewer would show it first: (H, W), 8 bit, in the file's window or its 0.5 to 99.5 % range."""
        if self.window is not None:
            low, high = self.window
        else:
            low, high = intensity_range(self.pixels)
        scale = 255.0 / max(high - low, 1e-12)
        values = (self.pixels.astype(np.float32) - low) * scale
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def intensity_range(pixels: NDArray[np.generic], low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Robust (low, high) of an image: its percentiles, measured on at most some 250,000 of its pixels.

    Networks see the image scaled by this range, not by its window: a window is for display only.
    """
    step = max(1, int(np.sqrt(pixels.size / 250_000)))
    sample = pixels[::step, ::step].astype(np.float64)
    a, b = (float(v) for v in np.percentile(sample, (low, high)))
    if b <= a:  # almost one value only: fall back to the full range
        a, b = float(sample.min()), float(sample.max())
    return a, b
