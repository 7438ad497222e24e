"""The morphology-aware loss (interactive keypoints, Section 2.3): distances and angles between predicted landmarks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..heatmaps import from_map, local_points
from .morphology_sets import MorphologyConfig, MorphologySets, isotropic


class MorphologyLoss(nn.Module):
    """L1 of distances and 1 - cosine of angles between predicted and true landmarks, each a mean over its set.

    Lengths are in pixels of the input, made isotropic: angles of a stretched image are not those of the patient.

    Args:
        config: criterion and weights.
        sets: whose distances and angles; None for ``coordinates``, the L1 of the points themselves.
        stride: of the maps.
        sigma: of the targets, in pixels of the maps.
        logits: whether the maps are given as logits.
    """

    def __init__(
        self, config: MorphologyConfig, sets: MorphologySets | None, stride: int, sigma: float, logits: bool
    ) -> None:
        super().__init__()
        self.config, self.stride, self.sigma, self.logits = config, stride, sigma, logits
        self.pairs: torch.Tensor
        self.triplets: torch.Tensor
        sets = sets or MorphologySets()
        self.register_buffer("pairs", torch.tensor(sets.pairs, dtype=torch.long).reshape(-1, 2))
        self.register_buffer("triplets", torch.tensor(sets.triplets, dtype=torch.long).reshape(-1, 3))

    def forward(self, maps: torch.Tensor, points: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Loss of a batch, weighted, a scalar.

        Args:
            maps: (B, K, H, W), the final ones.
            points: true (B, K, 2) in pixels of the input; what a landmark with NaN is part of does not count.
            unit: (B, 2), what a pixel of the input is in mm along x and y.
        """
        predicted = from_map(local_points(maps, self.sigma, logits=self.logits), self.stride)
        visible = torch.isfinite(points).all(dim=-1)
        true = torch.where(visible[..., None], points, 0.0)
        predicted, true = isotropic(predicted, unit), isotropic(true, unit)
        if self.config.criterion == "coordinates":
            return self.config.weight * _mean((predicted - true).abs().mean(dim=-1), visible)
        distances = self.config.weight * self._distances(predicted, true, visible)
        return distances + self.config.angle_weight * self._angles(predicted, true, visible)

    def _distances(self, predicted: torch.Tensor, true: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        first, second = self.pairs.unbind(1)
        lengths, expected = ((points[:, first] - points[:, second]).norm(dim=-1) for points in (predicted, true))
        return _mean((lengths - expected).abs(), visible[:, first] & visible[:, second])

    def _angles(self, predicted: torch.Tensor, true: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        cosine = F.cosine_similarity(self._angle_vectors(predicted), self._angle_vectors(true), dim=-1)
        return _mean(1 - cosine, visible[:, self.triplets].all(dim=-1))

    def _angle_vectors(self, points: torch.Tensor) -> torch.Tensor:
        """(B, T, 2): cosine and sine of each angle, times the lengths of its arms."""
        arm, vertex, other = (points[:, index] for index in self.triplets.unbind(1))
        a, b = arm - vertex, other - vertex
        return torch.stack([(a * b).sum(dim=-1), a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]], dim=-1)


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    return (values * counted).sum() / counted.sum().clamp(min=1)
