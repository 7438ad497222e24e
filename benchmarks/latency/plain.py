"""The yardstick: one plain forward of timm's hrnet_w32, 32 bits, 512 x 256, PyTorch's default memory format."""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch


def plain_forward() -> Callable[[], object]:
    """With fresh weights; time does not depend on them."""
    network = timm.create_model("hrnet_w32", pretrained=False).eval()
    image = torch.randn(1, 3, 512, 256, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def forward() -> object:
        return network(image)

    return forward
