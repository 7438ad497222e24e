"""Measures of error."""

from .correlation import mse_fraction, pearson_rho
from .radial import Summary, radial_errors, success_rate, summarize

__all__ = ["Summary", "mse_fraction", "pearson_rho", "radial_errors", "success_rate", "summarize"]
