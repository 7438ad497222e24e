"""How clicks, and the network's previous maps, enter an interactive network.

Clicks are (B, K, 2), (x, y) in pixels of the input, NaN where a landmark was not clicked. Previous maps are
(B, K, H, W) in [0, 1], or None for none; an empty map stands for a landmark whose previous map is not given.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ..heatmaps import encode, to_map

Encoding = Literal["gaussian", "distance"]


class HintEncoder(nn.Module):
    """Clicks to one map a landmark; empty without a click.

    ``gaussian`` is an unnormalised Gaussian around the click (interactive keypoints, Eq. 1). ``distance`` is the
    distance from it as BRS and f-BRS have it, 1 at the click and falling to 0 at half the input's longer side.

    Args:
        encoding: which of the two.
        sigma: of the Gaussian, in pixels of the input.
    """

    def __init__(self, encoding: Encoding, sigma: float) -> None:
        super().__init__()
        self.encoding, self.sigma = encoding, sigma

    def forward(self, clicks: torch.Tensor, size: tuple[int, int], stride: int = 1) -> torch.Tensor:
        """Maps (B, K, H / stride, W / stride) for an input of ``size`` (W, H)."""
        width, height = size[0] // stride, size[1] // stride
        points = to_map(clicks.float(), stride)
        if self.encoding == "gaussian":
            return encode(points, (width, height), self.sigma / stride)
        x = torch.arange(width, device=points.device) - points[..., 0, None]
        y = torch.arange(height, device=points.device) - points[..., 1, None]
        distance = torch.hypot(x[..., None, :], y[..., :, None])
        return (1 - distance / (max(width, height) / 2)).clamp(min=0).nan_to_num(0.0)


class ClickMix(nn.Module):
    """A 1x1 convolution over the hints and, where wanted, the previous maps of all landmarks.

    Most of these maps are empty: only the few that are not are made and convolved, which gives the same.

    Args:
        encoder: of the hints.
        landmarks: K.
        outputs: channels to make.
        previous: whether previous maps are given, too.
    """

    def __init__(self, encoder: HintEncoder, landmarks: int, outputs: int, previous: bool) -> None:
        super().__init__()
        self.encoder, self.previous = encoder, previous
        self.mix = nn.Conv2d(landmarks * (2 if previous else 1), outputs, 1)

    def forward(
        self, clicks: torch.Tensor, previous: torch.Tensor | None, size: tuple[int, int], stride: int = 1
    ) -> torch.Tensor:
        """(B, outputs, H / stride, W / stride) for an input of ``size`` (W, H)."""
        clicked = torch.isfinite(clicks).all(dim=-1).any(dim=0)
        clicked[0] = True  # so that the weights take part in every step, as training on several devices wants
        used = clicked.nonzero()[:, 0]
        maps = self.encoder(clicks[:, used], size, stride)
        if not self.previous:
            return self._convolve(maps, used)
        hints = used + clicks.shape[1]  # previous maps come first
        if previous is None:
            return self._convolve(maps, hints)
        given = (previous.amax(dim=(0, 2, 3)) > 0).nonzero()[:, 0]
        if not len(given):
            return self._convolve(maps, hints)
        shown = previous[:, given]
        if stride > 1:
            shown = F.interpolate(shown, maps.shape[-2:], mode="bilinear", align_corners=False)
        return self._convolve(torch.cat([shown, maps], dim=1), torch.cat([given, hints]))

    def _convolve(self, maps: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        return F.conv2d(maps, self.mix.weight[:, channels], self.mix.bias)


class StemFusion(nn.Module):
    """The hint fusion as published: added to the output of the stem's first convolution.

    1x1 to 16 channels, LeakyReLU, 3x3 of stride 2 to the stem's, times a factor that is learned from 0.05.
    """

    def __init__(self, encoder: HintEncoder, landmarks: int, previous: bool, channels: int) -> None:
        super().__init__()
        self.mix = ClickMix(encoder, landmarks, 16, previous)
        self.conv = nn.Conv2d(16, channels, 3, 2, 1)
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, stem: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
        """The stem's output (B, channels, H / 2, W / 2) with hints."""
        size = (2 * stem.shape[-1], 2 * stem.shape[-2])
        return stem + self.scale.abs() * self.conv(F.leaky_relu(self.mix(clicks, previous, size), 0.2))


class ImageFusion(nn.Module):
    """Image and hints mixed pixel by pixel to three channels, as f-BRS does with its distance maps."""

    def __init__(self, encoder: HintEncoder, landmarks: int, previous: bool) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 16, 1, bias=False)
        self.mix = ClickMix(encoder, landmarks, 16, previous)
        self.conv = nn.Conv2d(16, 3, 1)

    def forward(self, images: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
        """Images (B, 3, H, W) with hints."""
        mixed = self.image(images) + self.mix(clicks, previous, (images.shape[-1], images.shape[-2]))
        return self.conv(F.leaky_relu(mixed, 0.2))


class LateFusion(nn.Module):
    """Hints that enter behind the backbone, at stride 4, so that a click leaves the image's features as they are.

    1x1 to 64 channels, LeakyReLU, two 3x3, the second to the features' channels; added to the features.
    """

    stride = 4

    def __init__(self, encoder: HintEncoder, landmarks: int, previous: bool, channels: int) -> None:
        super().__init__()
        self.mix = ClickMix(encoder, landmarks, 64, previous)
        self.convs = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, channels, 3, padding=1),
        )

    def forward(self, features: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
        """Features (B, channels, H / 4, W / 4) with hints."""
        size = (self.stride * features.shape[-1], self.stride * features.shape[-2])
        return features + self.convs(self.mix(clicks, previous, size, self.stride))
