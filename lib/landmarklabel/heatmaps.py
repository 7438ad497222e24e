"""Heat maps: points to maps and back, batched, on the device of their input.

Coordinates are (x, y) in pixels of the map, 0-based, a pixel's centre at its integer coordinates. A network's
map of stride s relates to its input as a resize by 1 / s: see :func:`to_map` and :func:`from_map`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field


def to_map(points: torch.Tensor, stride: float) -> torch.Tensor:
    """Input pixels (..., 2) to pixels of a map of that stride."""
    return (points + 0.5) / stride - 0.5


def from_map(points: torch.Tensor, stride: float) -> torch.Tensor:
    """Pixels (..., 2) of a map of that stride to input pixels."""
    return (points + 0.5) * stride - 0.5


def encode(
    points: torch.Tensor,
    size: tuple[int, int],
    sigma: float,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> torch.Tensor:
    """Heat maps of points: an unnormalised Gaussian around each, its maximum 1 (FARNet, Eq. 1).

    Args:
        points: (..., 2), (x, y) in pixels of the map; not rounded. NaN gives an empty map.
        size: (W, H) of the maps.
        sigma: standard deviation in pixels of the map.
        memory_format: ``channels_last`` for (B, K, H, W) beside such maps: mixed formats cost several times as much.

    Returns:
        (..., H, W), on the device and of the type of ``points``.
    """
    width, height = size

    def along(length: int, centre: torch.Tensor) -> torch.Tensor:
        grid = torch.arange(length, device=points.device, dtype=points.dtype)
        return torch.exp(-((grid - centre[..., None]) ** 2) / (2 * sigma**2))

    present = torch.isfinite(points).all(dim=-1)
    points = torch.where(present[..., None], points, torch.zeros_like(points))
    # A Gaussian is the product of one along x and one along y: H + W exponentials a map, not H times W.
    rows, columns = along(height, points[..., 1]) * present[..., None], along(width, points[..., 0])
    if memory_format == torch.channels_last:  # a product has the format of its factors
        rows, columns = (factor.transpose(-1, -2).contiguous().transpose(-1, -2) for factor in (rows, columns))
    return rows[..., :, None] * columns[..., None, :]


def distribution_as_heatmaps(logits: torch.Tensor, sigma: float) -> torch.Tensor:
    """Distributions over the pixels of maps, scaled so that the surest that was trained has height 1.

    Args:
        logits: (..., H, W); the softmax over the pixels of a map is its distribution.
        sigma: of the Gaussians, in pixels of the map, that the distributions were trained to be.

    Returns:
        (..., H, W); of sum ``2 pi sigma^2``.
    """
    height, width = logits.shape[-2:]
    return logits.float().flatten(-2).softmax(dim=-1).unflatten(-1, (height, width)) * (2 * math.pi * sigma**2)


class DecoderConfig(BaseModel):
    """How points are read off heat maps.

    Attributes:
        method: ``maximum``: the brightest pixel. ``soft_argmax``: the centre of mass of the whole map.
            ``local_soft_argmax``: the centre of mass around the brightest pixel, weights exp(sharpness h / max h).
            ``dark``: the maximum of a Gaussian through it (Zhang et al., CVPR 2020).
        sharpness: of ``local_soft_argmax``; 10 is what interactive-keypoints uses.
        smoothing: of ``dark``: deviation of the Gaussian that smooths a map first, as a part of the maps' sigma.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Literal["maximum", "soft_argmax", "local_soft_argmax", "dark"] = "local_soft_argmax"
    sharpness: float = Field(10.0, gt=0)
    smoothing: float = Field(0.5, ge=0)


