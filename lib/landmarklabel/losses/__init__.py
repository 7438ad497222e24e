"""Losses between heat maps, and :class:`HeatmapLoss`, which makes the targets and sums over a network's outputs."""

from .heatmap_loss import HeatmapLoss, LossConfig

__all__ = ["HeatmapLoss", "LossConfig"]
