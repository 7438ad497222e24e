"""Networks: images in, heat maps out. One idea a file; :func:`build_network` makes any of them from its config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import HeatmapNetwork
from .farnet import FARNet, FARNetConfig
from .fpn import FPN, FPNConfig
from .unet import UNet, UNetConfig

NetworkConfig = Annotated[FARNetConfig | UNetConfig | FPNConfig, Field(discriminator="name")]

_NETWORKS = {"farnet": FARNet, "unet": UNet, "fpn": FPN}


def build_network(config: FARNetConfig | UNetConfig | FPNConfig, landmarks: int) -> HeatmapNetwork:
    """The network that a config describes, for that many landmarks, with fresh (or the backbone's) weights."""
    return _NETWORKS[config.name](config, landmarks)


__all__ = ["FARNetConfig", "FPNConfig", "HeatmapNetwork", "NetworkConfig", "UNetConfig", "build_network"]
