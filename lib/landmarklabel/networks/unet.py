"""U-Net as a heat map regressor: MONAI's residual UNet, the plain baseline."""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets import UNet as MonaiUNet
from pydantic import BaseModel, ConfigDict, Field, field_validator

from .base import LandmarkNetwork


class UNetConfig(BaseModel):
    """MONAI's UNet.

    Attributes:
        channels: of each level; each level halves the size.
        residual_units: in each level; 0 for plain convolutions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["unet"] = "unet"
    channels: tuple[int, ...] = Field((32, 64, 128, 256, 512), min_length=2)
    residual_units: int = Field(2, ge=0)

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 2 ** (len(self.channels) - 1)

    @field_validator("channels")
    @classmethod
    def _positive(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        if min(channels) < 1:
            raise ValueError(f"channels must be positive, got {list(channels)}")
        return channels


class UNet(LandmarkNetwork):
    """Heat maps at stride 1."""

    strides = (1,)

    def __init__(self, config: UNetConfig, landmarks: int) -> None:
        super().__init__()
        steps = len(config.channels) - 1
        self.unet = MonaiUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=landmarks,
            channels=config.channels,
            strides=(2,) * steps,
            num_res_units=config.residual_units,
            norm="batch",
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [self.unet(images)]
