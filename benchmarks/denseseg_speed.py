"""What DenseSeg costs: inference, a training step and memory, beside the plain network; and with 720 landmarks.

    python benchmarks/denseseg_speed.py [--times 3]

Each contender runs in a process of its own, on one thread, with fresh weights: times do not depend on what was learned.

- ``plain``: the same UNet with a head that segments, and nothing else.
- ``denseseg``: both heads, the published loss, targets made in each step.
- ``straightforward``: the same network, targets made image by image with scipy's griddata, losses on whole maps.
- ``light``: the configuration for two cores, at its own size.
- ``wrist``: 720 landmarks of 17 bones at 384 x 224, the published network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import in_own_process, peak_memory_mb, write
from scipy.interpolate import griddata

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.precision import Precision
from landmarklabel.losses import DenseLoss, DenseLossConfig, positive_weights
from landmarklabel.losses.dense import DenseTargets
from landmarklabel.networks import DenseSeg, build_network
from landmarklabel.networks.denseseg import split
from landmarklabel.phantoms import generate
from landmarklabel.protocol import load_protocol
from landmarklabel.readout import DenseReadout
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import place_radiograph, to_network
from landmarklabel.uvmaps import Regions
from uvmaps import drawn_bones

#: Experiment, protocol, (W, H) of the input, images in a step.
CASES = {
    "plain": ("denseseg_jsrt", "chest_166", (256, 256), 8),
    "denseseg": ("denseseg_jsrt", "chest_166", (256, 256), 8),
    "straightforward": ("denseseg_jsrt", "chest_166", (256, 256), 8),
    "denseseg, bf16": ("denseseg_jsrt", "chest_166", (256, 256), 8),
    "light": ("denseseg_light", "chest_166", (256, 256), 8),
    "light, bf16": ("denseseg_light", "chest_166", (256, 256), 8),
    "wrist, bf16": ("denseseg_jsrt", "wrist_720", (224, 384), 8),
    "wrist, light, bf16": ("denseseg_light", "wrist_720", (224, 384), 8),
}
_TEMPLATES, _SEED = 12, 52_000


def measure(name: str, times: int) -> dict[str, Any]:
    """Median CPU seconds of a training step and of an inference with decoding, and the most memory."""
    experiment, protocol_name, size, batch = CASES[name]
    config, protocol = load_experiment(experiment), load_protocol(protocol_name)
    torch.manual_seed(0)
    network = build_network(config.network, protocol)
    assert isinstance(network, DenseSeg)
    images, points = _batch(protocol_name, size, max(batch, _TEMPLATES))
    network.learn_template(points)
    network.place(torch.device("cpu"))
    images, points = images[:batch], points[:batch]
    inputs = to_network(images, network.normalisation).contiguous(memory_format=network.memory_format)
    loss = _loss(name, network, points, size, config.dense)
    precision = Precision("bf16" if name.endswith("bf16") else "off", torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(precision.inferer(inputs, network), points).backward()
        optimizer.step()

    training = _median(step, times)
    memory = peak_memory_mb()
    network.eval()
    readout = DenseReadout(network, config.uv_decoder)

    @torch.inference_mode()
    def infer() -> None:
        output = precision.inferer(inputs[:1], network)[-1]
        if name != "plain":
            readout.points(readout.ready(output))

    return {
        "training_step_s": training,
        "images": batch,
        "inference_s": _median(infer, max(times, 3)),
        "peak_memory_mb": round(memory),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _batch(protocol: str, size: tuple[int, int], number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, H, W) and points (N, K, 2): phantoms, or drawn bones on noise."""
    if protocol == "wrist_720":
        regions = Regions.of(load_protocol(protocol))
        points = np.stack([drawn_bones(regions, size, seed) for seed in range(number)])
        return torch.rand(number, size[1], size[0]), torch.from_numpy(points).float()
    images, labels = [], []
    for seed in range(_SEED, _SEED + number):
        radiograph, true = generate(protocol, seed, (256, 256))
        placement = Placement(radiograph.size, size)
        images.append(place_radiograph(radiograph, placement))
        labels.append(torch.from_numpy(placement.points(true.points)).float())
    return torch.stack(images), torch.stack(labels)


