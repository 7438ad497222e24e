"""A feature pyramid over a backbone as a heat map regressor: the baseline "FPN" of FARNet's Table 2."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
import torch.nn.functional as F
from monai.networks.blocks import FeaturePyramidNetwork
from pydantic import BaseModel, ConfigDict, Field

from .backbones import Backbone
from .base import LandmarkNetwork, heatmap_head


class FPNConfig(BaseModel):
    """A feature pyramid.

    Attributes:
        backbone: a timm model.
        pretrained: True, False, or a file of weights; see :class:`Backbone`.
        width: channels of the pyramid.
        stride: of the heat maps. 1 in the paper; most of a light network's work is done there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["fpn"] = "fpn"
    backbone: str = "densenet121"
    pretrained: bool | str = True
    width: int = Field(256, ge=16)
    stride: Literal[1, 2, 4] = 1

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 32


class FPN(LandmarkNetwork):
    """Heat maps from the pyramid's level of stride 4."""

    memory_format = torch.channels_last

    def __init__(self, config: FPNConfig, landmarks: int) -> None:
        super().__init__()
        self.strides = (config.stride,)
        self.backbone = Backbone(config.backbone, config.pretrained)
        self.first = self.backbone.strides.index(4)
        self.pyramid = FeaturePyramidNetwork(2, list(self.backbone.channels[self.first :]), config.width)
        self.head = heatmap_head(config.width, landmarks)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels = self.backbone(images)[self.first :]
        pyramid = self.pyramid(OrderedDict((str(i), level) for i, level in enumerate(levels)))
        size = [length // self.strides[0] for length in images.shape[-2:]]
        finest = F.interpolate(pyramid["0"], size, mode="bilinear", align_corners=False)
        return [self.head(finest)]
