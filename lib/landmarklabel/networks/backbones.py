"""Backbones: any timm network whose features halve in size from level to level, pretrained from a file or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from ..errors import ConfigError, ModelError, listed


class Backbone(nn.Module):
    """Features of an image at strides 1 or 2, 4, 8, ...

    ``forward`` takes (B, 3, H, W) and returns (B, channels[i], H / strides[i], W / strides[i]) for each level.

    Args:
        name: of a timm model.
        pretrained: False for fresh weights; True for those of the hub (needs a connected machine, once); or the
            path of a file with them (``.safetensors``, or a ``.pth`` that holds tensors only).
        levels: how many levels of stride 2 and more to keep.

    Raises:
        ConfigError: timm has no such model, or it lacks levels.
        ModelError: the weights can't be fetched or read.
    """

    def __init__(self, name: str, pretrained: bool | str = False, levels: int = 5) -> None:
        super().__init__()
        self.features = create_features(name, pretrained)
        strides = list(self.features.feature_info.reduction())
        if strides[:1] == [1]:  # VGG: its first block works at the image's own resolution
            levels = min(levels, len(strides) - 2)
            wanted = [2**level for level in range(levels + 1)]
        else:
            wanted = [2 ** (level + 1) for level in range(levels)]
        if strides[: len(wanted)] != wanted:
            raise ConfigError(f"backbone '{name}' has features at strides {strides}; needed are {wanted}")
        self.strides = tuple(wanted)
        self.channels = tuple(self.features.feature_info.channels()[: len(wanted)])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return list(self.features(images))[: len(self.strides)]


def create_features(name: str, pretrained: bool | str, **options: Any) -> Any:
    """A timm model that gives features at several strides.

    Args:
        name: of the model.
        pretrained: see :class:`Backbone`.
        options: for the model itself.

    Raises:
        ConfigError: timm has no such model.
        ModelError: the weights can't be fetched or read.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:5]
        raise ConfigError(f"timm has no backbone '{name}'" + (f"; near it: {', '.join(near)}" if near else ""))
    options |= {"features_only": True, "pretrained": bool(pretrained)}
    if isinstance(pretrained, str):
        weights = _read_weights(Path(pretrained))
        _require_weights_of(name, weights, pretrained)
        options["pretrained_cfg_overlay"] = {"state_dict": weights}
    try:
        return timm.create_model(name, **options)
    except Exception as problem:  # the hub client raises errors of many unrelated classes
        if not pretrained:
            raise ConfigError(f"backbone '{name}' can't give features at several strides ({problem})") from None
        if isinstance(pretrained, str):
            raise ModelError(f"{pretrained} does not hold weights of {name} ({problem})") from None
        raise ModelError(
            f"the pretrained weights of {name} could not be fetched ({type(problem).__name__}); on a machine without "
            "network give the path of a file with them as 'pretrained', or 'pretrained: false' to start from none"
        ) from None


def _require_weights_of(name: str, weights: dict[str, torch.Tensor], path: str) -> None:
    """timm itself takes whatever keys fit and leaves the rest of the network at random."""
    model = timm.create_model(name, pretrained=False)
    classifier = tuple(prefix for prefix, module in model.named_modules() if module is model.get_classifier())
    needed = {key for key in model.state_dict() if not key.startswith(classifier or ("\0",))}
    lacking = sorted(needed - set(weights))
    if lacking:
        raise ModelError(f"{path} does not hold weights of {name}: it lacks {listed(lacking, 3)}")


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f"no file with pretrained weights at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # weights_only: a pickle that holds anything but tensors is refused, not run.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise ModelError(f"{path} can't be read as weights ({type(problem).__name__})") from None
    return content.get("state_dict", content)
