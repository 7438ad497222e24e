"""Which memory format each network trains fastest in on this machine: what ``memory_format`` in networks/ says.

python benchmarks/memory_format.py
"""

from __future__ import annotations

import torch
from common import median_seconds, write

from landmarklabel.losses import HeatmapLoss, LossConfig
from landmarklabel.networks import FARNetConfig, FPNConfig, NetworkConfig, UNetConfig, build_network
from landmarklabel.protocol import load_protocol

_NETWORKS: dict[str, NetworkConfig] = {
    "farnet light": FARNetConfig(backbone="resnet10t", pretrained=False, width=64, refinement="none"),
    "farnet, refined": FARNetConfig(backbone="resnet10t", pretrained=False, width=64),
    "fpn": FPNConfig(backbone="resnet10t", pretrained=False, width=64),
    "unet": UNetConfig(),
}


def step_seconds(config: NetworkConfig, memory_format: torch.memory_format) -> float:
    """Median seconds of a training step on 4 images of 320 x 256 with 19 landmarks."""
    torch.manual_seed(0)
    network = build_network(config, load_protocol("cephalometric_19")).to(memory_format=memory_format)
    images = torch.randn(4, 3, 320, 256).contiguous(memory_format=memory_format)
    points = torch.rand(4, 19, 2) * 250
    loss = HeatmapLoss(LossConfig(sigma=4), network.strides)
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss(network(images), points).backward()
        optimizer.step()

    return median_seconds(step, 5)


def main() -> None:
    results = {}
    for name, config in _NETWORKS.items():
        contiguous = step_seconds(config, torch.contiguous_format)
        channels_last = step_seconds(config, torch.channels_last)
        results[name] = {
            "contiguous_s": contiguous,
            "channels_last_s": channels_last,
            "ratio": channels_last / contiguous,
        }
        print(name, results[name], flush=True)
    print(write("memory_format", "python benchmarks/memory_format.py", {"training_step": results}))


if __name__ == "__main__":
    main()
