"""Networks: images in, heat maps out. One idea a file; :func:`build_network` makes any of them from its config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import LandmarkNetwork
from .farnet import FARNet, FARNetConfig
from .fpn import FPN, FPNConfig
from .interactive import InteractiveConfig, InteractiveNetwork
from .unet import UNet, UNetConfig

AnyConfig = FARNetConfig | UNetConfig | FPNConfig | InteractiveConfig
NetworkConfig = Annotated[AnyConfig, Field(discriminator="name")]

_NETWORKS = {"farnet": FARNet, "unet": UNet, "fpn": FPN, "interactive": InteractiveNetwork}


def build_network(config: AnyConfig, landmarks: int) -> LandmarkNetwork:
    """The network that a config describes, for that many landmarks, with fresh (or the backbone's) weights."""
    return _NETWORKS[config.name](config, landmarks)


__all__ = [
    "FARNetConfig",
    "FPNConfig",
    "InteractiveConfig",
    "InteractiveNetwork",
    "LandmarkNetwork",
    "NetworkConfig",
    "UNetConfig",
    "build_network",
]
