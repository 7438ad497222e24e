"""How an image looks about a point: in which directions its edges run, in cells, at three resolutions.

Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), with the contrast of the surroundings taken out, so that
they hardly depend on exposure. They cost a few hundredths of a second, and no training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray

from ..radiograph import Radiograph
from ..transforms import Placement
from ..transforms.intensity import place_radiograph

Array = NDArray[np.float64]

#: Directions of an edge that are told apart, from dark to bright; cells on a side of what surrounds a point.
DIRECTIONS, WINDOW = 8, 8

#: Numbers that say how a point's surroundings look, at one resolution.
LENGTH = DIRECTIONS * WINDOW**2

#: Each resolution is half of the one before.
LEVELS = 3

# The image's longer side, in pixels in which gradients are taken, and the cells over which they are counted.
_SIDE, _CELL = 512, 2
_MULTIPLE = _CELL * 2 ** (LEVELS - 1)

# Contrast is measured over so many cells; less than this, of the image's range in 1, is noise. No edge counts for more.
_SURROUNDINGS, _NOISE, _MOST = 9, 0.02, 4.0


@dataclass(frozen=True)
class Gradients:
    """The histograms of one image.

    Attributes:
        levels: of each resolution, the finest first, (DIRECTIONS, H / 2**level, W / 2**level).
        placement: of the image in the pixels in which gradients are taken.
    """

    levels: tuple[torch.Tensor, ...]
    placement: Placement

    @classmethod
    def of(cls, radiograph: Radiograph) -> Gradients:
        """Those of a radiograph, of any size and range."""
        scale = _SIDE / max(radiograph.size)
        width, height = (_MULTIPLE * max(1, round(scale * side / _MULTIPLE)) for side in radiograph.size)
        placement = Placement(radiograph.size, (width, height))
        pixels = place_radiograph(radiograph, placement)
        levels = [_histograms(pixels)]
        for _ in range(LEVELS - 1):
            pixels = F.avg_pool2d(pixels[None], 2)[0]
            levels.append(_histograms(pixels))
        return cls(tuple(levels), placement)

    def about(self, points: ArrayLike) -> torch.Tensor:
        """How the surroundings of points (N, 2), in pixels of the image, look: (LEVELS, N, LENGTH)."""
        placed = torch.from_numpy(self.placement.points(points)).float()
        steps = torch.arange(WINDOW) - (WINDOW - 1) / 2
        window = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        looks = []
        for level, cells in enumerate(self.levels):
            at = (placed + 0.5) / (_CELL * 2**level)  # from the image's corner, in cells
            size = torch.tensor([cells.shape[2], cells.shape[1]])
            grid = (at[:, None, None] + window) / size * 2 - 1
            # All windows in one call: one tall image of them.
            seen = F.grid_sample(cells[None], grid.flatten(0, 1)[None], padding_mode="border", align_corners=False)[0]
            looks.append(seen.view(DIRECTIONS, len(at), -1).transpose(0, 1).flatten(1))
        return torch.stack(looks)

    def scores(self, templates: torch.Tensor) -> torch.Tensor:
        """How well templates (LEVELS, K, LENGTH) fit, at each corner of the finest cells: (K, rows, columns).

        It is the product of each with :meth:`about` at :meth:`places`, summed over levels.
        """
        size = tuple(side + 1 for side in self.levels[0].shape[1:])
        total = torch.zeros(templates.shape[1], *size)
        for cells, rows in zip(self.levels, templates, strict=True):
            padded = F.pad(cells[None], (WINDOW // 2,) * 4, mode="replicate")
            fit = F.conv2d(padded, rows.view(-1, DIRECTIONS, WINDOW, WINDOW))
            same = fit.shape[2:] == size
            total += (fit if same else F.interpolate(fit, size, mode="bilinear", align_corners=True))[0]
        return total

    def places(self) -> tuple[Array, Array]:
        """Where the first corner of :meth:`scores` is, and how far the next one, (2,) each, in pixels of the image."""
        first, second = self.placement.points_back([[-0.5, -0.5], [_CELL - 0.5, _CELL - 0.5]])
        return first, second - first

    def background(self, count: int) -> Array:
        """Points (count, 2) all over the image, in its pixels, the same for every image of a size."""
        spread = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(count).double().numpy()
        return np.asarray(spread * np.array(self.placement.source) - 0.5)


def _histograms(pixels: torch.Tensor) -> torch.Tensor:
    """(DIRECTIONS, H / _CELL, W / _CELL) of pixels (H, W) in [0, 1]."""
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]) / 4, torch.tensor([-1.0, 0.0, 1.0]) / 2
    filters = torch.stack([smooth[:, None] * slope, slope[:, None] * smooth])[:, None]
    across, down = F.conv2d(F.pad(pixels[None, None], (1, 1, 1, 1), mode="replicate"), filters)[0]
    strength = torch.hypot(across, down)
    turn = torch.atan2(down, across) / (2 * math.pi) * DIRECTIONS
    before = turn.floor()
    part, first = turn - before, before.long() % DIRECTIONS
    counted = torch.zeros(DIRECTIONS, *pixels.shape)
    counted.scatter_(0, first[None], (strength * (1 - part))[None])
    counted.scatter_add_(0, (first[None] + 1) % DIRECTIONS, (strength * part)[None])
    cells = F.avg_pool2d(counted[None], _CELL)[0]
    half = _SURROUNDINGS // 2
    usual = F.avg_pool2d(cells.sum(0)[None, None], _SURROUNDINGS, 1, half, count_include_pad=False)[0, 0]
    return (cells / (usual + _NOISE)).clamp(max=_MOST)
