"""Transforms of image and points together."""

from .augmentation import Augmentation, AugmentationConfig
from .placement import Fit, Placement

__all__ = ["Augmentation", "AugmentationConfig", "Fit", "Placement"]
