"""Model files: safetensors with a JSON header. Nothing in them can execute code.

The header says what the model is (method, configuration, protocol), what it was trained on, how well it did, and
holds a digest of itself and the weights, so that a damaged file is refused, never served.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .engine.config import ExperimentConfig
from .errors import ModelError
from .files import atomic_path
from .interaction.gaussian import Gaussian
from .interaction.shape_prior import ShapePrior
from .losses import MorphologySets
from .networks import LandmarkNetwork, build_network
from .protocol import Protocol

_KEY = "landmarklabel"
_DIGEST_KEY = "sha256"  # of the header's text and the weights
_FORMAT = 1
_SHAPE = "shape."  # before the names of tensors that are no weights
_SHAPE_PARTS = ("mean", "covariance", "known", "labels")


class ModelHeader(BaseModel):
    """What a model file says about itself.

    Attributes:
        format: of this header.
        version: names the weights: the first digits of their digest.
        config: the run that made it.
        protocol: the anatomy, whole, so that a model needs no other file.
        data: name, fingerprint and size of the training data; hashes of the patients that were ``seen`` and, of these,
            ``trained`` on, also by the weights that training started from. Older files say nothing of the latter.
        metrics: on the validation data, at the epoch that was kept.
        software: versions of what made it.
        morphology: the distances and angles that its loss looked at; None where it looked at none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = _FORMAT
    version: str
    config: ExperimentConfig
    protocol: Protocol
    data: dict[str, Any]
    metrics: dict[str, Any]
    software: dict[str, str]
    morphology: MorphologySets | None = None

    @property
    def described_data(self) -> dict[str, Any]:
        """The training data without the hashes of patients."""
        return {key: value for key, value in self.data.items() if key not in ("seen", "trained")}


def save_model(
    path: Path,
    network: LandmarkNetwork,
    config: ExperimentConfig,
    protocol: Protocol,
    data: dict[str, Any],
    metrics: dict[str, Any],
    shape: ShapePrior | None = None,
    morphology: MorphologySets | None = None,
    half: bool = False,
) -> ModelHeader:
    """Write a model file; ``path`` keeps its old content until the new one is complete and on disk.

    Args:
        shape: of the training labels, for corrections where there are no other labels.
        morphology: which distances and angles its loss looked at.
        half: store weights in 16 bits, half the size; what is no weight, as mean shapes, stays as it is.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    learned = {name for name, _ in network.named_parameters()}
    weights = {name: _stored(value, half and name in learned) for name, value in network.state_dict().items()}
    version = _digest_of_weights(weights)[:12]
    weights |= _shape_tensors(shape)
    header = ModelHeader(
        version=version,
        config=config,
        protocol=protocol,
        data=data,
        metrics=metrics,
        software=_software(),
        morphology=morphology,
    )
    text = header.model_dump_json()
    with atomic_path(path, f"the model {path.name}") as temporary:
        save_file(weights, temporary, metadata={_KEY: text, _DIGEST_KEY: _digest(text, weights)})
    return header


def read_header(path: Path) -> ModelHeader:
    """The header alone, without loading weights.

    Raises:
        ModelError: no file there, damaged, or not one of ours.
    """
    metadata, _ = _read(path, weights=False)
    return _parse_header(metadata, path)


class Model(NamedTuple):
    """What a model file holds: a trained network in evaluation mode, on the CPU; its header; its labels' shape."""

    network: LandmarkNetwork
    header: ModelHeader
    shape: ShapePrior | None


def load_model(path: Path) -> Model:
    """All that is in a model file.

    Raises:
        ModelError: no file there, damaged, or its weights do not fit its own description.
    """
    metadata, weights = _read(path, weights=True)
    header = _parse_header(metadata, path)
    if _digest(metadata[_KEY], weights) != metadata.get(_DIGEST_KEY):
        raise ModelError(f"the model file {path.name} is damaged: it is not what was saved; it is not used")
    shape = _shape_of(weights)
    network = build_network(without_pretrained(header.config).network, header.protocol)
    try:
        network.load_state_dict({name: _restored(value) for name, value in weights.items()})
    except RuntimeError:
        raise ModelError(f"the weights of {path.name} do not fit its network ({header.config.network.name})") from None
    return Model(network.eval(), header, shape)


def _read(path: Path, weights: bool) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and, if wanted, weights of a safetensors file, in one go: it may be replaced at any moment."""
    if not path.is_file():
        raise ModelError(f"there is no model file {path.name}")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys()) if weights else []
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as problem:
        raise ModelError(f"the model file {path.name} is damaged ({problem}); it is not used") from None


def _parse_header(metadata: dict[str, str], path: Path) -> ModelHeader:
    if _KEY not in metadata:
        raise ModelError(f"{path.name} is a safetensors file, but not a landmarklabel model: it has no header of ours")
    try:
        return ModelHeader.model_validate_json(metadata[_KEY])
    except ValidationError:
        raise ModelError(
            f"the header of {path.name} can't be read (this program reads format {_FORMAT}); "
            "use the version of landmarklabel that wrote it, or train again"
        ) from None


def without_pretrained(config: ExperimentConfig) -> ExperimentConfig:
    """The same run without fetching weights of a backbone: those of a trained model replace them anyway."""
    if not hasattr(config.network, "pretrained"):
        return config
    return config.model_copy(update={"network": config.network.model_copy(update={"pretrained": False})})


def _shape_tensors(shape: ShapePrior | None) -> dict[str, torch.Tensor]:
    if shape is None:
        return {}
    arrays = {"mean": shape.distribution.mean, "covariance": shape.distribution.covariance, "known": shape.known}
    tensors = {f"{_SHAPE}{name}": torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    return {**tensors, f"{_SHAPE}labels": torch.tensor(shape.labels)}


def _shape_of(weights: dict[str, torch.Tensor]) -> ShapePrior | None:
    """The shape among weights, which are left without it."""
    parts = {name: weights.pop(f"{_SHAPE}{name}").numpy() for name in _SHAPE_PARTS if f"{_SHAPE}{name}" in weights}
    if set(parts) != set(_SHAPE_PARTS):
        return None
    return ShapePrior(Gaussian(parts["mean"], parts["covariance"]), parts["known"], int(parts["labels"]))


def _stored(value: torch.Tensor, half: bool) -> torch.Tensor:
    value = value.detach().cpu().contiguous()
    return value.half() if half and value.dtype == torch.float32 else value


def _restored(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value


def _digest(text: str, weights: dict[str, torch.Tensor]) -> str:
    """Of the whole file: a header that says something else of the same weights is damaged, too."""
    return hashlib.sha256(f"{text}\n{_digest_of_weights(weights)}".encode()).hexdigest()


def _digest_of_weights(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].dtype} {tuple(weights[name].shape)}\n".encode())
        digest.update(weights[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _software() -> dict[str, str]:
    import monai
    import timm

    from . import __version__

    return {
        "landmarklabel": __version__,
        "torch": torch.__version__,
        "monai": monai.__version__,
        "timm": timm.__version__,
    }
