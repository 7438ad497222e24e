"""The loss of a heat map network: targets made on the device, summed over coarse and fine outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ..heatmaps import distribution_as_heatmaps, encode, to_map
from .cross_entropy import binary_cross_entropy, spatial_cross_entropy
from .pixelwise import adaptive_wing, exponential_weighted_center, squared_error


class LossConfig(BaseModel):
    """Which loss.

    Attributes:
        name: ``ewc`` (exponential weighted center, FARNet's own), ``mse``, or ``adaptive_wing``; ``cross_entropy``,
            by which a map is a distribution over its pixels: how sure it is can be believed; ``bce`` (binary
            cross-entropy) for the interactive network, whose outputs are logits, and for no other.
        alpha: of ``ewc``.
        height: of the target Gaussians, for ``mse`` (DenseSeg's baseline has 44); what comes out is divided by it.
        sigma: deviation of the target Gaussians, in pixels of each map itself, so that the maps of a coarser
            output are wider on the image (FARNet, Section 3.4). The decoders are exact from 1.5 on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["ewc", "mse", "adaptive_wing", "cross_entropy", "bce"] = "ewc"
    alpha: float = Field(40.0, ge=1)
    height: float = Field(1.0, gt=0)
    sigma: float = Field(10.0, ge=1.5)

    def heatmaps(self, output: torch.Tensor) -> torch.Tensor:
        """Heat maps (B, K, H, W) of the output of a network that was trained by this loss."""
        if self.name == "cross_entropy":
            return distribution_as_heatmaps(output, self.sigma)
        return output if self.height == 1 else output / self.height


class HeatmapLoss(nn.Module):
    """Mean of the pixelwise loss over the maps of all visible landmarks, summed over a network's outputs.

    Args:
        config: which loss.
        strides: of the network's outputs.
    """

    def __init__(self, config: LossConfig, strides: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.strides = tuple(strides)

    def forward(self, outputs: Sequence[torch.Tensor], points: torch.Tensor) -> torch.Tensor:
        """Loss of a batch, a scalar.

        Args:
            outputs: maps (B, K, H / s, W / s) for each stride s.
            points: (B, K, 2), (x, y) in pixels of the input. A landmark with NaN counts nowhere; one that an
                augmentation moved outside has the tail of its Gaussian as target.
        """
        visible = torch.isfinite(points).all(dim=-1)
        total = outputs[0].new_zeros((), dtype=torch.float32)
        target = torch.empty(0)
        for index, (maps, stride) in enumerate(zip(outputs, self.strides, strict=True)):
            if index == 0 or stride != self.strides[index - 1]:  # outputs of one stride share it
                target = self._target(points, maps, stride)
            per_map = self._per_map(maps.float(), target)
            counted = visible & self._inside(target)
            total = total + (per_map * counted).sum() / counted.sum().clamp(min=1)
        return total

    def _target(self, points: torch.Tensor, maps: torch.Tensor, stride: int) -> torch.Tensor:
        """Gaussians (B, K, H, W) around points in pixels of the input, in the memory format of the maps."""
        height, width = maps.shape[-2:]
        last = maps.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return encode(to_map(points.float(), stride), (width, height), self.config.sigma, layout)

    def _inside(self, target: torch.Tensor) -> torch.Tensor:
        """Which maps (B, K) have a target: for a distribution, half of the Gaussian at least must lie inside."""
        if self.config.name != "cross_entropy":
            return torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)
        return target.sum(dim=(-2, -1)) > math.pi * self.config.sigma**2

    def _per_map(self, maps: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss (B, K) of each map."""
        if self.config.name == "bce":
            return binary_cross_entropy(maps, target)
        if self.config.name == "cross_entropy":
            return spatial_cross_entropy(maps, target)
        if self.config.name == "ewc":
            return exponential_weighted_center(maps, target, self.config.alpha).mean(dim=(-2, -1))
        if self.config.name == "mse":
            return squared_error(maps, target * self.config.height).mean(dim=(-2, -1))
        return adaptive_wing(maps, target).mean(dim=(-2, -1))
