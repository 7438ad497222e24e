"""Measures of error."""

from .calibration import coverage, mahalanobis
from .correlation import mse_fraction, pearson_rho
from .interaction import failure_rate, number_of_clicks
from .propagation import Reach, propagation
from .radial import Summary, radial_errors, success_rate, summarize
from .segmentation import (
    MEASURES,
    SegmentationScores,
    dice,
    landmark_to_mask_distances,
    score_segmentation,
    surface_distances,
)

__all__ = [
    "MEASURES",
    "Reach",
    "SegmentationScores",
    "Summary",
    "coverage",
    "dice",
    "failure_rate",
    "landmark_to_mask_distances",
    "mahalanobis",
    "mse_fraction",
    "number_of_clicks",
    "pearson_rho",
    "propagation",
    "radial_errors",
    "score_segmentation",
    "success_rate",
    "summarize",
    "surface_distances",
]
