"""FARNet: feature aggregation and refinement (Ao and Wu, Computers in Biology and Medicine, 2022).

A pretrained backbone, a multi-scale feature aggregation module (MSFA: up, down and up again, Fig. 2 and 3) and a
feature refinement module at the resolution of the input (FR).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from .backbones import Backbone
from .base import LandmarkNetwork, conv_norm_act, heatmap_head


class FARNetConfig(BaseModel):
    """The parts of FARNet; the defaults are the paper's.

    Attributes:
        backbone: a timm model.
        pretrained: True, False, or a file of weights; see :class:`Backbone`.
        aggregation: ``concat`` is MSFA; ``add`` is MSFA(+), which merges by addition as FPN and PAN do.
        refinement: ``fr``; ``fr*``, without supervision of the coarse maps; ``none``, MSFA alone.
        width: channels of the up path; the other widths follow in the paper's proportions. 256 in the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["farnet"] = "farnet"
    backbone: str = "densenet121"
    pretrained: bool | str = True
    aggregation: Literal["concat", "add"] = "concat"
    refinement: Literal["fr", "fr*", "none"] = "fr"
    width: int = Field(256, ge=16, multiple_of=8)

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 32


class FARNet(LandmarkNetwork):
    """Coarse heat maps at stride 2, fine ones at stride 1.

    Of the ablations, ``fr*`` returns the fine maps only and ``none`` the coarse ones only.
    """

    memory_format = torch.channels_last

    def __init__(self, config: FARNetConfig, landmarks: int) -> None:
        super().__init__()
        self.refinement = config.refinement
        self.backbone = Backbone(config.backbone, config.pretrained)
        own_first = self.backbone.strides[0] == 1
        levels = self.backbone.channels[1:] if own_first else self.backbone.channels
        self.msfa = MSFA(levels, config.width, config.aggregation)
        features = self.msfa.channels
        self.first_channels = self.backbone.channels[0] if own_first else 32
        if self.refinement != "none":
            self.first = None if own_first else conv_norm_act(3, 32, 3)
            guided = landmarks if self.refinement == "fr" else 0
            self.fine = heatmap_head(features + self.first_channels + guided, landmarks)
        if self.refinement != "fr*":
            self.coarse = heatmap_head(features, landmarks)
        self.strides = {"fr": (2, 1), "fr*": (1,), "none": (2,)}[self.refinement]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels = self.backbone(images)
        first = levels.pop(0) if self.backbone.strides[0] == 1 else None
        features = self.msfa(levels)
        if self.refinement == "none":
            return [self.coarse(features)]
        if first is None and self.first is not None:
            first = self.first(images)
        assert first is not None
        parts = [_up(features), first]
        if self.refinement == "fr*":
            return [self.fine(torch.cat(parts, dim=1))]
        coarse = self.coarse(features)
        return [coarse, self.fine(torch.cat([*parts, _up(coarse)], dim=1))]


class MSFA(nn.Module):
    """Multi-scale feature aggregation (Section 3.1.1, Fig. 3).

    Takes features at strides 2, 4, 8, ... and returns (B, width / 4, H / 2, W / 2).

    Up from the coarsest level to stride 4; down again, channels doubling up to four times the width; and up once
    more, to stride 2, with fewer channels where maps are large.
    """

    def __init__(self, channels: tuple[int, ...], width: int, aggregation: Literal["concat", "add"]) -> None:
        super().__init__()
        self.channels = width // 4
        deeper = channels[1:]  # strides 4, 8, ...: the first up and the down path leave stride 2 out
        top = len(deeper) - 1
        self.start = nn.Sequential(conv_norm_act(deeper[top], 2 * width, 3), conv_norm_act(2 * width, width, 1))
        self.up1 = nn.ModuleList(Up(width, lateral, width, aggregation) for lateral in reversed(deeper[:top]))
        down_widths = [min(width * 2**level, 4 * width) for level in range(len(deeper))]
        self.down = nn.ModuleList(
            Down(down_widths[level], width, down_widths[level + 1], aggregation) for level in range(top)
        )
        self.turn = conv_norm_act(down_widths[top], width, 1)
        outputs = [width] * (top - 1) + [width // 2, width // 4]
        laterals = [*reversed(down_widths[:top]), channels[0]]
        inputs = [width, *outputs[:-1]]
        self.up2 = nn.ModuleList(
            Up(i, lateral, o, aggregation) for i, lateral, o in zip(inputs, laterals, outputs, strict=True)
        )

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        finest, *deeper = levels
        path = [self.start(deeper[-1])]
        for block, lateral in zip(self.up1, reversed(deeper[:-1]), strict=True):
            path.append(block(path[-1], lateral))
        path.reverse()  # stride 4 first
        down = [path[0]]
        for block, lateral in zip(self.down, path[1:], strict=True):
            down.append(block(down[-1], lateral))
        features = self.turn(down[-1])
        for block, lateral in zip(self.up2, [*reversed(down[:-1]), finest], strict=True):
            features = block(features, lateral)
        return features


class Up(nn.Module):
    """Double the size of the coarser features, merge with the lateral ones, 1x1 (Fig. 3a)."""

    def __init__(self, inputs: int, lateral: int, outputs: int, aggregation: Literal["concat", "add"]) -> None:
        super().__init__()
        self.merge = Merge(inputs, lateral, outputs, aggregation)

    def forward(self, coarse: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
        return self.merge(coarse, lateral, _up)


class Down(nn.Module):
    """Halve the size of the finer features by 3x3 of stride 2 at twice the channels, merge, 1x1 (Fig. 3b)."""

    def __init__(self, inputs: int, lateral: int, outputs: int, aggregation: Literal["concat", "add"]) -> None:
        super().__init__()
        self.halve = conv_norm_act(inputs, 2 * inputs, 3, stride=2)
        self.merge = Merge(2 * inputs, lateral, outputs, aggregation)

    def forward(self, fine: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
        return self.merge(self.halve(fine), lateral, _same)


class Merge(nn.Module):
    """By concatenation and 1x1; or by addition after 1x1 of both, then 3x3, as FPN and PAN do."""

    def __init__(self, inputs: int, lateral: int, outputs: int, aggregation: Literal["concat", "add"]) -> None:
        super().__init__()
        self.concatenate = aggregation == "concat"
        if self.concatenate:
            self.mix = conv_norm_act(inputs + lateral, outputs, 1)
        else:
            self.match, self.match_lateral = nn.Conv2d(inputs, outputs, 1), nn.Conv2d(lateral, outputs, 1)
            self.mix = conv_norm_act(outputs, outputs, 3)

    def forward(
        self, features: torch.Tensor, lateral: torch.Tensor, resize: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Of features that ``resize`` brings to the size of the lateral ones."""
        if not self.concatenate:
            return self.mix(self.match(resize(features)) + self.match_lateral(lateral))
        # The 1x1 of both joined is the sum of a 1x1 of each, and a 1x1 may come before a resize: a quarter of the work
        # on the coarser features, and nothing is joined.
        conv, norm, activation = self.mix
        assert isinstance(conv, nn.Conv2d)
        own, others = conv.weight.split([features.shape[1], lateral.shape[1]], dim=1)
        return activation(norm(resize(F.conv2d(features, own)) + F.conv2d(lateral, others)))


def _up(features: torch.Tensor) -> torch.Tensor:
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def _same(features: torch.Tensor) -> torch.Tensor:
    return features
