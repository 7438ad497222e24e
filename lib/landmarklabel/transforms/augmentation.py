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
        window: (W, H), only so much of a varied image is learned from at a time, with a landmark drawn at random in its
            middle half; None: all of it. For networks that need no more to know a landmark.
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
    window: tuple[int, int] | None = None

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
            images, of the size of the window if there is one, and points in their pixels, varied together.
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
        size = images.shape[-2:]
        if self.config.window is not None:
            size, corners = self._draw_windows(transform_points(points, matrices.to(points.device)), size, generator)
            matrices = torch.cat([matrices[:, :, :2], matrices[:, :, 2:] - corners[:, :, None]], dim=2)
        images = warp(images, matrices.to(images.device), size)
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

    def _draw_windows(
        self, points: torch.Tensor, shape: torch.Size, generator: torch.Generator
    ) -> tuple[torch.Size, torch.Tensor]:
        """Size (H, W) of the windows, and their upper left corners (B, 2), in pixels of the varied images."""
        assert self.config.window is not None
        whole = torch.tensor([shape[1], shape[0]], dtype=torch.float64)
        window = torch.minimum(torch.tensor(self.config.window, dtype=torch.float64), whole)
        points = points.double().cpu()
        inside = ((points >= 0) & (points < whole)).all(dim=-1)  # not of NaN
        drawn = (torch.rand(inside.shape, generator=generator) * inside).argmax(dim=1)
        aimed = points[torch.arange(len(points)), drawn]
        aimed = torch.where(inside.any(dim=1)[:, None], aimed, whole / 2)
        beside = (torch.rand(aimed.shape, generator=generator, dtype=torch.float64) - 0.5) * window / 2
        corners = (aimed + beside - window / 2).clamp(min=0).minimum(whole - window)
        return torch.Size([int(window[1]), int(window[0])]), corners

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


def warp(images: torch.Tensor, matrices: torch.Tensor, size: torch.Size | None = None) -> torch.Tensor:
    """Images (B, H, W) by affine matrices (B, 2, 3) from their pixels to those of the result.

    Bilinear; what comes from outside repeats the border.

    Args:
        size: (H, W) of the result; that of the images by default.
    """
    grid = _grid(images.shape[-2:], size or images.shape[-2:], matrices, images.dtype)
    return F.grid_sample(images[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def warp_masks(masks: torch.Tensor, matrices: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Masks (B, R, H, W), bytes, by affine matrices (B, 2, 3) of images that are ``stride`` times as large.

    Nearest pixel; what comes from outside is outside. An unknown region stays unknown.
    """
    centre = (stride - 1) / 2  # of a mask's first pixel, in pixels of the image
    offset = matrices[:, :, :2].sum(dim=2) * centre + matrices[:, :, 2] - centre
    own = torch.cat([matrices[:, :, :2], offset[:, :, None] / stride], dim=2)
    inside = (masks == 1).float()
    grid = _grid(masks.shape[-2:], masks.shape[-2:], own, inside.dtype)
    warped = F.grid_sample(inside, grid, mode="nearest", align_corners=False)
    unknown = (masks == UNKNOWN).flatten(2).any(dim=2)[:, :, None, None]
    return warped.byte().masked_fill(unknown, UNKNOWN)


def _grid(size: torch.Size, to: torch.Size, matrices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Where in an image (H, W) each pixel of a result (H, W) comes from, as ``grid_sample`` wants it."""
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(len(matrices), 1, 3)
    there = _to_unit(to, matrices) @ torch.cat([matrices, last], dim=1)
    back = _to_unit(size, matrices) @ torch.linalg.inv(there)
    return F.affine_grid(back[:, :2].to(dtype), [len(matrices), 1, *to], align_corners=False)


def _to_unit(size: torch.Size, like: torch.Tensor) -> torch.Tensor:
    """From pixels to the units of ``affine_grid``, where an image's outline is [-1, 1]."""
    height, width = size
    return like.new_tensor([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
