"""Measures of error."""

from .correlation import mse_fraction, pearson_rho
from .interaction import failure_rate, manual_revision, number_of_clicks
from .radial import Summary, radial_errors, success_rate, summarize

__all__ = [
    "Summary",
    "failure_rate",
    "manual_revision",
    "mse_fraction",
    "number_of_clicks",
    "pearson_rho",
    "radial_errors",
    "success_rate",
    "summarize",
]
