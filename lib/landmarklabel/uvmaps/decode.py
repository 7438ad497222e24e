"""Points read off uv-maps: where in the image a place of the mean shape is, on the device of the maps."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field

from .regions import Regions
from .template import Template

#: A mask of fewer pixels, or of a smaller part of the box of the mean shape, is tiny.
_FEWEST, _SMALLEST = 8, 0.02

#: A mask of more than so many of these boxes is too large: its surest pixels are taken.
_LARGEST = 2.0

#: How far from its strongest place a structure reaches: in halves of its longer side, and in pixels.
_WINDOW, _WINDOW_MARGIN = 2.0, 3.0

#: Pixels^2, the variance along each axis of a point that is known to its pixel.
_PIXEL = 1 / 12

#: Image pixels per template pixel, squared: what a map may have and be believed.
_SCALES = (0.25, 4.0)

#: A weight below this is none: sums with numbers as small as floats can be take several times as long.
_NO_WEIGHT = 1e-20
_FAR = -math.log(_NO_WEIGHT)

#: Weights of pixels that are in memory at a time.
_AT_ONCE = 2**22


class UVDecoderConfig(BaseModel):
    """How points are read off uv-maps.

    Attributes:
        method: ``softmin``: the mean of the nearest pixels in uv, as the paper (DenseSeg, Eq. 3). ``local_linear``:
            a line through all pixels of the mask, weighted by their nearness in uv, read where the uv is the
            target's. Landmarks of an outline have pixels on one side only, to which a mean is drawn.
        neighbours: of ``softmin``: how many pixels; the paper's K.
        sharpness: of ``softmin``: weights exp(-sharpness d), d the distance in uv; the paper has 1.
        bandwidth: of ``local_linear``: deviation of the Gaussian weights, in pixels of the template.
        ridge: of ``local_linear``: pull of the slope towards that of the whole mask, in squared pixels of the template:
            more is steadier where the map is noisy, and follows a bent map less.
        reach: of ``local_linear``: how far outside the mask a point may come to lie, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Literal["local_linear", "softmin"] = "local_linear"
    neighbours: int = Field(5, ge=1)
    sharpness: float = Field(1.0, gt=0)
    bandwidth: float = Field(2.5, gt=0)
    ridge: float = Field(0.3, gt=0)
    reach: float = Field(1.5, ge=0)


class Targets(NamedTuple):
    """Places on the mean shapes: landmarks of the protocol, or any other.

    Attributes:
        region: (T,), long, the region off whose map each is read.
        uv: (T, 2).
    """

    region: torch.Tensor
    uv: torch.Tensor

    @classmethod
    def landmarks(cls, regions: Regions, template: Template) -> Targets:
        """The landmarks of the protocol, each in its home."""
        uv = template.uv[regions.home, np.arange(len(regions.home))]
        return cls(torch.from_numpy(regions.home).long(), torch.from_numpy(uv).float())


class UVPoints(NamedTuple):
    """What was read off.

    Attributes:
        points: (B, T, 2), (x, y) in pixels of the maps. NaN where the target's uv is NaN or the map is nowhere finite.
        covariance: (B, T, 2, 2), in squared pixels: the second moment of the pixels, as they were weighted, about the
            point, and a pixel's own. Pixels that do not agree, or are far from the target, make it wide. NaN as points.
        confidence: (B, T), in [0, 1]: the mask's probability at these pixels times how narrow they lie, against what a
            perfect map gives. 0 where the point is NaN.
    """

    points: torch.Tensor
    covariance: torch.Tensor
    confidence: torch.Tensor


