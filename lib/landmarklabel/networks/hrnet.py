"""HRNet as a backbone in three steps, so that hints can enter between them (Wang et al., TPAMI 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import ConfigError
from .backbones import create_features


class HRNet(nn.Module):
    """timm's HRNet up to its fourth stage, without the parts that lead to a classifier.

    ``stem`` makes 64 channels at stride 2 of an image, ``stage1`` :attr:`first_channels` at stride 4 of those, and
    ``stages`` :attr:`channels` at stride 4 of those: what the four branches give, resized to the finest and joined.

    Args:
        name: of a timm model, ``hrnet_w32`` for one.
        pretrained: False, True, or a file of weights; see :class:`~.backbones.Backbone`.

    Raises:
        ConfigError: it is no HRNet of timm's.
        ModelError: the weights can't be fetched or read.
    """

    stem_channels = 64

    def __init__(self, name: str, pretrained: bool | str = False) -> None:
        super().__init__()
        if not name.startswith("hrnet"):
            raise ConfigError(f"backbone '{name}': the interactive network needs an HRNet, such as hrnet_w32")
        self.net = create_features(name, pretrained, feature_location="")
        # Run by itself, since the gate looks at what it gives; timm's own method then starts behind it.
        self.layer1, self.net.layer1 = self.net.layer1, nn.Identity()
        self.first_channels: int = self.layer1[-1].bn3.num_features
        self.channels = sum(self.net.feature_info.channels()[1:])

    def stem(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, 64, H / 2, W / 2)."""
        return self.net.act1(self.net.bn1(self.net.conv1(images)))

    def stage1(self, stem: torch.Tensor) -> torch.Tensor:
        """Of the stem, (B, first_channels, H / 4, W / 4)."""
        return self.layer1(self.net.act2(self.net.bn2(self.net.conv2(stem))))

    def stages(self, first: torch.Tensor) -> torch.Tensor:
        """Of the first stage, (B, channels, H / 4, W / 4)."""
        finest, *coarser = self.net.stages(first)
        size = finest.shape[-2:]
        resized = [F.interpolate(maps, size, mode="bilinear", align_corners=False) for maps in coarser]
        return torch.cat([finest, *resized], dim=1)
