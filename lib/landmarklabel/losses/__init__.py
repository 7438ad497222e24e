"""Losses between heat maps, and between the landmarks that they show."""

from .heatmap_loss import HeatmapLoss, LossConfig
from .morphology import MorphologyLoss
from .morphology_sets import MorphologyConfig, MorphologySets, isotropic
from .training_loss import TrainingLoss

__all__ = [
    "HeatmapLoss",
    "LossConfig",
    "MorphologyConfig",
    "MorphologyLoss",
    "MorphologySets",
    "TrainingLoss",
    "isotropic",
]
