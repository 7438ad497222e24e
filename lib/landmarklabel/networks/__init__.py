"""Networks: images in, maps out. One idea a file; :func:`build_network` makes any of them from its config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..protocol import Protocol
from .base import LandmarkNetwork
from .denseseg import DenseSeg, DenseSegConfig
from .farnet import FARNet, FARNetConfig
from .fpn import FPN, FPNConfig
from .heatreg import HeatReg, HeatRegConfig
from .interactive import InteractiveConfig, InteractiveNetwork
from .unet import UNet, UNetConfig

AnyConfig = FARNetConfig | UNetConfig | FPNConfig | InteractiveConfig | HeatRegConfig | DenseSegConfig
NetworkConfig = Annotated[AnyConfig, Field(discriminator="name")]

_NETWORKS = {"farnet": FARNet, "unet": UNet, "fpn": FPN, "interactive": InteractiveNetwork, "heatreg": HeatReg}


def build_network(config: AnyConfig, protocol: Protocol) -> LandmarkNetwork:
    """The network that a config describes, for a protocol's landmarks, with fresh (or the backbone's) weights.

    Raises:
        ConfigError: it names structures that the protocol has not.
    """
    if isinstance(config, DenseSegConfig):
        return DenseSeg(config, protocol)
    if isinstance(config, FPNConfig) and config.shared:
        return FPN(config, len(protocol), protocol.kinds.tolist())
    return _NETWORKS[config.name](config, len(protocol))


__all__ = [
    "FPN",
    "DenseSeg",
    "DenseSegConfig",
    "FARNetConfig",
    "FPNConfig",
    "HeatRegConfig",
    "InteractiveConfig",
    "InteractiveNetwork",
    "LandmarkNetwork",
    "NetworkConfig",
    "UNetConfig",
    "build_network",
]
