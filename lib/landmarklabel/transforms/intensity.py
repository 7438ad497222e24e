"""From a radiograph's own values to what networks see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..radiograph import Radiograph, intensity_range
from .placement import Placement


class Normalisation(NamedTuple):
    """Mean and deviation of the three channels that a network expects, for values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


#: Statistics of the pictures on which backbones were pretrained.
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: To [-1, 1].
SYMMETRIC = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def place_radiograph(radiograph: Radiograph, placement: Placement) -> torch.Tensor:
    """A radiograph in a network's input, (H', W') in [0, 1], bright = dense.

    The image's own 0.5 to 99.5 % range becomes [0, 1], so that 8 and 12 bit images, and any rescale, look alike.
    """
    low, high = intensity_range(radiograph.pixels)
    pixels = torch.from_numpy(np.ascontiguousarray(radiograph.pixels, dtype=np.float32))
    return placement.image(pixels).sub_(low).div_(max(high - low, 1e-12)).clamp_(0.0, 1.0)


def to_network(images: torch.Tensor, normalisation: Normalisation = IMAGENET) -> torch.Tensor:
    """Images (B, H, W) in [0, 1] to the input of a network, (B, 3, H, W): grey repeated, mean and deviation its own."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in normalisation)
    return (images[:, None] - mean) / std
