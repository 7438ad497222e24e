"""A training step of the published network: ours in 32 and in 16 bits, and a straightforward implementation."""

from __future__ import annotations

from typing import Any

import torch
from common import median_seconds, peak_memory_mb

from landmarklabel.engine.precision import Precision
from landmarklabel.losses import HeatmapLoss, MorphologyLoss, MorphologySets, TrainingLoss
from landmarklabel.phantoms import generate
from landmarklabel.protocol import load_protocol
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import SYMMETRIC, place_radiograph, to_network
from latency.network import PROTOCOL, fresh_network, published
from latency.straightforward import Straightforward, StraightforwardLoss

CONTENDERS = ("ours", "ours_bf16", "straightforward")
_BATCH, _SEED = 4, 51_000


def training_step(name: str, steps: int) -> dict[str, Any]:
    """Median seconds of forward, both losses, backward and Adam, on 4 spines with two clicks each; peak memory."""
    config = published()
    network = fresh_network().train()
    inputs, points, unit = _batch()
    clicks = points.clone()
    clicks[:, 2:] = torch.nan
    previous = torch.rand(_BATCH, points.shape[1], *inputs.shape[-2:])  # of all landmarks, as published
    pairs = tuple((index, index + 1) for index in range(67))
    triplets = tuple((index, index + 1, index + 2) for index in range(66))
    morphology = MorphologyLoss(
        config.morphology, MorphologySets(pairs=pairs, triplets=triplets), 1, config.loss.sigma, logits=True
    )
    if name == "straightforward":
        model: torch.nn.Module = Straightforward(network)
        loss: torch.nn.Module = StraightforwardLoss(config.loss.sigma, morphology)
        inputs = inputs.contiguous()
    else:
        model = network.place(torch.device("cpu"))
        inputs = inputs.contiguous(memory_format=network.memory_format)
        loss = TrainingLoss(HeatmapLoss(config.loss, network.strides), morphology)
    precision = Precision("bf16" if name == "ours_bf16" else "off", torch.device("cpu"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        outputs = precision.inferer(inputs, model, clicks, previous)
        loss(outputs, (points, unit)).backward()
        optimizer.step()

    return {"step_s": median_seconds(step, steps), "peak_memory_mb": peak_memory_mb()}


def _batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs (4, 3, 512, 256), points (4, K, 2) in their pixels and what a pixel is in mm (4, 2)."""
    size = published().input.size
    images, points, units = [], [], []
    for seed in range(_SEED, _SEED + _BATCH):
        radiograph, true = generate(PROTOCOL, seed)
        placement = Placement(radiograph.size, size)
        images.append(place_radiograph(radiograph, placement))
        points.append(torch.from_numpy(placement.points(true.points)).float())
        units.append(torch.tensor(radiograph.spacing) / torch.as_tensor(placement.scale))
    assert len(points[0]) == len(load_protocol(PROTOCOL))
    return (
        to_network(torch.stack(images), SYMMETRIC),
        torch.stack(points),
        torch.stack(units).float(),
    )
