"""Measures of error."""

from .calibration import coverage, mahalanobis
from .correlation import mse_fraction, pearson_rho
from .interaction import failure_rate, manual_revision, number_of_clicks
from .propagation import Reach, propagation
from .radial import Summary, radial_errors, success_rate, summarize

__all__ = [
    "Reach",
    "Summary",
    "coverage",
    "failure_rate",
    "mahalanobis",
    "manual_revision",
    "mse_fraction",
    "number_of_clicks",
    "pearson_rho",
    "propagation",
    "radial_errors",
    "success_rate",
    "summarize",
]
