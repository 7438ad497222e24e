"""Object-contextual representations (Yuan et al., ECCV 2020): each pixel also sees a summary of each landmark."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .base import MapConv, conv_norm_act

# What maps are everywhere before anything is learned. Landmarks are rare: from 0.5, the logits' own start, hundreds of
# steps would go into learning that (Lin et al., ICCV 2017, Section 3.3).
_PRIOR = 0.01


class OCRHead(nn.Module):
    """Logits of heat maps from features: a first guess and, with its help, the final ones.

    The auxiliary head's maps say where each landmark probably is; features gathered there represent the landmark;
    each pixel attends to these and joins what it finds to its own features.

    Args:
        channels: of the features.
        landmarks: K.
        width: of the pixels' and the landmarks' representations.
        keys: channels of the attention.
        dropout: before the final maps.
    """

    def __init__(self, channels: int, landmarks: int, width: int = 256, keys: int = 128, dropout: float = 0.05) -> None:
        super().__init__()
        # Two convolutions have a bias although batch norm follows: without them the published number of parameters
        # is missed by just these 256 + 480.
        self.pixels = _biased(channels, width, 3)
        self.auxiliary = nn.Sequential(_biased(channels, channels, 1), _logits(channels, landmarks))
        self.query = nn.Sequential(conv_norm_act(width, keys, 1), conv_norm_act(keys, keys, 1))
        self.key = nn.Sequential(conv_norm_act(width, keys, 1), conv_norm_act(keys, keys, 1))
        self.value = conv_norm_act(width, keys, 1)
        self.context = conv_norm_act(keys, width, 1)
        self.join = nn.Sequential(conv_norm_act(2 * width, width, 1), nn.Dropout2d(dropout))
        self.final = _logits(width, landmarks)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, K, H, W), auxiliary and final, of features (B, channels, H, W)."""
        auxiliary = self.auxiliary(features)
        pixels = self.pixels(features)
        context = self.context(self._attend(pixels, self._gather(pixels, auxiliary)))
        return auxiliary, self.final(self.join(torch.cat([context, pixels], dim=1)))

    @staticmethod
    def _gather(pixels: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Representations (B, width, K, 1) of the landmarks: means of the pixels, weighted by the first guess."""
        weights = auxiliary.flatten(2).softmax(dim=2).to(pixels.dtype)
        return (weights @ pixels.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]

    def _attend(self, pixels: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        """What each pixel finds in the landmarks' representations, (B, keys, H, W)."""
        query, key, value = (
            maps.flatten(2).transpose(1, 2) for maps in (self.query(pixels), self.key(landmarks), self.value(landmarks))
        )
        found = F.scaled_dot_product_attention(query, key, value)
        return found.transpose(1, 2).unflatten(2, pixels.shape[-2:])


def _biased(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU(True))


def _logits(inputs: int, landmarks: int) -> nn.Conv2d:
    conv = MapConv(inputs, landmarks)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, math.log(_PRIOR / (1 - _PRIOR)))
    return conv
