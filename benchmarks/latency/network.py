"""The published network with a pass per click: the predictor's way, in each precision, and the straightforward one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.heatmaps import decode
from landmarklabel.networks import InteractiveNetwork, build_network
from landmarklabel.phantoms import generate
from landmarklabel.precision import Precision
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import place_radiograph, to_network
from latency.straightforward import Straightforward

PROTOCOL = "spine_68"
SEED = 50_000

#: Where the reader clicks: the first landmark, and then each of these in turn as the second.
FIRST, SECOND = 20, (3, 34, 50, 66)

Array = NDArray[np.float64]


def published() -> ExperimentConfig:
    """HRNet-W32 with OCR at 512 x 256."""
    return load_experiment("interactive_aasce", {"network.pretrained": False})


def fresh_network() -> InteractiveNetwork:
    """The same weights each time: fresh, as time does not depend on them; its batch norms have seen a phantom.

    Before they have, features grow from layer to layer beyond what 16 bits can hold, which no trained network does.
    """
    torch.manual_seed(0)
    network = build_network(published().network, load_protocol(PROTOCOL))
    assert isinstance(network, InteractiveNetwork)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(_input(network))
    for norm in norms:
        norm.momentum = 0.1
    return network


def _input(network: InteractiveNetwork) -> torch.Tensor:
    """A phantom (1, 3, H, W) as the network takes it."""
    radiograph, _ = phantom()
    image = place_radiograph(radiograph, Placement(radiograph.size, published().input.size))
    return to_network(image[None], network.normalisation)


class Clicked:
    """Second clicks on a phantom that a predictor looks at.

    Args:
        network: the published one.
        precision: of the predictor.
        radiograph, true: the image, and points (K, 2) at which the reader clicks.
    """

    def __init__(self, network: InteractiveNetwork, precision: Precision, radiograph: Radiograph, true: Array) -> None:
        self.predictor = Predictor(network, published(), load_protocol(PROTOCOL), "cpu", precision=precision)
        self._true, self._second = true, 0
        self.predictor.set_image(radiograph)
        self.predictor.predict()
        self.predictor.set_clicks(self._clicks(FIRST))
        self.predictor.predict()

    def __call__(self) -> Array:
        """Another second click: all landmarks (K, 2)."""
        self._second = (self._second + 1) % len(SECOND)
        self.predictor.set_clicks(self._clicks(FIRST, SECOND[self._second]))
        return self.predictor.predict().landmarks.points

    def _clicks(self, *indices: int) -> Array:
        clicks = np.full(self._true.shape, np.nan)
        clicks[list(indices)] = self._true[list(indices)]
        return clicks


def straightforward_click(predictor: Predictor, true: Array) -> Callable[[], object]:
    """The same click, in the straightforward way, on the image that a predictor looks at."""
    assert predictor._image is not None
    assert predictor._placement is not None
    assert isinstance(predictor.network, InteractiveNetwork)
    network, config = Straightforward(copy.deepcopy(predictor.network)).eval(), published()
    image, placement = predictor._image, predictor._placement
    clicks = np.full(true.shape, np.nan)
    clicks[[FIRST, SECOND[0]]] = true[[FIRST, SECOND[0]]]
    hints = torch.from_numpy(placement.points(clicks)).float()[None]

    @torch.inference_mode()
    def click() -> object:
        inputs = ((image - 0.5) / 0.5).expand(1, 3, -1, -1).contiguous()
        previous = torch.zeros(1, len(true), *image.shape)
        _, final = network(inputs, hints, previous)
        points, _ = decode(final.sigmoid(), config.loss.sigma, config.decoder)
        return placement.points_back(points[0].double().numpy())

    return click


def phantom() -> tuple[Radiograph, Array]:
    """A spine, and where its landmarks are."""
    radiograph, true = generate(PROTOCOL, SEED)
    return radiograph, true.points
