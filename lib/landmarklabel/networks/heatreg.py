"""Heat map regression with DenseSeg's UNet and one of its heads: the baseline of its paper (Section 3.5)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..transforms.intensity import SYMMETRIC
from .base import LandmarkNetwork
from .residual import feature_unet, residual_head


class HeatRegConfig(BaseModel):
    """The network.

    Attributes:
        channels: of each level of the UNet; each level halves the size.
        residual_units: in each level.
        features: of each pixel, from which one map a landmark is made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["heatreg"] = "heatreg"
    channels: tuple[int, ...] = Field((64, 128, 256, 512), min_length=2)
    residual_units: int = Field(2, ge=1)
    features: int = Field(64, ge=1)

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 2 ** (len(self.channels) - 1)


class HeatReg(LandmarkNetwork):
    """Heat maps at stride 1."""

    strides = (1,)
    normalisation = SYMMETRIC

    def __init__(self, config: HeatRegConfig, landmarks: int) -> None:
        super().__init__()
        self.unet = feature_unet(config.channels, config.residual_units, config.features)
        self.head = residual_head(config.features, landmarks)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [self.head(self.unet(images[:, :1]))]  # grey: all channels are alike