def _loss(
    name: str, network: DenseSeg, points: torch.Tensor, size: tuple[int, int], config: DenseLossConfig
) -> Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]:
    ours = DenseLoss(config, network, positive_weights(network, points, size, config.positive))
    if name == "plain":
        masks = ours.targets(points, size).masks.float()
        return lambda outputs, _: F.binary_cross_entropy_with_logits(split(outputs[-1])[0], masks)
    if name == "straightforward":
        return Straightforward(ours, size)
    return lambda outputs, true: ours(outputs, (true, torch.ones(len(true), 2)))


class Straightforward:
    """The published loss on targets made one image and structure at a time by griddata, on whole maps."""

    def __init__(self, ours: DenseLoss, size: tuple[int, int]) -> None:
        self._ours, self._size = ours, size
        width, height = size
        self._grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)

    def __call__(self, outputs: list[torch.Tensor], points: torch.Tensor) -> torch.Tensor:
        logits, uv = (part.float() for part in split(outputs[-1]))
        made = [self._targets(each.double().numpy()) for each in points]
        masks = torch.stack([mask for mask, _ in made])
        wanted = torch.stack([maps for _, maps in made])
        inside = (masks & torch.isfinite(wanted).all(dim=2)).float()
        config, weight = self._ours.config, self._ours.positive[:, None, None]
        segmentation = F.binary_cross_entropy_with_logits(logits, masks.float(), pos_weight=weight)
        dense = ((uv - wanted.nan_to_num(0.0)).abs().mean(dim=2) * inside).sum() / inside.sum()
        variation = torch.zeros(())
        for axis in (-1, -2):
            both = torch.minimum(
                inside.narrow(axis, 1, inside.shape[axis] - 1), inside.narrow(axis, 0, inside.shape[axis] - 1)
            )
            variation = variation + (uv.diff(dim=axis).abs().mean(dim=2) * both).sum() / both.sum() / 2
        mapping = dense + self._ours.at_landmarks(uv, points)
        total = config.segmentation * segmentation + config.mapping / 2 * mapping + config.variation * variation
        if not config.location:
            return total
        known = torch.ones(masks.shape[:2], dtype=torch.bool)
        return total + config.location * self._ours.of_location(logits, DenseTargets(masks, known, wanted))

    def _targets(self, points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        width, height = self._size
        maps = []
        for region, members in enumerate(self._ours.regions.members):
            values = self._ours.shape.uv[region, members]
            maps.append(griddata(points[members], values, self._grid).reshape(height, width, 2).transpose(2, 0, 1))
        masks = torch.from_numpy(self._ours.regions.masks(points, self._size))
        return masks, torch.from_numpy(np.stack(maps)).float()


def _median(function: Callable[[], object], times: int) -> float:
    """Median CPU seconds after one call that does not count."""
    function()
    taken = []
    for _ in range(times):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return round(float(np.median(taken)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", help="one contender, in this process; prints JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.times)))
        return
    found = {}
    for name in CASES:
        found[name] = in_own_process(__file__, "--times", arguments.times, "--only", name)
        print(f"{name:20s} {found[name]}", flush=True)
    plain = found["plain"]
    ratios = {
        name: {
            key: round(found[name][key] / plain[key], 2) for key in ("training_step_s", "inference_s", "peak_memory_mb")
        }
        for name in found
    }
    command = f"python benchmarks/denseseg_speed.py --times {arguments.times}"
    print(write("denseseg_speed", command, {"contenders": found, "ratio_to_plain": ratios}))


if __name__ == "__main__":
    main()
