"""What DenseSeg minimises: segmentation, uv-maps, landmarks on them, and how much the maps vary (Eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ..heatmaps import to_map
from ..networks.denseseg import DenseSeg, split
from ..uvmaps import to_polar, uv_map


class DenseLossConfig(BaseModel):
    """Weights of the parts; those of the paper by default (Section 3.4, found by search).

    Attributes:
        segmentation: of the binary cross-entropy.
        mapping: of the uv-maps, half for all pixels and half at the landmarks.
        variation: of the total variation of the uv-maps.
        dense: whether all pixels are told their uv; False for the landmarks alone (the paper's ablation "sparse").
        location: of the cross-entropy over the pixels of an image, by which each structure is somewhere and nowhere
            else; 0 as published. Where many structures look alike, as vertebrae do, it tells them apart far sooner.
        positive: power to which the ratio of pixels outside to pixels inside a structure is taken, as what a pixel
            inside counts; 1 as published, 0 for no weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    segmentation: float = Field(0.1333, ge=0)
    mapping: float = Field(0.6667, ge=0)
    variation: float = Field(0.2, ge=0)
    dense: bool = True
    location: float = Field(0.0, ge=0)
    positive: float = Field(1.0, ge=0, le=1)


class DenseTargets(NamedTuple):
    """What a batch of images is to be mapped to.

    Attributes:
        masks: (B, R, H, W) bool.
        known: (B, R), whether the mask says which pixels are inside.
        uv: (B, R, 2, H, W), NaN where a pixel has no place.
    """

    masks: torch.Tensor
    known: torch.Tensor
    uv: torch.Tensor


class DenseLoss(nn.Module):
    """The sum of all parts, each a mean over structures, so that small ones count as much as large ones.

    Args:
        config: weights.
        network: whose regions and template the targets are of.
        positive: (R,) what a pixel inside counts in the cross-entropy; see :func:`positive_weights`.
    """

    def __init__(self, config: DenseLossConfig, network: DenseSeg, positive: torch.Tensor) -> None:
        super().__init__()
        self.config, self.regions, self.shape = config, network.regions, network.mean_shape
        self.polar, self.stride = network.coordinates == "polar", network.strides[-1]
        template = torch.from_numpy(self.shape.uv).float()
        self.template: torch.Tensor
        self.positive: torch.Tensor
        self.register_buffer("template", to_polar(template) if self.polar else template)
        self.register_buffer("positive", positive)

    def forward(self, outputs: Sequence[torch.Tensor], targets: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Loss of a batch, a scalar.

        Args:
            outputs: of the network.
            targets: points (B, K, 2) in pixels of the input, NaN where absent; what such a pixel is in mm, (B, 2); and,
                if there are label images, what they say of each region: (B, R, H, W), 1 inside, 0 outside, 255 unknown.
        """
        points, _, *drawn = targets
        points = to_map(points, self.stride)
        # In reading order once, not again for each part of the loss.
        logits, uv = (part.float().contiguous() for part in split(outputs[-1]))
        wanted = self.targets(points, (logits.shape[-1], logits.shape[-2]), drawn[0] if drawn else None)
        config, inside = self.config, wanted.masks & torch.isfinite(wanted.uv).all(dim=2)
        mapping = self.at_landmarks(uv, points)
        if config.dense:
            mapping = mapping + self.at_pixels(uv, wanted.uv, inside)
        return (
            config.segmentation * self.of_masks(logits, wanted)
            + config.mapping / 2 * mapping
            + config.variation * self.variation(uv, inside)
            + (config.location * self.of_location(logits, wanted) if config.location else 0.0)
        )

    def targets(self, points: torch.Tensor, size: tuple[int, int], drawn: torch.Tensor | None = None) -> DenseTargets:
        """Masks and uv-maps of points (B, K, 2) in pixels of maps of ``size`` (W, H), on their device."""
        arrays = points.detach().double().cpu().numpy()

        def of_image(each: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[bool]]:
            whole = [bool(np.isfinite(each[members]).all()) for members in self.regions.members]
            return self.regions.masks(each, size), uv_map(each, size, self.regions, self.shape), whole

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            found = list(zip(*pool.map(of_image, arrays), strict=True))
        masks, uv, known = (torch.from_numpy(np.stack(part)).to(points.device) for part in found)
        if drawn is not None:
            said = drawn != 255
            masks, known = torch.where(said, drawn == 1, masks), known | said.flatten(2).all(dim=2)
        return DenseTargets(masks, known, to_polar(uv, dim=2) if self.polar else uv)

    def of_masks(self, logits: torch.Tensor, wanted: DenseTargets) -> torch.Tensor:
        """Binary cross-entropy of the regions whose masks are known."""
        weight = self.positive[:, None, None]
        each = F.binary_cross_entropy_with_logits(logits, wanted.masks.float(), pos_weight=weight, reduction="none")
        return _mean(each.mean(dim=(2, 3)), wanted.known)

    def of_location(self, logits: torch.Tensor, wanted: DenseTargets) -> torch.Tensor:
        """-log of what a softmax over all pixels leaves inside the structure, of those that are in the image."""
        flat, inside = logits.flatten(2), wanted.masks.flatten(2)
        within = torch.where(inside, flat, -torch.inf)
        there = wanted.known & inside.any(dim=2)
        part = within.where(there[..., None], flat).logsumexp(dim=2) - flat.logsumexp(dim=2)
        return _mean(-part, there)

    def at_pixels(self, uv: torch.Tensor, wanted: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Mean distance, |du| + |dv| over 2, of the pixels inside their structure."""
        pixels = _Pixels(inside)
        distance = self._difference(pixels.take(uv), pixels.take(wanted), dim=1).abs().mean(dim=1)
        return pixels.mean(distance)

    def at_landmarks(self, uv: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """The same at the true landmarks, where the map is read bilinearly; the hull ends there."""
        height, width = uv.shape[-2:]
        scale = points.new_tensor([2 / width, 2 / height])
        grid = ((points + 0.5) * scale - 1)[:, None].float()
        seen = torch.isfinite(grid).all(dim=-1)[:, 0] & (grid.abs() <= 1).all(dim=-1)[:, 0]
        at = F.grid_sample(uv.flatten(1, 2), grid.nan_to_num(0.0), padding_mode="border", align_corners=False)
        found = at[:, :, 0].unflatten(1, (-1, 2)).transpose(2, 3)  # (B, R, K, 2)
        member = torch.isfinite(self.template).all(dim=-1) & seen[:, None]
        distance = self._difference(found, self.template.nan_to_num(0.0), dim=3).abs().mean(dim=3)
        count = member.sum(dim=2)
        return _mean((distance * member).sum(dim=2) / count.clamp(min=1), count > 0)

    def variation(self, uv: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Total variation: mean step between neighbours that are both inside."""
        steps = []
        for axis, distance in ((-1, 1), (-2, uv.shape[-1])):
            both = torch.zeros_like(inside)
            length = inside.shape[axis] - 1
            both.narrow(axis, 0, length).copy_(inside.narrow(axis, 1, length) & inside.narrow(axis, 0, length))
            pixels = _Pixels(both)
            step = self._difference(pixels.take(uv, distance), pixels.take(uv), dim=1)
            steps.append(pixels.mean(step.abs().mean(dim=1)))
        return (steps[0] + steps[1]) / 2

    def _difference(self, a: torch.Tensor, b: torch.Tensor, dim: int) -> torch.Tensor:
        """a - b; of polar coordinates the angle's the short way round."""
        difference = a - b
        if not self.polar:
            return difference
        radius, angle = difference.unbind(dim)
        return torch.stack([radius, torch.remainder(angle + 1, 2) - 1], dim)


class _Pixels:
    """The pixels where a mask (B, R, H, W) is set: a few of each structure, so that losses cost no whole maps."""

    def __init__(self, mask: torch.Tensor) -> None:
        self._at = mask.flatten().nonzero()[:, 0]
        self._area = mask.shape[-2] * mask.shape[-1]
        self._structures = mask.shape[0] * mask.shape[1]

    def take(self, maps: torch.Tensor, further: int = 0) -> torch.Tensor:
        """Values (P, 2) of maps (B, R, 2, H, W) at these pixels, or so many pixels further in reading order."""
        first = self._at + torch.div(self._at, self._area, rounding_mode="floor") * self._area + further
        # One look at both, since the gradient of each look is a whole map.
        return maps.flatten()[torch.stack([first, first + self._area], dim=1)]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over structures of the mean over each structure's pixels, of values (P,)."""
        structure = torch.div(self._at, self._area, rounding_mode="floor")
        count = torch.bincount(structure, minlength=self._structures)
        total = values.new_zeros(self._structures).index_add(0, structure, values)
        return _mean(total / count.clamp(min=1), count > 0)


def positive_weights(network: DenseSeg, points: torch.Tensor, size: tuple[int, int], power: float) -> torch.Tensor:
    """Pixels outside by pixels inside (R,) over the training set, to a power (DenseSeg, Section 2.1.3).

    Of a region, images without one of its landmarks say nothing, unless there are no others.

    Args:
        points: (N, K, 2) in pixels of the input; NaN absent.
        size: (W, H) of the input.
    """
    regions, arrays = network.regions, points.double().numpy()
    parts = np.stack([regions.masks(each, size).mean(axis=(1, 2)) for each in arrays])
    whole = np.stack([np.isfinite(arrays[:, members]).all(axis=(1, 2)) for members in regions.members], axis=1)
    whole |= ~whole.any(axis=0)
    inside = np.clip((parts * whole).sum(axis=0) / whole.sum(axis=0), 1e-6, 1 - 1e-6)
    return torch.from_numpy(((1 - inside) / inside) ** power).float()


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Over those that count; 0 if none does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
