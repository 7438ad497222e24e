"""The multi-layer perceptron that reads an age class off bones."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

#: Linear-BatchNorm-ReLU blocks that see one bone each.
BLOCKS = 3


class BoneAgeNetwork(nn.Module):
    """Three blocks for each bone by itself, then two fully connected layers for all (Keuth et al., section 3.2).

    The bones' layers, each with weights of its own, are one grouped convolution of width 1: B linear layers in a
    single call. They have no bias, since batch norm follows.

    Args:
        bones: B.
        coordinates: of a bone, padding included.
        classes: C.
        features: width of a bone's blocks.
        hidden: width of the layer that sees all bones.
    """

    def __init__(self, bones: int, coordinates: int, classes: int, features: int = 32, hidden: int = 64) -> None:
        super().__init__()
        widths = [coordinates] + [features] * BLOCKS
        self.each_bone = nn.Sequential(*(_block(bones, inputs, outputs) for inputs, outputs in pairwise(widths)))
        self.all_bones = nn.Sequential(nn.Linear(bones * features, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, outlines: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of bones (N, B, coordinates)."""
        features: torch.Tensor = self.each_bone(outlines.flatten(1)[..., None])
        logits: torch.Tensor = self.all_bones(features.flatten(1))
        return logits


def _block(bones: int, inputs: int, outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU for each bone: (N, B inputs, 1) to (N, B outputs, 1)."""
    linear = nn.Conv1d(bones * inputs, bones * outputs, 1, groups=bones, bias=False)
    return nn.Sequential(linear, nn.BatchNorm1d(bones * outputs), nn.ReLU())