def decode(
    heatmaps: torch.Tensor, sigma: float, config: DecoderConfig | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of heat maps.

    Args:
        heatmaps: (B, K, H, W).
        sigma: standard deviation, in pixels of the maps, of the Gaussians that they were trained to be.
        config: how; local soft-argmax by default.

    Returns:
        points (B, K, 2), (x, y) in pixels of the maps, and confidence (B, K) in [0, 1], the height of the peak.
    """
    config = config or DecoderConfig()
    heatmaps = heatmaps.float()
    peak, top = _maximum(heatmaps)
    if config.method == "soft_argmax":
        points = _centre_of_mass(heatmaps)
    elif config.method == "local_soft_argmax":
        points = _local_soft_argmax(heatmaps, peak, top, sigma, config.sharpness)
    elif config.method == "dark":
        points = _dark(heatmaps, peak, sigma, config.smoothing)
    else:
        points = peak.float()
    return points, top.clamp(0.0, 1.0)


def local_points(maps: torch.Tensor, sigma: float, sharpness: float = 10.0, logits: bool = False) -> torch.Tensor:
    """Centres of mass around the brightest pixels, through which gradients flow: for losses between points.

    The weights are exp(sharpness h), as interactive keypoints has them: a map without a peak pulls at nothing.

    Args:
        maps: (B, K, H, W), or their ``logits``.
        sigma: standard deviation, in pixels of the maps, of the Gaussians that they are trained to be.

    Returns:
        (B, K, 2), (x, y) in pixels of the maps.
    """
    peak, _ = _maximum(maps.detach())
    sharpness = _limited(sharpness, sigma)
    patch = _patches(maps, peak, _reach(sigma, sharpness))
    inside = torch.isfinite(patch)
    # Without NaN before the exponential, since it would come back as a gradient.
    values = patch.nan_to_num(0.0).float()
    values = values.sigmoid() if logits else values
    return peak + _centre_of_patch(torch.exp(sharpness * values) * inside)


def _maximum(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Position (B, K, 2) and height (B, K) of the brightest pixel."""
    top, index = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[-1]
    return torch.stack([index % width, torch.div(index, width, rounding_mode="floor")], dim=-1), top


def _centre_of_mass(heatmaps: torch.Tensor) -> torch.Tensor:
    weights = heatmaps.clamp(min=0)
    total = weights.sum(dim=(2, 3)).clamp(min=1e-12)
    height, width = heatmaps.shape[-2:]
    x = (weights.sum(dim=2) * torch.arange(width, device=heatmaps.device)).sum(dim=2) / total
    y = (weights.sum(dim=3) * torch.arange(height, device=heatmaps.device)).sum(dim=2) / total
    return torch.stack([x, y], dim=-1)


def _patches(heatmaps: torch.Tensor, centres: torch.Tensor, radius: int) -> torch.Tensor:
    """Squares (B, K, 2 radius + 1, 2 radius + 1) around pixels (B, K, 2); NaN outside the map."""
    height, width = heatmaps.shape[-2:]
    step = torch.arange(-radius, radius + 1, device=heatmaps.device)
    x = centres[..., 0, None] + step
    y = centres[..., 1, None] + step
    inside = ((x >= 0) & (x < width))[..., None, :] & ((y >= 0) & (y < height))[..., :, None]
    index = y.clamp(0, height - 1)[..., :, None] * width + x.clamp(0, width - 1)[..., None, :]
    values = heatmaps.flatten(2).gather(2, index.flatten(2)).view(index.shape)
    return torch.where(inside, values, torch.full_like(values, math.nan))


def _local_soft_argmax(
    heatmaps: torch.Tensor, peak: torch.Tensor, top: torch.Tensor, sigma: float, sharpness: float
) -> torch.Tensor:
    sharpness = _limited(sharpness, sigma)
    patch = _patches(heatmaps, peak, _reach(sigma, sharpness))
    height = top.clamp(min=1e-6)[..., None, None]
    return peak + _centre_of_patch(torch.exp(sharpness * (patch / height - 1)).nan_to_num(0.0))


# The weights of a Gaussian map fall like a Gaussian of sigma / sqrt(sharpness).


def _limited(sharpness: float, sigma: float) -> float:
    """So that the weights stay wide enough for the pixel grid."""
    return min(sharpness, 4 * sigma**2)


def _reach(sigma: float, sharpness: float) -> int:
    """Radius of a patch that holds the weights."""
    return max(1, math.ceil(3.2 * sigma / math.sqrt(sharpness)))


def _centre_of_patch(weights: torch.Tensor) -> torch.Tensor:
    """Centres of mass (B, K, 2) of squares (B, K, 2 radius + 1, 2 radius + 1), from their middle."""
    radius = weights.shape[-1] // 2
    step = torch.arange(-radius, radius + 1, device=weights.device, dtype=weights.dtype)
    total = weights.sum(dim=(2, 3)).clamp(min=1e-12)
    x = (weights.sum(dim=2) * step).sum(dim=2) / total
    y = (weights.sum(dim=3) * step).sum(dim=2) / total
    return torch.stack([x, y], dim=-1)


def _dark(heatmaps: torch.Tensor, peak: torch.Tensor, sigma: float, smoothing: float) -> torch.Tensor:
    """The maximum of the quadratic through the logarithm of the smoothed map around its brightest pixel."""
    reach = math.ceil(2 * smoothing * sigma)
    patch = _patches(heatmaps, peak, reach + 1).nan_to_num(0.0).clamp(min=1e-10)
    if reach:
        step = torch.arange(-reach, reach + 1, device=heatmaps.device, dtype=patch.dtype)
        kernel = torch.exp(-(step**2) / (2 * (smoothing * sigma) ** 2))
        kernel = kernel / kernel.sum()
        side = 2 * reach + 3
        flat = patch.view(-1, 1, side, side)
        patch = F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1)).view(*peak.shape[:2], 3, 3)
    log = patch.log()
    dx, dy = (log[..., 1, 2] - log[..., 1, 0]) / 2, (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] - 2 * log[..., 1, 1] + log[..., 1, 0]
    dyy = log[..., 2, 1] - 2 * log[..., 1, 1] + log[..., 0, 1]
    dxy = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    determinant = dxx * dyy - dxy**2
    # Only a true maximum has an offset; on a ridge or a plateau the brightest pixel stays.
    proper = (determinant > 1e-12) & (dxx < 0)
    determinant = torch.where(proper, determinant, torch.ones_like(determinant))
    offset = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1) / determinant[..., None]
    offset = torch.where(proper[..., None], offset, torch.zeros_like(offset)).clamp(-1.5, 1.5)
    return peak + offset
