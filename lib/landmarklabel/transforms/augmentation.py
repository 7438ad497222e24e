"""Random transforms of a batch of images and their points, on the device where the network is.

Each random transform draws its parameters first and then calls a deterministic function with them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field

from ..protocol import Protocol
from ..uvmaps import Regions

#: In masks: nobody says what is inside this region.
UNKNOWN = 255


class AugmentationConfig(BaseModel):
    """How much training images vary. Zero switches a part off.

    Attributes:
        flip: mirror half of the images, labels with them, where the protocol's symmetry allows.
        rotation: up to this many degrees either way.
        scale: by a factor between 1 / (1 + scale) and 1 + scale.
        stretch: like ``scale``, for the ratio of width to height.
        translation: up to this part of the width and of the height.
        brightness: added to values in [0, 1], up to this much either way.
        contrast: values scaled about their middle, by a factor between 1 / (1 + contrast) and 1 + contrast.
        gamma: values to a power between 1 / (1 + gamma) and 1 + gamma.
        noise: standard deviation of added noise, drawn for each image between 0 and this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    flip: bool = True
    rotation: float = Field(10.0, ge=0, le=180)
    scale: float = Field(0.15, ge=0, le=1)
    stretch: float = Field(0.05, ge=0, le=1)
    translation: float = Field(0.05, ge=0, le=0.5)
    brightness: float = Field(0.1, ge=0, le=1)
    contrast: float = Field(0.25, ge=0, le=2)
    gamma: float = Field(0.3, ge=0, le=2)
    noise: float = Field(0.03, ge=0, le=1)

    @classmethod
    def none(cls) -> AugmentationConfig:
        """No augmentation."""
        return cls(
            flip=False, rotation=0, scale=0, stretch=0, translation=0, brightness=0, contrast=0, gamma=0, noise=0
        )


