"""The interactive network as one would first write it: the same layers and weights, nothing kept, nothing left out.

All hints and previous maps are made and convolved at full resolution, most of them empty; every click runs the network
from the image on; auxiliary and final maps are brought to full resolution; memory is in PyTorch's default format.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from landmarklabel.losses import MorphologyLoss
from landmarklabel.networks import InteractiveNetwork


class Straightforward(nn.Module):
    """Logits (B, K, H, W), auxiliary and final, with the layers of a network whose hints enter at the stem."""

    def __init__(self, network: InteractiveNetwork) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.contiguous_format)

    def forward(
        self, images: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of images (B, 3, H, W), clicks (B, K, 2), NaN where there is none, and previous maps (B, K, H, W)."""
        network, size = self.network, images.shape[-2:]
        hints = full_size_gaussians(clicks, (size[1], size[0]), network.hints.mix.encoder.sigma)
        mixed = network.hints.mix.mix(torch.cat([previous, hints], dim=1))
        stem = network.backbone.stem(images)
        stem = stem + network.hints.scale.abs() * network.hints.conv(F.leaky_relu(mixed, 0.2))
        first = network.backbone.stage1(stem)
        last = network.backbone.stages(first)
        gate = network.gate
        seen = torch.cat([first, F.interpolate(hints, first.shape[-2:], mode="bilinear")], dim=1)
        last = last * gate.activation(gate.weigh(gate.pool(gate.convs(seen))))
        auxiliary, final = network.head(last)
        return F.interpolate(auxiliary, size, mode="bilinear"), F.interpolate(final, size, mode="bilinear")


def full_size_gaussians(points: torch.Tensor, size: tuple[int, int], sigma: float) -> torch.Tensor:
    """(B, K, H, W) for an image of ``size`` (W, H); empty where a point is NaN."""
    y, x = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="ij")
    squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    return torch.exp(-squared / (2 * sigma**2)).nan_to_num(0.0)


class StraightforwardLoss(nn.Module):
    """Cross-entropy of both outputs by PyTorch's own loss, and the morphology loss."""

    def __init__(self, sigma: float, morphology: MorphologyLoss) -> None:
        super().__init__()
        self.sigma, self.morphology = sigma, morphology
        self.cross_entropy = nn.BCEWithLogitsLoss()

    def forward(
        self, outputs: tuple[torch.Tensor, torch.Tensor], targets: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Of outputs (B, K, H, W) and true points (B, K, 2) with what a pixel is in mm (B, 2)."""
        points, unit = targets
        maps = full_size_gaussians(points, (outputs[0].shape[-1], outputs[0].shape[-2]), self.sigma)
        heatmaps = sum(self.cross_entropy(logits, maps) for logits in outputs)
        return heatmaps + self.morphology(outputs[-1], points, unit)
