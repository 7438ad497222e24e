"""What every network has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from ..transforms.intensity import IMAGENET


class LandmarkNetwork(nn.Module, ABC):
    """A network from images to maps that landmarks are read off.

    ``forward`` takes (B, 3, H, W), H and W multiples of the config's ``multiple``, and returns one tensor
    (B, C, H / s, W / s) a stride s in ``strides``, coarse to fine. All of them are supervised; landmarks are read off
    the last, as a :class:`~landmarklabel.readout.Readout` says. Of most networks the channels are heat maps, C = K.

    Attributes:
        strides: of the maps that ``forward`` returns.
        memory_format: in which its convolutions run fastest, measured by ``benchmarks/memory_format.py``.
        normalisation: how values in [0, 1] are scaled for it.
        interactive: whether it takes clicks; see :class:`~.interactive.InteractiveNetwork`.
    """

    strides: tuple[int, ...]
    memory_format = torch.contiguous_format
    normalisation = IMAGENET
    interactive = False

    def place(self, device: torch.device) -> LandmarkNetwork:
        """Move to a device, in the memory format that is fastest."""
        self.to(device)
        self.to(memory_format=self.memory_format)
        return self

    @abstractmethod
    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of a batch of images, one tensor a stride."""


def conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
    )


class MapConv(nn.Conv2d):
    """The 1x1 convolution from features to one map a landmark.

    An answer's maps are made in 32 bits also where the rest of the network computes in 16, since positions are read
    off them. In training they follow the rest, which saves memory.
    """

    def __init__(self, inputs: int, landmarks: int) -> None:
        super().__init__(inputs, landmarks, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps (B, K, H, W) of features (B, inputs, H, W)."""
        if self.training or not torch.amp.is_autocast_available(features.device.type):
            return super().forward(features)
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


def heatmap_head(inputs: int, landmarks: int) -> nn.Sequential:
    """3x3 of the same width, then 1x1 to one map a landmark."""
    return nn.Sequential(conv_norm_act(inputs, inputs, 3), MapConv(inputs, landmarks))