class Augmentation:
    """Random transforms for one protocol.

    Args:
        config: how much to vary.
        protocol: decides whether, and how, a flip changes the labels.
        regions: whose masks are varied, too; None if none are.
    """

    def __init__(self, config: AugmentationConfig, protocol: Protocol, regions: Regions | None = None) -> None:
        self.config = config
        order = protocol.flip_order if config.flip else None
        self.flip_order = None if order is None else torch.from_numpy(order)
        places = None if regions is None else regions.flip_order
        self.region_order = None if places is None else torch.from_numpy(places)

    def __call__(
        self, images: torch.Tensor, points: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vary a batch.

        Args:
            images: (B, H, W) in [0, 1].
            points: (B, K, 2), (x, y) in pixels of ``images``; NaN stays NaN. Points may leave the image.
            generator: on the CPU, so that the same seed gives the same batch on every device.

        Returns:
            images and points, varied together.
        """
        images, points, _ = self.vary(images, points, None, generator)
        return images, points

    def vary(
        self, images: torch.Tensor, points: torch.Tensor, masks: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The same with masks (B, R, H / s, W / s), bytes: 1 inside a region, 0 outside, 255 throughout one unknown."""
        matrices, flipped = self._draw_geometry(len(images), images.shape[-2:], generator)
        if masks is not None:
            masks = warp_masks(masks, matrices.to(masks.device), images.shape[-1] // masks.shape[-1])
            masks = self._exchanged(masks, flipped.to(masks.device)[:, None, None, None])
        images = warp(images, matrices.to(images.device))
        points = transform_points(points, matrices.to(points.device))
        if self.flip_order is not None:
            points = torch.where(flipped.to(points.device)[:, None, None], points[:, self.flip_order], points)
        return self._vary_intensity(images, generator), points, masks

    def _exchanged(self, masks: torch.Tensor, flipped: torch.Tensor) -> torch.Tensor:
        """Each region of a mirrored image in its own place; unknown where it is not clear which that is."""
        mirrored = torch.full_like(masks, UNKNOWN) if self.region_order is None else masks[:, self.region_order]
        return torch.where(flipped, mirrored, masks)

    def _draw_geometry(
        self, count: int, shape: tuple[int, int] | torch.Size, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrices (B, 2, 3) from pixels of the given to pixels of the varied image, and which are mirrored (B,)."""
        config, (height, width) = self.config, shape

        def uniform(limit: float) -> torch.Tensor:
            return (torch.rand(count, generator=generator, dtype=torch.float64) * 2 - 1) * limit

        angle = uniform(math.radians(config.rotation))
        scale = torch.exp(uniform(math.log1p(config.scale)))
        stretch = torch.exp(uniform(math.log1p(config.stretch)) / 2)
        shift = torch.stack([uniform(config.translation) * width, uniform(config.translation) * height], dim=1)
        # Drawn whether it is used or not, so that other draws do not depend on the protocol.
        flipped = torch.rand(count, generator=generator) < 0.5
        if self.flip_order is None:
            flipped = torch.zeros_like(flipped)
        mirror = torch.where(flipped, -1.0, 1.0).double()
        cos, sin = torch.cos(angle), torch.sin(angle)
        linear = torch.stack(
            [
                torch.stack([cos * scale * stretch * mirror, -sin * scale / stretch], dim=1),
                torch.stack([sin * scale * stretch * mirror, cos * scale / stretch], dim=1),
            ],
            dim=1,
        )
        centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
        offset = centre + shift - linear @ centre
        return torch.cat([linear, offset[:, :, None]], dim=2), flipped

    def _vary_intensity(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        config, count = self.config, len(images)

        def uniform(limit: float) -> torch.Tensor:
            values = (torch.rand(count, generator=generator) * 2 - 1) * limit
            return values.to(images.device)[:, None, None]

        gamma = torch.exp(uniform(math.log1p(config.gamma)))
        contrast = torch.exp(uniform(math.log1p(config.contrast)))
        brightness = uniform(config.brightness)
        deviation = uniform(config.noise).abs()
        images = (images.pow(gamma) - 0.5) * contrast + 0.5 + brightness
        if config.noise > 0:
            noise = torch.randn(images.shape, generator=generator).to(images.device)
            images = images + noise * deviation
        return images.clamp(0.0, 1.0)


def transform_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Points (B, K, 2) by affine matrices (B, 2, 3) in pixels."""
    matrices = matrices.to(points.dtype)
    return points @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]


def warp(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Images (B, H, W) by affine matrices (B, 2, 3) from their pixels to those of the result, same size.

    Bilinear; what comes from outside repeats the border.
    """
    grid = _grid(images.shape[-2:], matrices, images.dtype)
    return F.grid_sample(images[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def warp_masks(masks: torch.Tensor, matrices: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Masks (B, R, H, W), bytes, by affine matrices (B, 2, 3) of images that are ``stride`` times as large.

    Nearest pixel; what comes from outside is outside. An unknown region stays unknown.
    """
    centre = (stride - 1) / 2  # of a mask's first pixel, in pixels of the image
    offset = matrices[:, :, :2].sum(dim=2) * centre + matrices[:, :, 2] - centre
    own = torch.cat([matrices[:, :, :2], offset[:, :, None] / stride], dim=2)
    inside = (masks == 1).float()
    warped = F.grid_sample(inside, _grid(masks.shape[-2:], own, inside.dtype), mode="nearest", align_corners=False)
    unknown = (masks == UNKNOWN).flatten(2).any(dim=2)[:, :, None, None]
    return warped.byte().masked_fill(unknown, UNKNOWN)


def _grid(size: torch.Size, matrices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Where each pixel (H, W) of a result comes from, as ``grid_sample`` wants it."""
    height, width = size
    # affine_grid wants the way back, in units where the image's outline is [-1, 1].
    unit = matrices.new_tensor([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(len(matrices), 1, 3)
    back = unit @ torch.linalg.inv(torch.cat([matrices, last], dim=1)) @ torch.linalg.inv(unit)
    return F.affine_grid(back[:, :2].to(dtype), [len(matrices), 1, height, width], align_corners=False)
