"""What is simulated: the reader's habits, and what of the tool is used."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..active.selection import STRATEGIES
from ..errors import ConfigError, listed
from ..yamlfile import validate

#: Label counts at which a server that does not decide for itself is told to train.
USUAL_COUNTS = (5, 10, 20, 40, 80, 160, 320)

#: What the other simulation has settled, beside ``train``, where it is replayed.
_NOT_REPLAYED = ("strategy", "wait_for_training", "experiment")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Habits(_Part):
    """How the reader reads.

    Attributes:
        tolerance: error up to which a landmark is right, in mm, or in pixels of the image where a spacing is unknown.
        noise: standard deviation of each coordinate of a click, in the same unit.
        order: in which landmarks are looked at: the tool's own, the worst first, or any.
        confirm: whether what is looked at and right is confirmed, by a key in 3D Slicer: it stays, and others follow
            it as they do a click. Without, it may move, and is looked at again.
        follow: whether what was not clicked follows; without, a click moves its landmark alone.
        trust: landmarks that are right with this probability, as the tool says, are not looked at; 0: all are.
        look_s, click_s: how long a look takes, and a click, in seconds.
    """

    tolerance: float = Field(gt=0)
    noise: float = Field(0.0, ge=0)
    order: Literal["model", "oracle", "random"] = "model"
    confirm: bool = True
    follow: bool = True
    trust: float = Field(0.0, ge=0, le=1)
    look_s: float = Field(0.0, ge=0)
    click_s: float = Field(0.0, ge=0)


class Settings(_Part):
    """One simulation.

    Attributes:
        habits: of the reader.
        strategy: by which the server chooses the next image.
        prediction: what is on screen first: ``refine``, network and shape of labels, or what there is of the two;
            ``network``, nothing until there is a network.
        train: ``auto``, as the server decides; ``at:10,20``, when there are so many labels; ``off``.
        wait_for_training: the reader rests while a training runs, so that no pace plays a part.
        experiment: what a training runs, whole.
        server: further options of ``landmarklabel serve``.
        replay: folder of another simulation, of which images come in their order, each with the model that it had.
        seed: of the images, and of the reader's hand.
    """

    habits: Habits
    strategy: str = "mixed"
    prediction: Literal["refine", "network"] = "refine"
    train: str = "auto"
    wait_for_training: bool = False
    experiment: dict[str, Any] = Field(default_factory=dict)
    server: tuple[str, ...] = ()
    replay: str = ""
    seed: int = Field(0, ge=0)

    @field_validator("strategy")
    @classmethod
    def _is_one(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise ValueError(f"there is no strategy '{name}'; there are {listed(STRATEGIES)}")
        return name

    @field_validator("train")
    @classmethod
    def _known(cls, text: str) -> str:
        if text not in ("auto", "off") and training_counts(text) is None:
            raise ValueError(f"'{text}' is not auto, off, or at: and rising label counts, such as at:10,20,40")
        return text

    @model_validator(mode="after")
    def _trains_or_replays(self) -> Settings:
        if self.replay and self.train != "off":
            raise ValueError(
                f"a replay takes its models from the other simulation; train is off there, not {self.train}"
            )
        fields = type(self).model_fields
        changed = [
            name for name in _NOT_REPLAYED if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        ]
        if self.replay and changed:
            raise ValueError(
                f"a replay takes images and models from the other simulation; without a replay, {listed(changed)} "
                "can be chosen"
            )
        return self


def training_counts(text: str) -> tuple[int, ...] | None:
    """The label counts of ``at:10,20``; None where it is not of that form."""
    kind, _, counts = text.partition(":")
    parts = counts.split(",")
    if kind != "at" or not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        return None
    numbers = tuple(map(int, parts))
    return numbers if list(numbers) == sorted(set(numbers)) and numbers[0] > 0 else None


#: What each variant of the product leaves out or does otherwise; the product itself, and its replay, nothing.
VARIANTS: dict[str, dict[str, Any]] = {
    "product": {},
    "again": {},
    "by-hand": {"habits": {"follow": False}},
    "prior-only": {"train": "off"},
    "no-templates": {"server": ("--shape-only",)},
    "shape-alone": {"train": "off", "server": ("--shape-only",)},
    "network-only": {"prediction": "network", "habits": {"follow": False}},
    "train-once": {"train": "at:20"},
    "random-order": {"habits": {"order": "random"}},
    "oracle-order": {"habits": {"order": "oracle"}},
    "random-strategy": {"strategy": "random"},
    "no-confirm": {"habits": {"confirm": False}},
    "trust": {"habits": {"trust": 0.95}},
    "trust-80": {"habits": {"trust": 0.8}},
}

#: The same in words, for tables and pictures.
TITLES = {
    "product": "the product",
    "again": "the product's images and models again",
    "by-hand": "clicks move nothing else",
    "prior-only": "no network: the shape and look of labels alone",
    "no-templates": "the shape of labels without their look",
    "shape-alone": "no network: the shape of labels alone",
    "network-only": "nothing without a network, and clicks move nothing else",
    "train-once": "one training, at 20 labels",
    "random-order": "landmarks in random order",
    "oracle-order": "the worst landmark first (oracle)",
    "random-strategy": "images in random order",
    "no-confirm": "what was found right may move again",
    "trust": "no look where it is 95 % sure",
    "trust-80": "no look where it is 80 % sure",
}


def as_variant(settings: Settings, name: str) -> Settings:
    """The same simulation of a variant of the product.

    Raises:
        ConfigError: there is no such variant, or a replay would leave out what it changes.
    """
    if name not in VARIANTS:
        raise ConfigError(f"--variant {name}: there is none of that name; there are {listed(VARIANTS, 20)}")
    changes = VARIANTS[name]
    if settings.replay and (taken := listed({"train", "strategy"} & changes.keys())):
        raise ConfigError(
            f"--variant {name} changes {taken}, which a replay takes from the other simulation; run it without --replay"
        )
    habits = {**settings.habits.model_dump(), **changes.get("habits", {})}
    server = (*settings.server, *changes.get("server", ()))
    content = {**settings.model_dump(), **changes, "habits": habits, "server": server}
    return validate(content, Settings, ConfigError, f"--variant {name}")
