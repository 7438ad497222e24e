"""What a training run is made of, as one YAML file.

``configs/models`` holds methods, ``configs/experiments`` runs that are based on them: a file with ``base: NAME``
takes everything from ``configs/models/NAME.yaml`` (or a path) and changes what it names itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors import ConfigError, listed
from ..heatmaps import DecoderConfig
from ..interaction.posterior import PosteriorConfig
from ..losses import DenseLossConfig, LossConfig, MorphologyConfig
from ..networks import NetworkConfig
from ..resources import resource
from ..transforms import AugmentationConfig, Fit
from ..uvmaps import UVDecoderConfig
from ..yamlfile import read_yaml, validate
from .clicks import ClickTrainingConfig


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputConfig(_Part):
    """The network's input: its height and width, or how many pixels it may have.

    Attributes:
        height, width: in pixels.
        pixels: about how many in all; height and width then follow the usual aspect of the training images.
        fit: ``stretch`` as the papers do, or ``letterbox``, which keeps the aspect.
    """

    height: int | None = Field(None, ge=16, le=4096)
    width: int | None = Field(None, ge=16, le=4096)
    pixels: int | None = Field(None, ge=1024, le=4096 * 4096)
    fit: Fit = "stretch"

    @model_validator(mode="after")
    def _one_way(self) -> InputConfig:
        sides = (self.height is not None) + (self.width is not None)
        if sides == 1 or (sides == 2) == (self.pixels is not None):
            raise ValueError("give height and width, or pixels")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(W, H); only once they are known."""
        assert self.width is not None and self.height is not None, "the input has no size before the data are known"
        return self.width, self.height

    def fitted(self, aspect: float, multiple: int) -> InputConfig:
        """With height and width for images of that aspect (width by height), in multiples that the network needs."""
        if self.pixels is None:
            return self
        width, height = ((self.pixels * ratio) ** 0.5 for ratio in (aspect, 1 / aspect))
        most = 4096 // multiple
        whole = [min(max(1, round(side / multiple)), most) * multiple for side in (height, width)]
        return InputConfig(height=whole[0], width=whole[1], fit=self.fit)


class OptimizerConfig(_Part):
    """The optimiser; the schedule multiplies its learning rate.

    Attributes:
        name: a class of ``torch.optim``.
        schedule: ``constant``; ``step``: by ``factor`` at each part of the run in ``steps``; ``cosine``: to zero.
    """

    name: Literal["Adam", "AdamW", "Adadelta", "SGD"] = "Adam"
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "step", "cosine"] = "step"
    steps: tuple[float, ...] = (2 / 3,)
    factor: float = Field(0.1, gt=0, le=1)


class ValidationConfig(_Part):
    """Where the best epoch is chosen.

    Attributes:
        fraction: of the patients, held out from training, by the run's seed.
        every: this many epochs; the last epoch always.
        patience: stop after this many validations without a better one; 0 never stops.
        pictures: how many images to draw predictions on, at each validation.
    """

    fraction: float = Field(0.15, gt=0, lt=1)
    every: int = Field(1, ge=1)
    patience: int = Field(0, ge=0)
    pictures: int = Field(4, ge=0)


