"""The interaction-guided gate: what was clicked, seen globally, weighs the channels of features (Section 2.2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from .base import conv_norm_act
from .hints import HintEncoder


class InteractionGate(nn.Module):
    """Channel weights from the first stage's output and the hints.

    Three 3x3 convolutions to 256 channels, the first of stride 2, each with batch norm and ReLU; pooled over the
    whole plane; 1x1 to 16, ReLU, 1x1 to the features' channels, sigmoid or softmax.

    Args:
        encoder: of the hints.
        landmarks: K.
        inputs: channels of the first stage.
        channels: of the features that are weighed.
        pooling: ``max`` as published, or ``average``.
        activation: ``sigmoid`` as published, or ``softmax`` over the channels.
    """

    stride = 4

    def __init__(
        self,
        encoder: HintEncoder,
        landmarks: int,
        inputs: int,
        channels: int,
        pooling: Literal["max", "average"],
        activation: Literal["sigmoid", "softmax"],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.convs = nn.Sequential(
            conv_norm_act(inputs + landmarks, 256, 3, stride=2), conv_norm_act(256, 256, 3), conv_norm_act(256, 256, 3)
        )
        self.pool = nn.AdaptiveMaxPool2d(1) if pooling == "max" else nn.AdaptiveAvgPool2d(1)
        self.weigh = nn.Sequential(nn.Conv2d(256, 16, 1), nn.ReLU(True), nn.Conv2d(16, channels, 1))
        self.activation = nn.Sigmoid() if activation == "sigmoid" else nn.Softmax(dim=1)

    def forward(self, features: torch.Tensor, first: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
        """Features (B, channels, H / 4, W / 4), weighed.

        Args:
            features: to weigh.
            first: output of the first stage, (B, inputs, H / 4, W / 4).
            clicks: (B, K, 2) in pixels of the input, NaN where there is none.
        """
        size = (self.stride * first.shape[-1], self.stride * first.shape[-2])
        hints = self.encoder(clicks, size, self.stride).to(first.dtype)
        weights = self.activation(self.weigh(self.pool(self.convs(torch.cat([first, hints], dim=1)))))
        return features * weights
