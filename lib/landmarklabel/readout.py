"""How landmarks are read off what a network puts out: the one thing about a network that the rest must know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from .derived import MapPlace
from .heatmaps import DecoderConfig, decode, from_map, to_map
from .interaction.evidence import MapEvidence
from .interaction.lowrank import LowRankGaussian
from .interaction.posterior import Posterior, PosteriorConfig
from .losses import LossConfig
from .networks import FPN, DenseSeg
from .networks.denseseg import split
from .uvmaps import Regions, Targets, Template, UVDecoderConfig, UVPoints, likelihoods, to_cartesian
from .uvmaps import decode as decode_uv


class Readout(ABC):
    """From a network's finest output (B, C, H, W) to landmarks.

    Attributes:
        stride: of the output.
        sigma: how wide its heat maps are around a landmark that is sure, in pixels of the network's input.
        outstanding: how many pixels of a heat map are to be kept, to say what it says.
    """

    stride: int
    sigma: float
    outstanding = 256

    @abstractmethod
    def ready(self, output: torch.Tensor) -> torch.Tensor:
        """The output as everything that follows wants it, and as it is kept; of the same height and width."""

    @abstractmethod
    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks (B, K, 2) in pixels of the network's input, and confidence (B, K) in [0, 1]."""

    @abstractmethod
    def heatmaps(self, ready: torch.Tensor) -> torch.Tensor:
        """Heat maps (B, K, H, W): how likely each landmark is at each pixel."""


class HeatmapReadout(Readout):
    """Of networks that put out heat maps.

    Args:
        loss: by which the maps were trained, which says what their values mean.
        decoder: how points are read off.
        stride: of the maps.
    """

    def __init__(self, loss: LossConfig, decoder: DecoderConfig, stride: int) -> None:
        self._loss, self._decoder, self.stride = loss, decoder, stride
        self.sigma = loss.sigma * stride

    def ready(self, output: torch.Tensor) -> torch.Tensor:
        return self._loss.heatmaps(output)

    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points, confidence = decode(ready, self._loss.sigma, self._decoder)
        return from_map(points, self.stride), confidence

    def heatmaps(self, ready: torch.Tensor) -> torch.Tensor:
        return ready


class SharedReadout(HeatmapReadout):
    """Of networks whose landmarks share heat maps: which peak is whose, the shape of the labels says.

    Args:
        network: that knows the shape.
        loss: by which the maps were trained.
        posterior: how maps and shape are weighed.
    """

    outstanding = 1024

    def __init__(self, network: FPN, loss: LossConfig, posterior: PosteriorConfig) -> None:
        super().__init__(loss, DecoderConfig(), network.strides[-1])
        self._network, self._posterior = network, posterior

    @cached_property
    def _shape(self) -> LowRankGaussian:
        return self._network.shape

    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points = torch.stack([self._settled(maps) for maps in ready]).to(ready)
        height, width = ready.shape[-2:]
        at = (to_map(points, self.stride) + 0.5) * points.new_tensor([2 / width, 2 / height]) - 1
        maps = ready.flatten(0, 1)[:, None].float()
        heights = F.grid_sample(maps, at.float().flatten(0, 1)[:, None, None], align_corners=False).view(at.shape[:2])
        # A map that n landmarks share is at most 1 / n high at each.
        return points, (heights * self._network.sharing).clamp(0.0, 1.0)

    def _settled(self, maps: torch.Tensor) -> torch.Tensor:
        """What the maps (K, H, W) of an image and the shape agree on: (K, 2)."""
        corner = from_map(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), self.stride).numpy()
        config, scale = self._posterior, corner[1] - corner[0]
        evidence = MapEvidence.from_maps(maps, scale, corner[0], config.sharpness, config.floor, self.outstanding)
        no_clicks = np.empty(0, dtype=np.intp), np.empty((0, 2))
        return torch.from_numpy(Posterior(self._shape, evidence, config).given(*no_clicks).mean)


class DenseReadout(Readout):
    """Of :class:`~landmarklabel.networks.denseseg.DenseSeg`: landmarks are read off uv-maps.

    What is kept of an output are R mask logits and R uv-maps in cartesian coordinates, as the network has them.

    Args:
        network: whose template says where on its structure each landmark lies.
        decoder: how points are read off.
    """

    sigma = 2.0

    def __init__(self, network: DenseSeg, decoder: UVDecoderConfig) -> None:
        self._network, self._decoder = network, decoder
        self.stride = network.strides[-1]

    @property
    def regions(self) -> Regions:
        """What is segmented, and has a uv-map each."""
        return self._network.regions

    @property
    def mean_shape(self) -> Template:
        """What the uv-maps refer to."""
        return self._network.mean_shape

    def ready(self, output: torch.Tensor) -> torch.Tensor:
        if self._network.coordinates == "cartesian":
            return output
        logits, polar = split(output)
        return torch.cat([logits, to_cartesian(polar, dim=2).flatten(1, 2)], dim=1)

    @cached_property
    def _landmarks(self) -> Targets:
        return self._network.targets

    def points(self, ready: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.at(ready, self._landmarks)
        return found.points, found.confidence

    def at(self, ready: torch.Tensor, targets: Targets) -> UVPoints:
        """Where any points of the mean shapes are, landmarks that nobody trained among them."""
        found = decode_uv(*split(ready), targets, self._network.extent / self.stride, self._decoder)
        return found._replace(points=from_map(found.points, self.stride), covariance=found.covariance * self.stride**2)

    def place(self, ready: torch.Tensor, point: torch.Tensor) -> MapPlace | None:
        """Where on the mean shapes a point is, by the maps of one image; None if it is in no region.

        Args:
            ready: (C, H, W).
            point: (2,), (x, y) in pixels of the network's input.
        """
        logits, uv = (part[0].float() for part in split(ready[None]))
        height, width = logits.shape[-2:]
        at = (to_map(point, self.stride) + 0.5) * point.new_tensor([2 / width, 2 / height]) - 1
        if bool((at.abs() > 1).any()):
            return None
        values = F.grid_sample(
            torch.cat([logits, uv.flatten(0, 1)])[None], at.float()[None, None, None], align_corners=False
        )[0, :, 0, 0]
        count = len(logits)
        region = int(values[:count].argmax())
        if values[region] <= 0:
            return None
        u, v = values[count:].view(count, 2)[region].tolist()
        return MapPlace(region, (u, v))

    def heatmaps(self, ready: torch.Tensor) -> torch.Tensor:
        extent = self._network.extent / self.stride
        return likelihoods(*split(ready), self._landmarks, extent, self.sigma / self.stride)