class ExperimentConfig(_Part):
    """One training run.

    Attributes:
        method: name under which results are listed.
        network: which, and its parts.
        input: size of the network's input.
        loss: of heat maps, and the width of the target Gaussians.
        dense: loss of segmentation and uv-maps.
        morphology: loss of distances and angles between landmarks.
        clicks: what an interactive network is shown of a reader's clicks while it learns.
        decoder: how landmarks are read off heat maps.
        uv_decoder: how landmarks are read off uv-maps.
        posterior: how heat maps and the shape of labels are weighed when a person corrects landmarks.
        augmentation: how training images vary.
        epochs: passes over the training images.
        batch_size: images in each step, on each device.
        amp: mixed precision; ``auto`` uses it on a GPU; ``native`` also on a processor with instructions for it (AMX,
            AVX-512 BF16), as ``bf16``, 16-bit floats of the range of 32: steps take about half the time; ``bf16`` on
            any device, slower on other processors; ``off``. On a processor, validation is in 32 bits.
        seed: of weights, order, augmentation and the validation split.
        train_on, validate_on, test_on: splits of the layout; None trains on all that is labelled and holds out
            ``validation.fraction``.
        include_suspicious: train also on labels that look wrong by geometry.
    """

    method: str = "farnet"
    network: NetworkConfig
    input: InputConfig
    loss: LossConfig = LossConfig()
    dense: DenseLossConfig = DenseLossConfig()
    morphology: MorphologyConfig = MorphologyConfig()
    clicks: ClickTrainingConfig = ClickTrainingConfig()
    decoder: DecoderConfig = DecoderConfig()
    uv_decoder: UVDecoderConfig = UVDecoderConfig()
    posterior: PosteriorConfig = PosteriorConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    validation: ValidationConfig = ValidationConfig()
    epochs: int = Field(300, ge=1)
    batch_size: int = Field(1, ge=1)
    amp: Literal["auto", "off", "bf16", "native"] = "auto"
    seed: int = Field(0, ge=0, lt=2**31)
    train_on: str | None = None
    validate_on: str | None = None
    test_on: str | None = None
    include_suspicious: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> ExperimentConfig:
        multiple = self.network.multiple
        if (self.input.height or 0) % multiple or (self.input.width or 0) % multiple:
            raise ValueError(
                f"input {self.input.height} x {self.input.width}: {self.network.name} needs height and width in "
                f"multiples of {multiple}"
            )
        return self

    @model_validator(mode="after")
    def _window_of_the_network(self) -> ExperimentConfig:
        window, multiple = self.augmentation.window, self.network.multiple
        if window is not None and (min(window) <= 0 or any(side % multiple for side in window)):
            raise ValueError(
                f"augmentation.window {window}: {self.network.name} needs sides in multiples of {multiple}"
            )
        if window is not None and self.network.name in ("denseseg", "interactive"):
            raise ValueError(f"augmentation.window: {self.network.name} learns from whole images; leave it out")
        return self

    @model_validator(mode="after")
    def _loss_of_the_network(self) -> ExperimentConfig:
        if (self.loss.name == "bce") != (self.network.name == "interactive"):
            raise ValueError(
                f"loss {self.loss.name}: the network interactive needs the loss bce, and no other network has it; "
                f"the network is {self.network.name}"
            )
        return self

    @model_validator(mode="after")
    def _maps_of_the_network(self) -> ExperimentConfig:
        if self.network.name == "denseseg" and self.morphology.criterion != "none":
            raise ValueError("morphology: is a loss of networks with heat maps; denseseg has none")
        return self


def available_experiments() -> dict[str, Path]:
    """Name and file of each experiment that comes with the project."""
    return {path.stem: path for path in sorted((resource("configs") / "experiments").glob("*.yaml"))}


def load_experiment(name: str | Path, changes: dict[str, Any] | None = None) -> ExperimentConfig:
    """An experiment by its bare name in ``configs/experiments``, or by the path of a YAML file.

    Args:
        name: bare name or path.
        changes: dotted keys and their values, which replace those of the file (``{"epochs": 3}``).

    Raises:
        ConfigError: there is none of that name, or a key is wrong; says which and what would be right.
    """
    path = _find(name)
    content = _merged(path, set())
    for key, value in (changes or {}).items():
        content = _merge(content, _nested(key.split("."), value))
    return validate(content, ExperimentConfig, ConfigError, path.name)


def _find(name: str | Path) -> Path:
    shipped = available_experiments()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"there is no experiment '{name}'; choose one of {listed(shipped, 20)}, or give a .yaml file")
    return path


def _merged(path: Path, seen: set[Path]) -> dict[str, Any]:
    real = Path(os.path.realpath(path))
    if real in seen:
        raise ConfigError(f"{path.name} is based on itself")
    content = read_yaml(path, ConfigError)
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name}: expected 'key: value' lines, got {type(content).__name__}")
    base = content.pop("base", None)
    if base is None:
        return content
    own = path.parent / str(base)
    shipped = resource("configs") / "models" / f"{base}.yaml"
    parent = own if own.suffix in (".yaml", ".yml") else shipped
    if not parent.is_file():
        models = [p.stem for p in sorted((resource("configs") / "models").glob("*.yaml"))]
        raise ConfigError(
            f"{path.name}, base: there is no '{base}'; choose one of {listed(models, 20)}, or a .yaml file"
        )
    return _merge(_merged(parent, seen | {real}), content)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``changes`` over ``base``, key by key. Another network replaces the whole of its part."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        same = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        )
        result[key] = _merge(old, value) if same and isinstance(old, dict) else value
    return result


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if len(keys) > 1 else value}