def decode(
    logits: torch.Tensor,
    uv: torch.Tensor,
    targets: Targets,
    extent: torch.Tensor,
    config: UVDecoderConfig | None = None,
) -> UVPoints:
    """Where the targets are, by the pixels of the predicted mask (p > 0.5) whose uv is nearest to theirs.

    Where a mask is empty or tiny, the most probable pixels stand in, as many as the box of the mean shape has; the
    confidence is then as low as their probability.

    Args:
        logits: (B, R, H, W) of the masks.
        uv: (B, R, 2, H, W), cartesian; pixels that are not finite do not count.
        targets: T places.
        extent: (R, 2), half the width and height of the mean shapes' boxes, in pixels of the maps.
        config: how; local linear by default.
    """
    config = config or UVDecoderConfig()
    logits = logits.detach().to(_precise(logits.dtype))
    uv, place, extent = (each.detach().to(logits) for each in (uv, targets.uv, extent))
    region = targets.region.to(logits.device)
    batch, number = len(logits), len(region)
    points = logits.new_full((batch, number, 2), math.nan)
    covariance = logits.new_full((batch, number, 2, 2), math.nan)
    confidence = logits.new_zeros((batch, number))
    known = place.isfinite().all(dim=-1)
    for index in region[known].unique().tolist():
        wanted = (known & (region == index)).nonzero().flatten()
        for image in range(batch):
            pixels = _pixels(logits[image, index], uv[image, index], extent[index])
            if len(pixels.position) == 0:
                continue
            chunks = wanted.split(max(1, _AT_ONCE // len(pixels.position)))
            found = [_read(pixels, place[chunk] * extent[index], extent[index], config) for chunk in chunks]
            points[image, wanted], covariance[image, wanted], confidence[image, wanted] = map(
                torch.cat, zip(*found, strict=True)
            )
    return UVPoints(points, covariance, confidence)


def likelihoods(
    logits: torch.Tensor, uv: torch.Tensor, targets: Targets, extent: torch.Tensor, sigma: float
) -> torch.Tensor:
    """How likely each pixel is each target, as heat maps: mask probability times exp(-d^2 / 2 sigma^2).

    Args:
        logits: (B, R, H, W) of the masks.
        uv: (B, R, 2, H, W), cartesian.
        targets: T places.
        extent: (R, 2), half the width and height of the mean shapes' boxes, in pixels of the maps.
        sigma: in pixels of the template, as the distance d of a pixel's uv to the target's.

    Returns:
        (B, T, H, W), in [0, 1]; next to nothing where a uv is not finite. Made one image and region at a time.
    """
    probability = logits.to(_precise(logits.dtype)).sigmoid()
    uv, place, extent = (each.to(probability) for each in (uv, targets.uv, extent))
    region = targets.region.to(logits.device)
    maps = probability.new_empty((len(logits), len(region), *logits.shape[-2:]))
    for index in region.unique().tolist():
        wanted = (region == index).nonzero().flatten()
        scale = extent[index] / (math.sqrt(2) * sigma)
        for image in range(len(logits)):
            u, v = uv[image, index] * scale[:, None, None]
            at_u, at_v = (place[wanted] * scale).T[..., None, None]
            distance = (u - at_u).square_().add_((v - at_v).square_())
            distance.nan_to_num_(nan=_FAR).clamp_(max=_FAR)
            maps[image, wanted] = distance.neg_().exp_().mul_(probability[image, index])
    return maps


class _Pixels(NamedTuple):
    """Those of an image that a region's points are read off, P.

    Attributes:
        position: (P, 2), (x, y).
        shape: (P, 2), their places on the mean shape, in template pixels from the middle of its box.
        probability: (P,), of the mask.
    """

    position: torch.Tensor
    shape: torch.Tensor
    probability: torch.Tensor


def _precise(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32


def _pixels(logits: torch.Tensor, uv: torch.Tensor, extent: torch.Tensor) -> _Pixels:
    """Those of the mask (H, W) around its strongest place, of a map (2, H, W).

    Where there are too few, the most probable ones; of many more than the mean shape's box has, those.
    """
    width = logits.shape[1]
    near = _around_strongest(logits, extent)
    logits, uv = logits.flatten(), uv.flatten(1)
    every = _finite(near.flatten().nonzero()[:, 0], uv)
    index = every[logits[every] > 0]
    box = float(4 * extent.prod())
    if len(index) < max(_FEWEST, _SMALLEST * box):
        index = every[logits[every].topk(min(len(every), max(_FEWEST, math.ceil(box)))).indices]
    elif len(index) > max(_FEWEST, _LARGEST * box):
        index = index[logits[index].topk(max(_FEWEST, math.ceil(_LARGEST * box))).indices]
    position = torch.stack([index % width, torch.div(index, width, rounding_mode="floor")], dim=-1)
    return _Pixels(position.to(uv), uv[:, index].T * extent, logits[index].sigmoid())


def _around_strongest(logits: torch.Tensor, extent: torch.Tensor) -> torch.Tensor:
    """Which pixels (H, W) are around the place where a box of the mean shape holds most of a mask.

    A network that takes one vertebra for two has both in its mask; a landmark is in one.
    """
    height, width = logits.shape
    part = logits.nan_to_num(-torch.inf).flatten().softmax(dim=0).view(1, 1, height, width).nan_to_num(0.0)
    across, down = (2 * math.ceil(float(half)) + 1 for half in extent.clamp(max=max(height, width)))
    along = F.avg_pool2d(part, (1, across), 1, (0, across // 2))
    held = F.avg_pool2d(along, (down, 1), 1, (down // 2, 0))[0, 0]
    y, x = divmod(int(held.argmax()), width)
    reach = _WINDOW * float(extent.max()) + _WINDOW_MARGIN
    near_x = (torch.arange(width, device=logits.device) - x).abs() <= reach
    near_y = (torch.arange(height, device=logits.device) - y).abs() <= reach
    return near_y[:, None] & near_x[None]


def _finite(index: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Of the pixels (P,) those where the flattened map (2, HW) is finite."""
    return index[uv[:, index].isfinite().all(dim=0)]


def _read(
    pixels: _Pixels, target: torch.Tensor, extent: torch.Tensor, config: UVDecoderConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Point (T, 2), covariance (T, 2, 2) and confidence (T,) of targets (T, 2) in template pixels."""
    slope, middle = _affine(pixels)
    scale = slope.det().abs().clamp(*_SCALES)  # squared pixels of the image per one of the template
    if config.method == "softmin":
        weights = _softmin(pixels.shape / extent, target / extent, config)
        perfect = torch.tensor(min(config.neighbours, len(pixels.position)) / math.pi)  # the nearest, in a half disc
    else:
        weights = _gaussian(pixels.shape, target, config.bandwidth)
        perfect = 2 * config.bandwidth**2 * scale
    # Of the affine map's residuals, not of positions: small numbers, which lose nothing in single precision.
    both = torch.cat([pixels.shape, pixels.position - middle - pixels.shape @ slope.T], dim=1)
    mean, spread = _moments(weights, both)
    to_image = torch.cat([slope, torch.eye(2).to(slope)], dim=1)  # of place and residual
    centre = mean @ to_image.T + middle
    if config.method == "softmin":
        points, offset = centre, (target - mean[:, :2]) @ slope.T
    else:
        correction = spread[:, 2:, :2] @ _inverse(spread[:, :2, :2] + config.ridge * torch.eye(2).to(slope))
        offset = ((slope + correction) @ (target - mean[:, :2])[..., None])[..., 0]
        points = _within_reach(centre + offset, pixels.position, config.reach)
    covariance = to_image @ spread @ to_image.T + offset[..., None] * offset[..., None, :]
    covariance = covariance + _PIXEL * torch.eye(2).to(slope)
    narrow = (perfect + 2 * _PIXEL) / covariance.diagonal(dim1=1, dim2=2).sum(dim=-1)
    confidence = (weights @ pixels.probability) * narrow.sqrt().clamp(max=1.0)
    return points, covariance, confidence.clamp(0.0, 1.0)


def _affine(pixels: _Pixels) -> tuple[torch.Tensor, torch.Tensor]:
    """The slope (2, 2) and the shift (2,) that take places on the mean shape to the image, for the mask as a whole.

    With a slight pull of the slope to the template's own scale: few pixels, or some on one line, have none.
    """
    place, position = pixels.shape.mean(dim=0), pixels.position.mean(dim=0)
    centred = pixels.shape - place
    pull = torch.eye(2).to(centred)
    crossed = (pixels.position - position).T @ centred / len(centred)
    slope = (crossed + pull) @ _inverse(centred.T @ centred / len(centred) + pull)
    return slope, position - slope @ place


def _softmin(uv: torch.Tensor, target: torch.Tensor, config: UVDecoderConfig) -> torch.Tensor:
    """Weights (T, P) of the nearest pixels, those of the others 0."""
    distance = torch.cdist(target, uv, compute_mode="donot_use_mm_for_euclid_dist")
    nearest, index = distance.topk(min(config.neighbours, len(uv)), dim=1, largest=False)
    return torch.zeros_like(distance).scatter_(1, index, (-config.sharpness * nearest).softmax(dim=1))


def _gaussian(shape: torch.Tensor, target: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """Weights (T, P) that fall with the distance, relative to the nearest pixel, however far that is."""
    weights = (_squared_distance(target, shape) / (-2 * bandwidth**2)).softmax(dim=1)
    return F.threshold(weights, _NO_WEIGHT, 0.0)


def _squared_distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(N, M) between points (N, 2) and (M, 2), by one product of matrices."""
    one, other = one - other.mean(dim=0), other - other.mean(dim=0)
    squares = other.square().sum(dim=1)[None] + one.square().sum(dim=1)[:, None]
    return torch.addmm(squares, one, other.T, alpha=-2.0)


def _moments(weights: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (T, D) and covariance (T, D, D) of values (P, D) under weights (T, P) of sum 1."""
    mean = weights @ values
    products = (values[:, :, None] * values[:, None]).flatten(1)
    return mean, (weights @ products).unflatten(1, (values.shape[1],) * 2) - mean[..., None] * mean[:, None]


def _inverse(matrices: torch.Tensor) -> torch.Tensor:
    """Of (..., 2, 2): in closed form, where a call to a solver costs more than all else."""
    (a, b), (c, d) = (row.unbind(dim=-1) for row in matrices.unbind(dim=-2))
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=-2)
    return adjugate / (a * d - b * c)[..., None, None]


def _within_reach(points: torch.Tensor, pixels: torch.Tensor, reach: float) -> torch.Tensor:
    """Points (T, 2), those that lie further from all pixels (P, 2) moved towards the nearest."""
    nearest = pixels[_squared_distance(points, pixels).min(dim=1).indices]
    step = points - nearest
    length = step.norm(dim=1, keepdim=True)
    return nearest + step * (reach / length.clamp(min=1e-9)).clamp(max=1.0)
