"""What a training run minimises: the loss of the heat maps and, where wanted, that of the morphology."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .heatmap_loss import HeatmapLoss
from .morphology import MorphologyLoss


class TrainingLoss(nn.Module):
    """The sum of both (interactive keypoints, L_t).

    Args:
        heatmaps: over all of a network's outputs.
        morphology: over the last of them; None for none.
    """

    def __init__(self, heatmaps: HeatmapLoss, morphology: MorphologyLoss | None = None) -> None:
        super().__init__()
        self.heatmaps, self.morphology = heatmaps, morphology

    def forward(self, outputs: Sequence[torch.Tensor], targets: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Loss of a batch, a scalar.

        Args:
            outputs: of the network.
            targets: points (B, K, 2) in pixels of the input, and what such a pixel is in mm, (B, 2).
        """
        points, unit = targets
        loss = self.heatmaps(outputs, points)
        return loss if self.morphology is None else loss + self.morphology(outputs[-1], points, unit)
