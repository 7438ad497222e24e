"""Model files of bone age ensembles: safetensors with a JSON header, as those of landmark models are.

On its own: reading models of landmarks takes MONAI and timm, whose import takes longer than everything here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import __version__
from ..errors import ModelError
from ..files import atomic_path
from ..protocol import Protocol
from .bones import Bones, BoneShapes
from .config import BoneAgeConfig
from .data import Unit
from .ensemble import AgeClasses, BoneAgeEnsemble
from .network import BoneAgeNetwork

_KEY = "landmarklabel_bone_age"
_DIGEST_KEY = "sha256"  # of the header's text and the tensors
_FORMAT = 1
_MEAN, _OPTIONAL = "shapes.mean", "shapes.optional"


class BoneAgeHeader(BaseModel):
    """What a model file says about itself.

    Attributes:
        format: of this header.
        version: names the weights and shapes: the first digits of their digest.
        config: the run that made it.
        protocol: the anatomy, whole.
        unit: of the landmarks that it takes.
        classes: of age.
        sizes: the smallest and the greatest size of training images' bones; see :class:`BoneShapes`.
        data: what it was trained on.
        metrics: on the held-out patients.
        software: versions of what made it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = _FORMAT
    version: str
    config: BoneAgeConfig
    protocol: Protocol
    unit: Unit
    classes: AgeClasses
    sizes: tuple[float, float]
    data: dict[str, Any]
    metrics: dict[str, Any]
    software: dict[str, str]


class BoneAgeModel(NamedTuple):
    """What a model file holds."""

    ensemble: BoneAgeEnsemble
    header: BoneAgeHeader


def save_bone_age(
    path: Path,
    ensemble: BoneAgeEnsemble,
    config: BoneAgeConfig,
    protocol: Protocol,
    unit: Unit,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> BoneAgeHeader:
    """Write a model file; ``path`` keeps its old content until the new one is complete and on disk.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    tensors = {
        f"{member}.{name}": value.detach().cpu().contiguous()
        for member, network in enumerate(ensemble.networks)
        for name, value in network.state_dict().items()
    }
    tensors[_MEAN] = torch.from_numpy(np.ascontiguousarray(ensemble.shapes.mean))
    tensors[_OPTIONAL] = torch.from_numpy(ensemble.shapes.optional.astype(np.uint8))
    header = BoneAgeHeader(
        version=_digest("", tensors)[:12],
        config=config,
        protocol=protocol,
        unit=unit,
        classes=ensemble.classes,
        sizes=ensemble.shapes.sizes,
        data=dict(data),
        metrics=dict(metrics),
        software={"landmarklabel": __version__, "torch": torch.__version__},
    )
    text = header.model_dump_json()
    with atomic_path(path, f"the model {path.name}") as temporary:
        save_file(tensors, temporary, metadata={_KEY: text, _DIGEST_KEY: _digest(text, tensors)})
    return header


def load_bone_age(path: Path) -> BoneAgeModel:
    """All that is in a model file.

    Raises:
        ModelError: no file there, damaged, of another kind, or its weights do not fit its own description.
    """
    metadata, tensors = _read(path)
    if _KEY not in metadata:
        raise ModelError(f"{path.name} is no bone age model; expected a file that landmarklabel bone-age train wrote")
    if _digest(metadata[_KEY], tensors) != metadata.get(_DIGEST_KEY):
        raise ModelError(f"the model file {path.name} is damaged: it is not what was saved; it is not used")
    try:
        header = BoneAgeHeader.model_validate_json(metadata[_KEY])
    except ValidationError:
        raise ModelError(
            f"the header of {path.name} can't be read (this program reads format {_FORMAT}); use the version of "
            "landmarklabel that wrote it, or train again"
        ) from None
    try:
        return BoneAgeModel(_ensemble(header, tensors), header)
    except (RuntimeError, KeyError):
        raise ModelError(f"the weights of {path.name} do not fit its own description; train it again") from None


def _ensemble(header: BoneAgeHeader, tensors: Mapping[str, torch.Tensor]) -> BoneAgeEnsemble:
    config, classes = header.config, header.classes
    bones = Bones.of(header.protocol, config.structures)
    shapes = BoneShapes(bones, tensors[_MEAN].numpy(), tensors[_OPTIONAL].numpy().astype(bool), header.sizes)
    networks = []
    for member in range(config.members):
        network = BoneAgeNetwork(
            len(bones), 2 * bones.index.shape[1], classes.number, config.bone_features, config.hidden
        )
        prefix = f"{member}."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(own)
        networks.append(network.eval())
    return BoneAgeEnsemble(networks, shapes, classes, config.readout)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors, in one go: the file may be replaced at any moment."""
    if not path.is_file():
        raise ModelError(f"there is no model file {path.name}")
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as problem:
        raise ModelError(f"the model file {path.name} is damaged ({problem}); it is not used") from None


def _digest(text: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Of the header's text and every tensor's name, type, shape and content."""
    digest = hashlib.sha256(f"{text}\n".encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
