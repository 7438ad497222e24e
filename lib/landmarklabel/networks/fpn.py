"""A feature pyramid over a backbone as a heat map regressor: the baseline "FPN" of FARNet's Table 2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from monai.networks.blocks import FeaturePyramidNetwork
from pydantic import BaseModel, ConfigDict, Field

from ..errors import ModelError
from ..interaction.lowrank import LowRankGaussian
from .backbones import Backbone
from .base import LandmarkNetwork, heatmap_head


class FPNConfig(BaseModel):
    """A feature pyramid.

    Attributes:
        backbone: a timm model.
        pretrained: True, False, or a file of weights; see :class:`Backbone`.
        width: channels of the pyramid.
        stride: of the heat maps. 1 in the paper; most of a light network's work is done there.
        shared: whether landmarks of one kind (:attr:`~landmarklabel.protocol.Protocol.kinds`) share a heat map: every
            label then teaches how the corner of a vertebra looks as often as there are vertebrae. Which peak is whose,
            the shape of the labels says (:class:`~landmarklabel.readout.SharedReadout`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["fpn"] = "fpn"
    backbone: str = "densenet121"
    pretrained: bool | str = True
    width: int = Field(256, ge=16)
    stride: Literal[1, 2, 4] = 1
    shared: bool = False

    @property
    def multiple(self) -> int:
        """Of which height and width of the input must be."""
        return 32


class FPN(LandmarkNetwork):
    """Heat maps from the pyramid's level of stride 4.

    Args:
        landmarks: K, how many heat maps to answer with.
        kinds: (K,), which map of the head each of them is, if some share one.
    """

    memory_format = torch.channels_last
    kinds: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor

    def __init__(self, config: FPNConfig, landmarks: int, kinds: Sequence[int] | None = None) -> None:
        super().__init__()
        self.strides = (config.stride,)
        self.backbone = Backbone(config.backbone, config.pretrained)
        self.first = self.backbone.strides.index(4)
        self.pyramid = FeaturePyramidNetwork(2, list(self.backbone.channels[self.first :]), config.width)
        self.shared = kinds is not None
        self.head = heatmap_head(config.width, landmarks if kinds is None else max(kinds) + 1)
        if kinds is not None:
            self.register_buffer("kinds", torch.tensor(kinds), persistent=False)
            self.register_buffer("mean", torch.full((landmarks, 2), torch.nan))
            self.register_buffer("covariance", torch.full((2 * landmarks, 2 * landmarks), torch.nan))

    @property
    def sharing(self) -> torch.Tensor:
        """(K,), how many landmarks share each one's map."""
        return torch.bincount(self.kinds)[self.kinds]

    def learn_shape(self, shape: LowRankGaussian) -> None:
        """Where landmarks lie in labels, in pixels of the input; with ``shared`` no map says which is which."""
        self.mean.copy_(shape.mean)
        self.covariance.copy_(shape.covariance)

    @property
    def shape(self) -> LowRankGaussian:
        """Where landmarks lie in labels, in pixels of the input.

        Raises:
            ModelError: it was not learned yet.
        """
        if bool(self.mean.isnan().any()):
            raise ModelError("the network has no shape of labels yet; train it, or call learn_shape first")
        mean, covariance = (part.double().cpu().numpy() for part in (self.mean, self.covariance))
        return LowRankGaussian.from_covariance(mean, covariance)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels = self.backbone(images)[self.first :]
        pyramid = self.pyramid(OrderedDict((str(i), level) for i, level in enumerate(levels)))
        size = [length // self.strides[0] for length in images.shape[-2:]]
        finest = F.interpolate(pyramid["0"], size, mode="bilinear", align_corners=False)
        maps = self.head(finest)
        return [maps[:, self.kinds] if self.shared else maps]
