"""The one way to run a model: ``set_image``, then ``predict``; ``set_clicks``, and ``predict`` again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .backends import Run, exported
from .engine.config import ExperimentConfig
from .errors import LabelError, ModelError
from .heatmaps import DecoderConfig, encode, from_map, to_map
from .interaction.belief import Belief
from .interaction.evidence import MapEvidence
from .interaction.hypotheses import renamings
from .interaction.posterior import Posterior, PosteriorConfig
from .interaction.shape_prior import ShapePrior
from .landmarks import LandmarkSet, Status
from .modelfile import ModelHeader, load_model
from .networks import FPN, DenseSeg, InteractiveConfig, InteractiveNetwork, LandmarkNetwork
from .precision import Precision, number_type
from .protocol import Protocol
from .radiograph import Geometry, Radiograph
from .readout import DenseReadout, HeatmapReadout, Readout, SharedReadout
from .transforms import Placement
from .transforms.intensity import place_radiograph, to_network
from .uvmaps import UVDecoderConfig

logger = logging.getLogger(__name__)

AnyDecoder = DecoderConfig | UVDecoderConfig


@dataclass(frozen=True)
class Prediction:
    """An answer of a model.

    Attributes:
        landmarks: in pixels of the original image, with confidence.
        timings: seconds by step: ``preprocess``, ``network``, ``decode``.
    """

    landmarks: LandmarkSet
    timings: dict[str, float]


class Predictor:
    """A model ready to run, and the image it looks at. One thread at a time; models may be shared by several.

    Args:
        network: in evaluation mode.
        config: of the run that made it.
        protocol: its landmarks.
        device: where to run; by default a GPU if there is one.
        decoder: how landmarks are read off; the model's own by default.
        provenance: what answers say about where they come from.
        shape: of the labels that the model was trained on; None if it does not say.
        precision: in how many bits the network computes.
        run: what runs the network in place of PyTorch, where no clicks are shown to it.

    Raises:
        ModelError: there is no such device, or it is not made for the precision.
    """

    def __init__(
        self,
        network: LandmarkNetwork,
        config: ExperimentConfig,
        protocol: Protocol,
        device: str | torch.device | None = None,
        decoder: AnyDecoder | None = None,
        provenance: dict[str, Any] | None = None,
        shape: ShapePrior | None = None,
        precision: Precision = "fp32",
        run: Run | None = None,
    ) -> None:
        self.device = pick_device(device)
        self._exported = run
        self._type = number_type(precision, self.device)
        self.network = network.place(self.device).eval()
        self.config = config
        self.protocol = protocol
        self.decoder = decoder or (config.uv_decoder if isinstance(network, DenseSeg) else config.decoder)
        self.readout = readout_of(network, config, decoder)
        self.provenance = provenance or {}
        self.shape = shape
        self._image: torch.Tensor | None = None
        self._placement: Placement | None = None
        self._geometry: Geometry | None = None
        self._forget()
        self._preprocess_time = 0.0

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        decoder: AnyDecoder | None = None,
        protocol: Protocol | None = None,
        precision: Precision = "exported",
    ) -> Predictor:
        """A predictor from a model file.

        Args:
            path: of the model file.
            device: where to run; by default a GPU if there is one.
            decoder: instead of the model's own.
            protocol: if given, the model must be for this one.
            precision: in how many bits the network computes; by default as the model was exported for this machine.

        Raises:
            ModelError: no file there, damaged, made for another protocol, or the device is not made for the precision.
        """
        network, header, shape = load_model(Path(path))
        if protocol is not None:
            require_protocol(header, protocol, Path(path).name)
        provenance = {"model": header.config.method, "version": header.version}
        device, run = pick_device(device), None
        if precision == "exported" and device.type == "cpu":
            precision, run = exported(Path(path), header.version) or ("fp32", None)
        return cls(network, header.config, header.protocol, device, decoder, provenance, shape, precision, run)

    def set_image(self, radiograph: Radiograph) -> None:
        """Look at this image from now on."""
        start = time.perf_counter()
        self._placement = Placement(radiograph.size, self.config.input.size, self.config.input.fit)
        self._image = place_radiograph(radiograph, self._placement)
        self._geometry = radiograph.geometry
        self._forget()
        self._preprocess_time = time.perf_counter() - start

    def _forget(self) -> None:
        self._clicks: NDArray[np.float64] | None = None
        self._features: tuple[torch.Tensor, ...] | None = None
        self._maps: torch.Tensor | None = None  # up to date
        self._last_maps: torch.Tensor | None = None  # of the last pass, whatever it was for
        self._first_maps: torch.Tensor | None = None  # without clicks

    def fork(self) -> Predictor:
        """Another predictor of the same network and image, without clicks; neither knows of the other's."""
        other = copy(self)
        other._clicks = None
        other._maps = other._last_maps = self._first_maps if self.network.interactive else self._maps
        return other

    def kept(self) -> list[torch.Tensor]:
        """What is kept of the image between clicks; some of it may be shared with forks."""
        parts = [self._image, self._maps, self._last_maps, self._first_maps, *(self._features or ())]
        return [part for part in parts if part is not None]

    def set_clicks(self, points: ArrayLike | None, previous: ArrayLike | None = None) -> None:
        """What a reader has placed by hand. It stays there, and the maps of an interactive network follow.

        Maps come from a pass with these clicks when they are next asked for; the network is shown its maps of the
        pass before. What it makes of the image alone is kept. The maps of other networks stay as they are.

        Args:
            points: (K, 2) in pixels of the original image, NaN where a landmark was not clicked; None for no clicks.
            previous: (K, 2), where landmarks were before they were clicked, if that was not in the maps of the pass
                before; the network is shown Gaussians there in place of its maps. NaN where it is not known.

        Raises:
            LabelError: not as many points as the model has landmarks.
            RuntimeError: no image was set.
        """
        if self._image is None:
            raise RuntimeError("call set_image before set_clicks")
        clicks = self._rows(points)
        if clicks is not None and not np.isfinite(clicks).all(axis=1).any():
            clicks = None
        if not _same(clicks, self._clicks) and self.network.interactive:
            self._maps = self._first_maps if clicks is None else None
        self._clicks = clicks
        if previous is not None and clicks is not None and self._maps is None:
            self._remember(np.asarray(self._rows(previous)), clicks)

    def _rows(self, points: ArrayLike | None) -> NDArray[np.float64] | None:
        array = None if points is None else np.array(points, dtype=np.float64)
        if array is not None and array.shape != (len(self.protocol), 2):
            raise LabelError(
                f"expected clicks as an array ({len(self.protocol)}, 2), a row a landmark of {self.protocol.name}, "
                f"got shape {array.shape}"
            )
        return array

    @torch.inference_mode()
    def _remember(self, previous: NDArray[np.float64], clicks: NDArray[np.float64]) -> None:
        """Gaussians at these points in place of the maps of the last pass, as far as the network will see them."""
        config, placement = self.config.network, self._placement
        if not isinstance(config, InteractiveConfig) or placement is None:
            return
        given = np.isfinite(previous).all(axis=1)
        if config.previous == "modified":
            given &= np.isfinite(clicks).all(axis=1)
        stride, (width, height) = self.network.strides[-1], self.config.input.size
        size = (width // stride, height // stride)
        empty = torch.zeros(len(self.protocol), size[1], size[0], device=self.device)
        maps = empty if self._last_maps is None else self._last_maps.clone()
        points = torch.from_numpy(placement.points(previous[given])).float().to(self.device)
        maps[torch.from_numpy(given).to(self.device)] = encode(to_map(points, stride), size, self.config.loss.sigma)
        self._last_maps = maps

    def predict(self) -> Prediction:
        """All landmarks of the image that was set; those that were clicked where they were clicked.

        Raises:
            RuntimeError: no image was set.
        """
        start = time.perf_counter()
        maps, placement = self.seen()
        middle = time.perf_counter()
        landmarks = self._with_clicks(self._decode(maps[None], [placement])[0])
        timings = {
            "preprocess": self._preprocess_time,
            "network": middle - start,
            "decode": time.perf_counter() - middle,
        }
        return Prediction(landmarks, timings)

    def evidence(self, config: PosteriorConfig | None = None) -> MapEvidence:
        """What the heat maps of the image that was set say, for a posterior; the network runs once an image.

        Args:
            config: how maps are read; the model's own by default.

        Raises:
            RuntimeError: no image was set.
        """
        maps, placement = self.seen()
        corner = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        first, second = placement.points_back(from_map(corner, self.readout.stride).numpy())
        config = config or self.config.posterior
        heatmaps = self.readout.heatmaps(maps[None])[0]
        most = self.readout.outstanding
        return MapEvidence.from_maps(heatmaps, second - first, first, config.sharpness, config.floor, most)

    def belief(self, noise: float = 0.0) -> Belief | None:
        """Where all landmarks of the image that was set are believed to be, and how their errors depend on each other.

        By the heat maps and the shape of the labels that the model was trained on; None if it does not know that.

        Args:
            noise: standard deviation of what was clicked, of each coordinate, in pixels of the image.

        Raises:
            RuntimeError: no image was set.
        """
        if self.shape is None:
            return None
        config = self.config.posterior
        clicks = np.full((len(self.protocol), 2), np.nan) if self._clicks is None else self._clicks
        clicked = np.flatnonzero(np.isfinite(clicks).all(axis=1))
        prior = self.shape.in_pixels(self.geometry.size)
        posterior = Posterior(prior, self.evidence(config), config, renamings(self.protocol))
        return posterior.given(clicked, clicks[clicked], noise)

    def seen(self) -> tuple[torch.Tensor, Placement]:
        """The finest output (C, H, W) for the image that was set, as the readout wants it, and the image's placement.

        Raises:
            RuntimeError: no image was set.
        """
        if self._image is None or self._placement is None:
            raise RuntimeError("call set_image before predict")
        if self._maps is None:
            self._maps = self._pass(self._image, self._placement)
        return self._maps, self._placement

    @property
    def geometry(self) -> Geometry:
        """Of the image that was set.

        Raises:
            RuntimeError: none was.
        """
        if self._geometry is None:
            raise RuntimeError("call set_image first")
        return self._geometry

    def _pass(self, image: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Finest heat maps (K, H, W) of an image (H, W) and the clicks on it."""
        network = self.network
        if not isinstance(network, InteractiveNetwork):
            return self._run(image[None])[0]
        if self._exported is not None and self._clicks is None:
            maps = self._run(image[None])[0]
        else:
            maps = self._compute(lambda: self._with_hints(network, image, placement))[0]
        self._last_maps = maps
        if self._clicks is None:
            self._first_maps = maps
        return maps

    def _with_hints(self, network: InteractiveNetwork, image: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Finest heat maps (1, K, H, W); the features of the image are made once."""
        if self._features is None:
            self._features = network.features(self._inputs(image[None]))
        if self._clicks is None:
            return network.heads(self._features)[-1]
        clicks = torch.from_numpy(placement.points(self._clicks)).float().to(self.device)
        return network.heads(self._features, clicks[None], self._shown(clicks))[-1]

    def _shown(self, clicks: torch.Tensor) -> torch.Tensor | None:
        """The previous maps (1, K, H, W) that an interactive network is given."""
        config = self.config.network
        assert isinstance(config, InteractiveConfig)
        if self._last_maps is None or config.previous == "none":
            return None
        if config.previous == "all":
            return self._last_maps[None]
        clicked = torch.isfinite(clicks).all(dim=-1)
        return torch.where(clicked[:, None, None], self._last_maps, 0.0)[None]

    def _with_clicks(self, landmarks: LandmarkSet) -> LandmarkSet:
        if self._clicks is None:
            return landmarks
        clicked = np.isfinite(self._clicks).all(axis=1)
        states = (Status.CORRECTED if c else state for c, state in zip(clicked, landmarks.status, strict=True))
        return replace(
            landmarks,
            points=np.where(clicked[:, None], self._clicks, landmarks.points),
            status=tuple(states),
            confidence=np.where(clicked, 1.0, landmarks.confidence),
        )

    def predict_all(self, radiographs: Sequence[Radiograph], batch_size: int = 4) -> Iterator[LandmarkSet]:
        """Landmarks of many images, in order, ``batch_size`` at a time through the network."""
        for start in range(0, len(radiographs), batch_size):
            batch = radiographs[start : start + batch_size]
            placements = [Placement(r.size, self.config.input.size, self.config.input.fit) for r in batch]
            images = torch.stack([place_radiograph(r, p) for r, p in zip(batch, placements, strict=True)])
            yield from self._decode(self._run(images), placements)

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        """The finest output (B, C, H, W) for images (B, H, W), as the readout wants it."""
        inputs = self._inputs(images)
        if self._exported is not None:  # one image at a time
            return self.readout.ready(torch.cat([self._exported(each) for each in inputs.split(1)]))
        return self.readout.ready(self._compute(lambda: self.network(inputs)[-1]))

    @torch.inference_mode()
    def _compute(self, maps_of: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Maps in 32 bits, computed in the predictor's precision."""
        with torch.autocast(self.device.type, self._type, enabled=self._type is not torch.float32):
            maps = maps_of().float()
        if self._type is not torch.float16 or torch.isfinite(maps.sum()):
            return maps
        # fp16 ends at 65504: a network whose features go beyond answers in 32 bits from now on.
        logger.warning("%s: its features are too large for 16 bits; it computes in 32", self.config.method)
        self._type, self._features = torch.float32, None
        return maps_of()

    def _inputs(self, images: torch.Tensor) -> torch.Tensor:
        inputs = to_network(images.to(self.device), self.network.normalisation)
        return inputs.contiguous(memory_format=self.network.memory_format)

    @torch.inference_mode()
    def _decode(self, maps: torch.Tensor, placements: Sequence[Placement]) -> list[LandmarkSet]:
        points, confidence = self.readout.points(maps)
        inputs = points.double().cpu().numpy()
        return [
            LandmarkSet.from_points(
                self.protocol, placement.points_back(p), Status.PREDICTED, c, provenance=self.provenance
            )
            for p, c, placement in zip(inputs, confidence.double().cpu().numpy(), placements, strict=True)
        ]


def _same(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True)


def readout_of(network: LandmarkNetwork, config: ExperimentConfig, decoder: AnyDecoder | None = None) -> Readout:
    """How landmarks are read off a network's output.

    Args:
        decoder: instead of the one of its configuration.
    """
    if isinstance(network, DenseSeg):
        return DenseReadout(network, decoder if isinstance(decoder, UVDecoderConfig) else config.uv_decoder)
    if isinstance(network, FPN) and network.shared:
        return SharedReadout(network, config.loss, config.posterior)
    heatmap_decoder = decoder if isinstance(decoder, DecoderConfig) else config.decoder
    return HeatmapReadout(config.loss, heatmap_decoder, network.strides[-1])


def require_protocol(header: ModelHeader, protocol: Protocol, name: str) -> None:
    """Check that a model was made for a protocol: the same landmarks in the same order.

    Raises:
        ModelError: it was made for another.
    """
    if header.protocol.fingerprint != protocol.fingerprint:
        raise ModelError(
            f"the model {name} was trained for the protocol {header.protocol.name} "
            f"({len(header.protocol)} landmarks), not for {protocol.name} ({len(protocol)} landmarks)"
            + (", whose labels or their order differ" if header.protocol.name == protocol.name else "")
        )


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device of that name; by default a GPU if there is one.

    Raises:
        ModelError: a GPU was asked for, and there is none.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ModelError(f"there is no device '{device}'; expected auto, cpu or cuda") from None
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"device {device}: expected auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda was asked for, but this machine has no GPU that PyTorch can use")
    return device
