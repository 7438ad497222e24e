"""What a network's heat maps say of where each landmark is, kept as the few pixels that stand out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class MapEvidence:
    """For each landmark a likelihood over the plane: some pixels of a heat map, and the same floor everywhere.

    Attributes:
        places: (K, P, 2), centres of pixels that stand out, (x, y) in pixels of the image, 64-bit floats.
        weights: (K, P), by how much more likely than the floor each is; 0 does not count.
        pixel: (2,), size of a map's pixel in image pixels.
    """

    places: torch.Tensor
    weights: torch.Tensor
    pixel: torch.Tensor

    @classmethod
    def from_maps(
        cls, maps: torch.Tensor, scale: ArrayLike, offset: ArrayLike, sharpness: float, floor: float, most: int = 256
    ) -> MapEvidence:
        """The pixels that stand out of heat maps, on the device where they are.

        Args:
            maps: (K, H, W); what is below 0 counts as 0.
            scale, offset: (2,): map pixel (x, y) lies at ``(x, y) * scale + offset`` in the image.
            sharpness: power to which the values are taken.
            floor: value that stands for "anywhere".
            most: how many pixels of each map to keep.
        """
        count, height, width = maps.shape
        values, positions = maps.reshape(count, -1).topk(min(most, height * width), dim=1)
        weights = (values.double().clamp(min=0) / floor) ** sharpness
        steps = torch.as_tensor(scale, dtype=torch.float64, device=maps.device)
        first = torch.as_tensor(offset, dtype=torch.float64, device=maps.device)
        at = torch.stack([positions % width, positions // width], dim=-1).double()
        return cls(at * steps + first, weights, steps.abs())

    def only(self, indices: torch.Tensor) -> MapEvidence:
        """That of some landmarks (C,)."""
        return MapEvidence(self.places[indices], self.weights[indices], self.pixel)

    def faded(self, factor: float) -> MapEvidence:
        """The same pixels, so much less likely."""
        return MapEvidence(self.places, self.weights * factor, self.pixel)

    def on_grid(self, first: ArrayLike, step: ArrayLike, size: Sequence[int]) -> torch.Tensor:
        """The log of 1 + weight at other places: linear between pixels, and 0 where no pixel stands out.

        In the log, as weights of maps that are read sharply reach beyond 32-bit floats.

        Args:
            first, step: (2,): column and row (i, j) lie at ``first + (i, j) * step`` in the image.
            size: (rows, columns).

        Returns:
            (K, rows, columns), 32-bit floats on the CPU.
        """
        places, logs, pixel = self.places.cpu(), self.weights.log1p().cpu().float(), self.pixel.cpu()
        corner = places.flatten(0, 1).amin(dim=0)
        at = ((places - corner) / pixel).round().long()
        width, height = (int(most) + 1 for most in at.flatten(0, 1).amax(dim=0))
        whole = torch.zeros(len(at), height * width)
        whole.scatter_(1, at[..., 1] * width + at[..., 0], logs)
        # As parts of the maps' extent, from -1 at its left or upper edge to 1 at the other.
        starts = (torch.as_tensor(first, dtype=torch.float64) - corner) / pixel + 0.5
        steps = torch.as_tensor(step, dtype=torch.float64) / pixel
        columns, rows = (
            ((start + torch.arange(count) * gap) / side * 2 - 1).float()
            for start, gap, count, side in zip(starts, steps, (size[1], size[0]), (width, height), strict=True)
        )
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        return F.grid_sample(whole.view(1, len(at), height, width), grid[None], align_corners=False)[0]

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(part.element_size() * part.nelement() for part in (self.places, self.weights))

    def multiply(self, mean: torch.Tensor, covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each landmark's normal distribution times its likelihood: the moments of the product.

        Args:
            mean: (..., K, 2) and covariance: (..., K, 2, 2) of each landmark, in image pixels.

        Returns:
            log of the total (..., K), mean (..., K, 2) and covariance (..., K, 2, 2).
        """
        within = torch.diag(self.pixel**2 / 12)  # a pixel is a square, not a point
        precision = torch.linalg.inv(covariance + within)
        offset = self.places - mean[..., None, :]
        distance = ((offset @ precision) * offset).sum(dim=-1)
        scale = self.pixel.prod() * torch.linalg.det(precision).sqrt() / (2 * math.pi)
        parts = self.weights * scale[..., None] * torch.exp(-distance / 2)
        total = 1 + parts.sum(dim=-1)
        parts = parts / total[..., None]
        weighted = (parts[..., None] * offset).transpose(-1, -2)
        moved = weighted.sum(dim=-1)
        spread = weighted @ offset + parts.sum(dim=-1)[..., None, None] * within
        spread = spread + covariance / total[..., None, None] - moved[..., :, None] * moved[..., None, :]
        return total.log(), mean + moved, spread
