"""landmarker 0.4.1 as its own tutorial for these cephalograms uses it: SCN, learned sigmas, SGD with momentum 0.99."""

from __future__ import annotations

import math

import numpy as np
import torch
from landmarker.data import LandmarkDataset
from landmarker.heatmap import GaussianHeatmapGenerator, heatmap_to_coord
from landmarker.losses import GaussianHeatmapL2Loss
from landmarker.models import OriginalSpatialConfigurationNet
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandGaussianNoised, RandScaleIntensityd
from torch.utils.data import DataLoader


class LandmarkerSCN:
    """Payer et al.'s spatial configuration network, by landmarker."""

    def __init__(self, images: np.ndarray, points: np.ndarray, seed: int) -> None:
        torch.manual_seed(seed)
        turn = {"rotate_range": math.radians(10), "scale_range": (0.15, 0.15), "translate_range": (12, 12)}
        vary = Compose(
            [
                RandAffined(["image"], prob=1, padding_mode="border", **turn),
                RandScaleIntensityd(["image"], 0.2, prob=0.5),
                RandAdjustContrastd(["image"], prob=0.5, gamma=(0.8, 1.25)),
                RandGaussianNoised(["image"], prob=0.5, std=0.02),
            ]
        )
        landmarks = points[:, :, ::-1].copy()  # landmarker counts rows first
        data = LandmarkDataset([image[None] for image in images.astype(np.float32)], landmarks, transform=vary)
        self.loader = DataLoader(data, batch_size=4, shuffle=True)
        count, size = points.shape[1], images.shape[1:]
        self.network = OriginalSpatialConfigurationNet(in_channels=1, out_channels=count, init_weigths=True)
        self.targets = GaussianHeatmapGenerator(count, sigmas=3, gamma=100, heatmap_size=size, learnable=True)
        self.loss = GaussianHeatmapL2Loss(alpha=5)
        self.parameters = sum(p.numel() for p in self.network.parameters())
        weights = [{"params": self.network.parameters(), "weight_decay": 1e-3}]
        weights += [{"params": self.targets.sigmas}, {"params": self.targets.rotation}]
        self.optimizer = torch.optim.SGD(weights, lr=1e-6, momentum=0.99, nesterov=True)

    def steps_of_epoch(self) -> int:
        return len(self.loader)

    def train_epoch(self, part: float) -> None:
        self.network.train()
        for batch in self.loader:
            predicted = self.network(batch["image"])
            loss = self.loss(predicted, self.targets.sigmas, self.targets(batch["landmark"]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def predict(self, image: np.ndarray) -> np.ndarray:
        self.network.eval()
        with torch.inference_mode():
            maps = self.network(torch.from_numpy(image).float()[None, None])
            return heatmap_to_coord(maps, method="local_soft_argmax")[0].numpy()[:, ::-1]
