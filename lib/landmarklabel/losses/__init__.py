"""Losses: between heat maps, between the landmarks that they show, and of dense maps."""

from .dense import DenseLoss, DenseLossConfig, positive_weights
from .heatmap_loss import HeatmapLoss, LossConfig
from .morphology import MorphologyLoss
from .morphology_sets import MorphologyConfig, MorphologySets, isotropic
from .training_loss import TrainingLoss

__all__ = [
    "DenseLoss",
    "DenseLossConfig",
    "HeatmapLoss",
    "LossConfig",
    "MorphologyConfig",
    "MorphologyLoss",
    "MorphologySets",
    "TrainingLoss",
    "isotropic",
    "positive_weights",
]
