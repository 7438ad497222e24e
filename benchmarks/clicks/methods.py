"""What is trained: every network at the size that two CPU cores train in minutes, the same for all.

All see as many pixels (some 256 x 128 of a spine, 320 x 256 of a cephalogram), start from fresh weights, take batches
of four and the same schedule to zero, and are chosen by the same validation images: what differs is the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.errors import ConfigError, listed

Changes = Mapping[str, Any]

#: For every method: a schedule that ends with the budget, so that no run is stopped on its way.
_ALL: Changes = {
    "batch_size": 4,
    "amp": "bf16",
    "optimizer.schedule": "cosine",
    "validation.patience": 0,
    "validation.pictures": 0,
    "train_on": None,
    "validate_on": None,
    "test_on": None,
}

#: (height, width) of the input.
_SIZES = {"aasce": (256, 128), "isbi2015": (320, 256), "phantoms": (256, 256)}

#: Of interactive networks: the published deviation of maps and hints is 7.5 at a height of 512.
_SMALL_HRNET: Changes = {"network.backbone": "hrnet_w18_small", "network.pretrained": False}
_SIGMA_BY_HEIGHT = 7.5 / 512


@dataclass(frozen=True)
class Method:
    """A row of what is trained.

    Attributes:
        base: an experiment's name.
        changes: dotted keys of the configuration.
        interactive: whether its network takes clicks; such a one stretches an image to the size as published, others
            keep its aspect, with as many pixels.
    """

    base: str
    changes: Changes = field(default_factory=dict)
    interactive: bool = False


_PYRAMID = {"name": "fpn", "backbone": "resnet10t", "pretrained": False, "width": 64}

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "farnet_light": Method("farnet_light"),
        "fpn": Method("farnet_light", {"network": _PYRAMID}),
        "fpn_light": Method("fpn_light"),
        "fpn_shared": Method("fpn_shared"),
        "denseseg": Method("denseseg_light"),
        "heatreg": Method("heatreg_light"),
        "interactive_ritm": Method("interactive_ritm", _SMALL_HRNET, interactive=True),
        "interactive_gate": Method("interactive_gate", _SMALL_HRNET, interactive=True),
        "interactive_morphology": Method("interactive_morphology", _SMALL_HRNET, interactive=True),
        "interactive": Method("interactive_aasce", _SMALL_HRNET, interactive=True),
        "interactive_brs": Method("interactive_brs", _SMALL_HRNET, interactive=True),
        "interactive_fbrs": Method("interactive_fbrs", _SMALL_HRNET, interactive=True),
        "interactive_light": Method("interactive_light", _SMALL_HRNET, interactive=True),
    }
)

#: The rows that are looked at most closely: what the server does by default, and the published recipe.
DEFAULT, PUBLISHED = "farnet_light", "interactive"


def configuration(name: str, layout: str, changes: Changes | None = None) -> ExperimentConfig:
    """What is trained under that name on that data set.

    Args:
        changes: dotted keys that come last, to try out.

    Raises:
        ConfigError: there is no such method, or a key is wrong.
    """
    if name not in METHODS:
        raise ConfigError(f"there is no method '{name}'; choose one of {listed(METHODS, 20)}")
    method = METHODS[name]
    height, width = _SIZES[layout]
    size: Changes = {"input.height": None, "input.width": None, "input.pixels": height * width}
    if method.interactive:
        sigma = _SIGMA_BY_HEIGHT * height
        size = {"input.height": height, "input.width": width, "input.pixels": None, "input.fit": "stretch"}
        size = {**size, "loss.sigma": sigma, "network.hint_sigma": sigma}
    return load_experiment(method.base, {**_ALL, "method": name, **size, **method.changes, **(changes or {})})
