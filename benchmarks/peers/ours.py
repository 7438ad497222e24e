"""landmarklabel's own pipeline: augmentation and targets batched, on the device."""

from __future__ import annotations

import numpy as np
import torch

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.trainer import learning_rate_factor
from landmarklabel.heatmaps import decode, from_map
from landmarklabel.losses import HeatmapLoss
from landmarklabel.networks import build_network
from landmarklabel.protocol import load_protocol
from landmarklabel.transforms import Augmentation
from landmarklabel.transforms.intensity import to_network


class Ours:
    """A configuration of landmarklabel, trained from fresh weights."""

    def __init__(
        self, experiment: str, changes: dict[str, object], images: np.ndarray, points: np.ndarray, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.config = load_experiment(experiment, {"network.pretrained": False, **changes})
        self.images, self.points = torch.from_numpy(images).float(), torch.from_numpy(points).float()
        self.network = build_network(self.config.network, load_protocol("cephalometric_19")).place(torch.device("cpu"))
        self.parameters = sum(p.numel() for p in self.network.parameters())
        self.loss = HeatmapLoss(self.config.loss, self.network.strides)
        settings = self.config.optimizer
        self.optimizer = getattr(torch.optim, settings.name)(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.augmentation = Augmentation(self.config.augmentation, load_protocol("cephalometric_19"))
        self.generator = torch.Generator().manual_seed(seed)
        self.batch = 4

    def steps_of_epoch(self) -> int:
        return -(-len(self.images) // self.batch)

    def train_epoch(self, part: float) -> None:
        settings = self.config.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(settings, round(1000 * part), 1000)
        self.network.train()
        for index in torch.randperm(len(self.images), generator=self.generator).split(self.batch):
            images, points = self.augmentation(self.images[index], self.points[index], self.generator)
            loss = self.loss(self._run(images), points)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def predict(self, image: np.ndarray) -> np.ndarray:
        self.network.eval()
        with torch.inference_mode():
            maps = self._run(torch.from_numpy(image).float()[None])[-1]
            points = decode(maps, self.config.loss.sigma, self.config.decoder)[0]
            return from_map(points, self.network.strides[-1])[0].numpy()

    def _run(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.network(to_network(images).contiguous(memory_format=self.network.memory_format))
