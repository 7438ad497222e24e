"""The loop as one would first write it: each image decoded and its targets made on the CPU every time it is drawn.

The same networks, augmentation, losses and optimisers; 32 bits, PyTorch's default memory format, nothing kept between
epochs. Where a straightforward implementation of a part is there already, it is that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from denseseg_speed import Straightforward as WholeMaps
from latency.straightforward import Straightforward as FullSize
from latency.straightforward import StraightforwardLoss, full_size_gaussians
from torch import nn
from torch.utils.data import DataLoader, Dataset

from landmarklabel.engine.clicks import TrainingClicks
from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.heatmaps import to_map
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.losses import DenseLoss, MorphologyLoss, MorphologySets, isotropic, positive_weights
from landmarklabel.networks import DenseSeg, InteractiveNetwork, LandmarkNetwork, build_network
from landmarklabel.protocol import Protocol
from landmarklabel.transforms import Augmentation, Placement
from landmarklabel.transforms.intensity import place_radiograph, to_network

from .watch import Watch

Loss = Callable[[Any, tuple[torch.Tensor, torch.Tensor, torch.Tensor]], torch.Tensor]


class Items(Dataset):
    """Image, points, unit and heat maps of one case, from its file, varied."""

    def __init__(
        self, cases: Sequence[Case], config: ExperimentConfig, protocol: Protocol, stride: int, normalisation: Any
    ) -> None:
        self._cases, self._config, self._stride, self._normalisation = cases, config, stride, normalisation
        self._augmentation = Augmentation(config.augmentation, protocol)
        self._generator = torch.Generator().manual_seed(config.seed)

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        image, points, unit = placed(self._cases[index], self._config)
        images, varied = self._augmentation(image[None], points[None], self._generator)
        size = (image.shape[1] // self._stride, image.shape[0] // self._stride)
        return to_network(images, self._normalisation)[0], varied[0], unit, self._maps(varied, size)

    def _maps(self, points: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Heat maps (K, H, W) of points (1, K, 2); those of uv-maps are made with the loss."""
        if self._config.network.name == "denseseg":
            return torch.empty(0)
        return full_size_gaussians(to_map(points, self._stride), size, self._config.loss.sigma)[0]


def placed(case: Case, config: ExperimentConfig) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image (H, W), points (K, 2) and unit (2,) of a case in the network's input."""
    radiograph = case.radiograph()
    placement = Placement(radiograph.size, config.input.size, config.input.fit)
    points = torch.from_numpy(placement.points(case.points)).float()
    return place_radiograph(radiograph, placement), points, torch.from_numpy(1 / placement.scale).float()


def written_out(
    config: ExperimentConfig, dataset: LandmarkDataset, cases: Sequence[Case], epochs: int, clock: str
) -> Watch:
    """Train for so many epochs."""
    torch.manual_seed(config.seed)
    network, loss = _network_and_loss(config, dataset.protocol, cases)
    interactive = isinstance(network, InteractiveNetwork)
    model: nn.Module = _Clicked(network) if interactive else network
    items = Items(cases, config, dataset.protocol, network.strides[-1], network.normalisation)
    loader = DataLoader(items, config.batch_size, shuffle=True)
    settings = config.optimizer
    optimizer = getattr(torch.optim, settings.name)(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    clicks = TrainingClicks(config.clicks, config.loss.sigma, config.decoder)
    generator, watch = torch.Generator().manual_seed(config.seed), Watch(clock)
    model.train()
    for _ in range(epochs):
        watch.start()
        for images, points, unit, maps in loader:
            watch.lap("data")  # decoding, augmentation and heat maps
            hints = clicks(model, images, points, unit, generator) if interactive else ()  # type: ignore[arg-type]
            watch.lap("clicks")
            outputs = model(images, *hints)
            watch.lap("forward")
            total = loss(outputs, (points, unit, maps))
            watch.lap("targets and loss")
            optimizer.zero_grad()
            total.backward()
            watch.lap("backward")
            optimizer.step()
            watch.lap("optimizer")
            total.item()
            watch.end()
    return watch


def _network_and_loss(
    config: ExperimentConfig, protocol: Protocol, cases: Sequence[Case]
) -> tuple[LandmarkNetwork, Loss]:
    network = build_network(config.network, protocol)
    _, points, unit = (torch.stack(part) for part in zip(*(placed(case, config) for case in cases), strict=True))
    if isinstance(network, DenseSeg):
        network.learn_template(points)
        return network, _dense_loss(network, config, points)
    if not isinstance(network, InteractiveNetwork):
        return network, distribution_loss
    sets = MorphologySets.choose(isotropic(points, unit).double().numpy(), config.morphology, protocol)
    both = StraightforwardLoss(
        config.loss.sigma, MorphologyLoss(config.morphology, sets, 1, config.loss.sigma, logits=True)
    )
    return network, lambda outputs, targets: both(outputs, targets[:2])


def distribution_loss(outputs: list[torch.Tensor], targets: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Cross-entropy over the pixels of each map, by PyTorch's own loss."""
    maps, wanted = outputs[-1].flatten(2), targets[2].flatten(2)
    total = wanted.sum(dim=2, keepdim=True)
    shares = wanted / total.clamp(min=1e-6)
    return F.cross_entropy(maps.transpose(1, 2), shares.transpose(1, 2))


def _dense_loss(network: DenseSeg, config: ExperimentConfig, points: torch.Tensor) -> Loss:
    width, height = config.input.size
    stride = network.strides[-1]
    ours = DenseLoss(config.dense, network, positive_weights(network, points, (width, height), config.dense.positive))
    whole = WholeMaps(ours, (width // stride, height // stride))
    return lambda outputs, targets: whole(outputs, to_map(targets[0], stride))


class _Clicked(nn.Module):
    """The straightforward network as the clicks of training call it."""

    strides, sees_previous = (1,), True

    def __init__(self, network: InteractiveNetwork) -> None:
        super().__init__()
        self.plain = FullSize(network)

    def forward(self, images: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor | None = None) -> Any:
        previous = torch.zeros(*clicks.shape[:2], *images.shape[-2:]) if previous is None else previous
        auxiliary, final = self.plain(images, clicks, previous)
        return (auxiliary, final) if self.training else [final.sigmoid()]
