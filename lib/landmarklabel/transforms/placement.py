"""How an image of any size is placed into a network's input: the one resize of image and points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray

Fit = Literal["stretch", "letterbox"]


@dataclass(frozen=True)
class Placement:
    """A resize of a whole image into an input, that maps image and points alike, and points back.

    A resize by s maps x to (x + 0.5) s - 0.5: outlines of images fall onto each other, not centres of corner pixels.

    Attributes:
        source: (W, H) of the image.
        target: (W, H) of the input.
        fit: ``stretch`` fills the input; ``letterbox`` keeps the aspect and centres the image between bars.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    fit: Fit = "stretch"

    @cached_property
    def inner(self) -> tuple[int, int]:
        """(W, H) of the resized image inside the input, in whole pixels."""
        if self.fit == "stretch":
            return self.target
        scale = min(self.target[0] / self.source[0], self.target[1] / self.source[1])
        width, height = (min(max(1, round(n * scale)), t) for n, t in zip(self.source, self.target, strict=True))
        return width, height

    @cached_property
    def offset(self) -> tuple[int, int]:
        """Where the resized image starts in the input, (x, y) in pixels."""
        return (self.target[0] - self.inner[0]) // 2, (self.target[1] - self.inner[1]) // 2

    @cached_property
    def scale(self) -> NDArray[np.float64]:
        """Input pixels per image pixel, (sx, sy)."""
        return np.array(self.inner, dtype=np.float64) / np.array(self.source, dtype=np.float64)

    def points(self, points: ArrayLike) -> NDArray[np.float64]:
        """Image pixels (..., 2) to input pixels."""
        return (np.asarray(points, dtype=np.float64) + 0.5) * self.scale - 0.5 + np.array(self.offset)

    def points_back(self, points: ArrayLike) -> NDArray[np.float64]:
        """Input pixels (..., 2) to image pixels."""
        return (np.asarray(points, dtype=np.float64) - np.array(self.offset) + 0.5) / self.scale - 0.5

    def image(self, image: torch.Tensor) -> torch.Tensor:
        """An image (H, W) of floats to the input (H', W'), smoothed where it shrinks; bars hold the least value."""
        width, height = self.inner
        resized = F.interpolate(image[None, None], (height, width), mode="bilinear", antialias=True)[0, 0]
        if self.inner == self.target:
            return resized
        canvas = torch.full((self.target[1], self.target[0]), float(resized.min()), dtype=image.dtype)
        x, y = self.offset
        canvas[y : y + height, x : x + width] = resized
        return canvas
