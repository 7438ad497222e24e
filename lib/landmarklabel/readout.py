"""How landmarks are read off what a network puts out: the one thing about a network that the rest must know."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from .heatmaps import DecoderConfig, decode, from_map
from .losses import LossConfig


class Readout(ABC):
    """From a network's finest output (B, C, H, W) to landmarks.

    Attributes:
        stride: of the output.
        sigma: how wide its heat maps are around a landmark that is sure, in pixels of the network's input.
    """

    stride: int
    sigma: float

    @abstractmethod
    def ready(self, output: torch.Tensor) -> torch.Tensor:
        """The output as everything that follows wants it, and as it is kept; of the same height and width."""

    @abstractmethod
    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks (B, K, 2) in pixels of the network's input, and confidence (B, K) in [0, 1]."""

    @abstractmethod
    def heatmaps(self, ready: torch.Tensor) -> torch.Tensor:
        """Heat maps (B, K, H, W): how likely each landmark is at each pixel."""


class HeatmapReadout(Readout):
    """Of networks that put out heat maps.

    Args:
        loss: by which the maps were trained, which says what their values mean.
        decoder: how points are read off.
        stride: of the maps.
    """

    def __init__(self, loss: LossConfig, decoder: DecoderConfig, stride: int) -> None:
        self._loss, self._decoder, self.stride = loss, decoder, stride
        self.sigma = loss.sigma * stride

    def ready(self, output: torch.Tensor) -> torch.Tensor:
        return self._loss.heatmaps(output)

    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points, confidence = decode(ready, self._loss.sigma, self._decoder)
        return from_map(points, self.stride), confidence

    def heatmaps(self, ready: torch.Tensor) -> torch.Tensor:
        return ready
