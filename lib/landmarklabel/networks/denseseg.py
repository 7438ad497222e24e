"""DenseSeg: one trunk with two heads; one segments, the other gives every pixel its place on the mean shape.

Keuth et al., 2024, Section 3.3 and Figure 2. With MONAI's UNet as trunk and five structures it has 6.81 million
parameters, as published. A backbone with FARNet's aggregation as trunk sees the whole image, and costs a fraction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ..errors import ModelError
from ..protocol import Protocol
from ..transforms.intensity import SYMMETRIC
from ..uvmaps import Regions, Targets, Template
from .backbones import Backbone
from .base import LandmarkNetwork, heatmap_head
from .farnet import MSFA
from .residual import feature_unet, residual_head

Coordinates = Literal["cartesian", "polar"]


class DenseSegConfig(BaseModel):
    """The network.

    Attributes:
        backbone: None for the paper's UNet; or a timm model, whose features are aggregated as FARNet does (MSFA), with
            maps at stride 2.
        pretrained: True, False, or a file of weights, of a backbone.
        channels: of each level of the UNet; each level halves the size.
        residual_units: in each level of the UNet.
        features: of each pixel, which both heads share.
        structures: of the protocol, that are segmented; None for all closed ones. Where they leave out a landmark,
            it is read off a further region, the hull of all landmarks.
        coordinates: of uv: ``cartesian``, or ``polar``: distance from the middle of a structure, and angle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["denseseg"] = "denseseg"
    backbone: str | None = None
    pretrained: bool | str = True
    channels: tuple[int, ...] = Field((64, 128, 256, 512), min_length=2)
    residual_units: int = Field(2, ge=1)
    features: int = Field(64, ge=4, multiple_of=2)
    structures: tuple[str, ...] | None = None
    coordinates: Coordinates = "cartesian"

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 2 ** (len(self.channels) - 1) if self.backbone is None else 32

    @property
    def stride(self) -> int:
        """Of the maps."""
        return 1 if self.backbone is None else 2


class DenseSeg(LandmarkNetwork):
    """Logits of R regions and their uv-maps, as one tensor (B, 3 R, H / s, W / s); see :func:`split`.

    What the uv-maps refer to, the template, is part of the network: it is saved with the weights.
    """

    def __init__(self, config: DenseSegConfig, protocol: Protocol) -> None:
        super().__init__()
        self.regions = Regions.of(protocol, config.structures)
        self.coordinates = config.coordinates
        count = len(self.regions)
        if config.backbone is None:
            self.strides, self.normalisation = (config.stride,), SYMMETRIC
            self.trunk: nn.Module = _Grey(feature_unet(config.channels, config.residual_units, config.features))
            head: Callable[[int, int], nn.Sequential] = residual_head
        else:
            self.strides, self.memory_format = (config.stride,), torch.channels_last
            self.trunk, head = _Aggregated(config.backbone, config.pretrained, 4 * config.features), heatmap_head
        self.segmentation, self.mapping = head(config.features, count), head(config.features, 2 * count)
        self.template: torch.Tensor
        self.extent: torch.Tensor
        self.register_buffer("template", torch.full((count, len(protocol), 2), torch.nan))
        self.register_buffer("extent", torch.ones(count, 2))

    def learn_template(self, points: torch.Tensor) -> None:
        """Refer to the mean shapes of points (N, K, 2) in pixels of the input, NaN where absent.

        Raises:
            DataError: a region is in no label.
        """
        learned = Template.learn(points.double().numpy(), self.regions)
        self.template.copy_(torch.from_numpy(learned.uv))
        self.extent.copy_(torch.from_numpy(learned.extent))

    @property
    def mean_shape(self) -> Template:
        """The template, for making uv-maps.

        Raises:
            ModelError: it was not learned yet.
        """
        if bool(self.template.isnan().all()):
            raise ModelError("the network has no mean shape yet; train it, or call learn_template first")
        return Template(self.template.double().cpu().numpy(), self.extent.double().cpu().numpy())

    @property
    def targets(self) -> Targets:
        """Where the protocol's landmarks are read off, each of its own region."""
        return Targets.landmarks(self.regions, self.mean_shape)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features = self.trunk(images)
        return [torch.cat([self.segmentation(features), self.mapping(features)], dim=1)]


class _Grey(nn.Module):
    """The UNet, of one channel: of a radiograph all three are alike."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.unet(images[:, :1])
        return features


class _Aggregated(nn.Module):
    """A backbone with FARNet's multi-scale feature aggregation: width / 4 features of each pixel, at stride 2."""

    def __init__(self, backbone: str, pretrained: bool | str, width: int) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, pretrained)
        self._skipped = int(self.backbone.strides[0] == 1)
        self.msfa = MSFA(self.backbone.channels[self._skipped :], width, "concat")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.msfa(self.backbone(images)[self._skipped :])
        return features


def split(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, R, H, W) and uv (B, R, 2, H, W) of an output (B, 3 R, H, W)."""
    count = output.shape[1] // 3
    return output[:, :count], output[:, count:].unflatten(1, (count, 2))
