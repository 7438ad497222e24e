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
from landmarklabel.resources import resource

Changes = Mapping[str, Any]

#: For every method: a schedule that ends with the budget, so that no run is stopped on its way.
_ALL: Changes = {
    "batch_size": 4,
    "optimizer.schedule": "cosine",
    "validation.patience": 0,
    "validation.pictures": 0,
    "train_on": None,
    "validate_on": None,
    "test_on": None,
}

#: (height, width) of the input.
_SIZES = {"aasce": (256, 128), "isbi2015": (320, 256)}


@dataclass(frozen=True)
class Method:
    """A row of what is trained.

    Attributes:
        base: a file of ``configs/models``.
        changes: dotted keys of the configuration.
        keeps_aspect: its own way to fit an image, with as many pixels, in place of stretching it to the size.
    """

    base: str
    changes: Changes = field(default_factory=dict)
    keeps_aspect: bool = False


_SMALL_FEATURES = {"name": "fpn", "backbone": "resnet10t", "pretrained": False, "width": 64}

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "farnet_light": Method("farnet_light", keeps_aspect=True),
        "fpn": Method("farnet_light", {"network": _SMALL_FEATURES}, keeps_aspect=True),
    }
)


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
    size: Changes = {"input.height": height, "input.width": width, "input.pixels": None, "input.fit": "stretch"}
    if method.keeps_aspect:
        size = {"input.height": None, "input.width": None, "input.pixels": height * width}
    path = resource("configs") / "models" / f"{method.base}.yaml"
    return load_experiment(path, {**_ALL, "method": name, **size, **method.changes, **(changes or {})})
