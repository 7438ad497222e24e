"""MONAI's residual UNet as DenseSeg has it, and its heads: also those of its baseline, heat map regression."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.blocks import ResidualUnit
from monai.networks.nets import UNet
from torch import nn

_NORM = ("INSTANCE", {"affine": True})
_ACTIVATION = "LEAKYRELU"


def feature_unet(channels: Sequence[int], residual_units: int, features: int) -> UNet:
    """From one channel to ``features`` of each pixel; each level of ``channels`` but the first halves the size again.

    Affine instance norm, leaky ReLU, no bias (DenseSeg, Section 3.3).
    """
    return UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=features,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=residual_units,
        act=_ACTIVATION,
        norm=_NORM,
        bias=False,
    )


def residual_head(features: int, outputs: int) -> nn.Sequential:
    """Two residual units and a 1x1: some 150,000 parameters for 64 features."""
    units = [ResidualUnit(2, features, features, subunits=2, act=_ACTIVATION, norm=_NORM, bias=False) for _ in range(2)]
    return nn.Sequential(*units, nn.Conv2d(features, outputs, 1, bias=False))
