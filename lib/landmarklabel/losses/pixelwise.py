"""Losses of heat maps, pixel by pixel: (..., H, W) predicted and true to (..., H, W)."""

from __future__ import annotations

import math

import torch


def squared_error(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(H - H')^2 (FARNet, Eq. 2)."""
    return (predicted - target).square()


def exponential_weighted_center(predicted: torch.Tensor, target: torch.Tensor, alpha: float = 40.0) -> torch.Tensor:
    """alpha^H (H - H')^2: errors count up to alpha times more near a landmark (FARNet, Eq. 3)."""
    return torch.exp(target * math.log(alpha)) * (predicted - target).square()


def adaptive_wing(
    predicted: torch.Tensor,
    target: torch.Tensor,
    omega: float = 14.0,
    theta: float = 0.5,
    epsilon: float = 1.0,
    alpha: float = 2.1,
) -> torch.Tensor:
    """Adaptive Wing loss (Wang et al., ICCV 2019, Eq. 3): logarithmic for small errors, sharper near a landmark.

    The linear part continues the logarithmic one at ``theta`` with the same value and slope.
    """
    error = (predicted - target).abs()
    power = alpha - target
    ratio = theta / epsilon
    slope = omega * power * ratio ** (power - 1) / epsilon / (1 + ratio**power)
    start = theta * slope - omega * torch.log1p(ratio**power)
    # The unused branch must stay finite too, or its gradient would be NaN.
    inner = omega * torch.log1p((error.clamp(1e-12, theta) / epsilon) ** power)
    return torch.where(error < theta, inner, slope * error - start)
