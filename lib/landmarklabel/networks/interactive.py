"""The interactive keypoint network (Kim et al., MICCAI 2022): clicks on some landmarks move the maps of all.

HRNet with an OCR head; hints and the previous maps enter by a fusion, and a gate weighs the last features by them.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field

from ..transforms.intensity import SYMMETRIC
from .base import LandmarkNetwork
from .gating import InteractionGate
from .hints import Encoding, HintEncoder, ImageFusion, LateFusion, StemFusion
from .hrnet import HRNet
from .ocr import OCRHead

#: What :meth:`InteractiveNetwork.features` gives: tensors that no click changes.
Features = tuple[torch.Tensor, ...]


class InteractiveConfig(BaseModel):
    """The parts of the interactive network; the defaults are the paper's.

    Attributes:
        backbone: an HRNet of timm's.
        pretrained: True, False, or a file of weights; see :class:`~.backbones.Backbone`.
        hints: how clicks become maps; see :class:`~.hints.HintEncoder`.
        hint_sigma: of Gaussian hints, in pixels of the input.
        fusion: where hints enter: ``stem`` as published; ``image``, before the backbone, as in f-BRS; ``late``,
            behind it, so that a click costs the head alone.
        gate: how the gate pools; ``none`` for no gate.
        gate_activation: ``sigmoid`` as published, or ``softmax``.
        previous: whose previous maps a prediction is given: those of ``modified`` landmarks as published, of ``all``,
            or of ``none``, in which case the network has no inputs for them.
        width, keys, dropout: of the head; see :class:`~.ocr.OCRHead`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["interactive"] = "interactive"
    backbone: str = "hrnet_w32"
    pretrained: bool | str = True
    hints: Encoding = "gaussian"
    hint_sigma: float = Field(7.5, ge=1.5)
    fusion: Literal["stem", "image", "late"] = "stem"
    gate: Literal["none", "max", "average"] = "max"
    gate_activation: Literal["sigmoid", "softmax"] = "sigmoid"
    previous: Literal["modified", "all", "none"] = "modified"
    width: int = Field(256, ge=16)
    keys: int = Field(128, ge=8)
    dropout: float = Field(0.05, ge=0, lt=1)

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 32


class InteractiveNetwork(LandmarkNetwork):
    """Heat maps at stride 1 of images and clicks: auxiliary and final ones.

    In training mode both are returned, as logits; in evaluation mode the final ones alone, in [0, 1].

    ``forward`` is :meth:`features`, which no click changes, and then :meth:`heads`.
    """

    strides = (1, 1)
    memory_format = torch.channels_last
    normalisation = SYMMETRIC
    interactive = True

    def __init__(self, config: InteractiveConfig, landmarks: int) -> None:
        super().__init__()
        self.landmarks, self.fusion = landmarks, config.fusion
        self.sees_previous = config.previous != "none"
        self.backbone = HRNet(config.backbone, config.pretrained)
        encoder = HintEncoder(config.hints, config.hint_sigma)
        common = (encoder, landmarks, self.sees_previous)
        self.hints: StemFusion | ImageFusion | LateFusion
        if config.fusion == "stem":
            self.hints = StemFusion(*common, self.backbone.stem_channels)
        elif config.fusion == "image":
            self.hints = ImageFusion(*common)
        else:
            self.hints = LateFusion(*common, self.backbone.channels)
        self.gate = None
        if config.gate != "none":
            first, channels = self.backbone.first_channels, self.backbone.channels
            self.gate = InteractionGate(encoder, landmarks, first, channels, config.gate, config.gate_activation)
        self.head = OCRHead(self.backbone.channels, landmarks, config.width, config.keys, config.dropout)

    def forward(
        self, images: torch.Tensor, clicks: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Maps (B, K, H, W).

        Args:
            images: (B, 3, H, W) in [-1, 1].
            clicks: (B, K, 2), (x, y) in pixels of the input, NaN where a landmark was not clicked; None for no clicks.
            previous: maps (B, K, H, W) in [0, 1] of the last pass, empty where they are not to be seen; None for none.
        """
        return self.heads(self.features(images), clicks, previous)

    def features(self, images: torch.Tensor) -> Features:
        """All that no click changes: the image itself, the stem's output, or, with ``late`` fusion, all features."""
        if self.fusion == "image":
            return (images,)
        stem = self.backbone.stem(images)
        if self.fusion == "stem":
            return (stem,)
        first = self.backbone.stage1(stem)
        return first, self.backbone.stages(first)

    def heads(
        self, features: Features, clicks: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """The same maps as ``forward``, of the features of images."""
        if clicks is None:
            batch = len(features[0])
            clicks = torch.full((batch, self.landmarks, 2), torch.nan, device=features[0].device)
        first, last = self._with_hints(features, clicks, previous)
        if self.gate is not None:
            last = self.gate(last, first, clicks)
        auxiliary, final = self.head(last)
        if not self.training:
            return [_upsample(final).sigmoid_()]
        return [_upsample(auxiliary), _upsample(final)]

    def _with_hints(
        self, features: Features, clicks: torch.Tensor, previous: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of the first stage, and of the last, with hints."""
        if self.fusion == "late":
            first, last = features
            return first, self.hints(last, clicks, previous)
        with_hints = self.hints(features[0], clicks, previous)
        first = self.backbone.stage1(self.backbone.stem(with_hints) if self.fusion == "image" else with_hints)
        return first, self.backbone.stages(first)


def _upsample(logits: torch.Tensor) -> torch.Tensor:
    """From stride 4 to stride 1; in full precision, since positions are read off it."""
    return F.interpolate(logits.float(), scale_factor=4, mode="bilinear", align_corners=False)
