"""From a radiograph's own values to what networks see."""

from __future__ import annotations

import numpy as np
import torch

from ..radiograph import Radiograph, intensity_range
from .placement import Placement

# Statistics of the pictures on which backbones were pretrained, for values in [0, 1].
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def place_radiograph(radiograph: Radiograph, placement: Placement) -> torch.Tensor:
    """A radiograph in a network's input, (H', W') in [0, 1], bright = dense.

    The image's own 0.5 to 99.5 % range becomes [0, 1], so that 8 and 12 bit images, and any rescale, look alike.
    """
    low, high = intensity_range(radiograph.pixels)
    pixels = torch.from_numpy(np.ascontiguousarray(radiograph.pixels, dtype=np.float32))
    return placement.image(pixels).sub_(low).div_(max(high - low, 1e-12)).clamp_(0.0, 1.0)


def to_network(images: torch.Tensor) -> torch.Tensor:
    """Images (B, H, W) in [0, 1] to the input of a backbone, (B, 3, H, W) with ImageNet's mean and deviation."""
    mean = images.new_tensor(_IMAGENET_MEAN)[:, None, None]
    std = images.new_tensor(_IMAGENET_STD)[:, None, None]
    return (images[:, None] - mean) / std
