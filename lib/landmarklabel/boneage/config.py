"""What a training of the bone age ensemble is made of; a user's own is a YAML file with these keys."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class BoneAgeConfig(BaseModel):
    """Defaults are the paper's where it says something.

    Attributes:
        structures: which closed structures are the bones; None: all of the protocol.
        class_months: width of an age class.
        members: of the ensemble.
        bone_features: width of the three blocks that see one bone.
        hidden: width of the layer that sees all bones.
        epochs: of each member; all are trained to the end.
        batch_size: the paper does not say. Batches are made equal, so that some are a little larger.
        learning_rate: of Adam; the paper does not say.
        readout: how classes become an age, which the paper does not say: the ``expectation`` over the classes, or
            the centre of the most probable class (``argmax``).
        validation: fraction of the patients that is held out to measure on; 0: nobody.
        seed: of the split, the weights and the order; members count up from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    structures: tuple[str, ...] | None = Field(None, min_length=1)
    class_months: float = Field(4, gt=0, le=120)
    members: int = Field(5, ge=1, le=100)
    bone_features: int = Field(32, ge=1, le=1024)
    hidden: int = Field(64, ge=1, le=4096)
    epochs: int = Field(75, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    readout: Literal["expectation", "argmax"] = "expectation"
    validation: float = Field(0.2, ge=0, lt=1)
    seed: int = Field(0, ge=0)
