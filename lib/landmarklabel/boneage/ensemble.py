"""Several networks that answer together, and how classes become an age."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..landmarks import Points
from .bones import BoneShapes
from .network import BoneAgeNetwork

Array = NDArray[np.float64]


class AgeClasses(BaseModel):
    """Classes of equal width, the first of which begins at a multiple of the width.

    Attributes:
        start: where the first begins, in months.
        number: C.
        months: width.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    start: float = Field(ge=0)
    number: int = Field(ge=1)
    months: float = Field(gt=0)

    @classmethod
    def learn(cls, ages: ArrayLike, months: float) -> AgeClasses:
        """As many as it takes from the youngest to the oldest of ``ages``, in months."""
        ages = np.asarray(ages, dtype=np.float64)
        first, last = math.floor(ages.min() / months), math.floor(ages.max() / months)
        return cls(start=first * months, number=last - first + 1, months=months)

    @property
    def end(self) -> float:
        """Where the last class ends, in months."""
        return self.start + self.number * self.months

    @property
    def centres(self) -> Array:
        """(C,), in months."""
        return self.start + self.months * (np.arange(self.number) + 0.5)

    def of(self, ages: ArrayLike) -> NDArray[np.int64]:
        """The class of each age; one outside is in the first or the last."""
        index = np.floor((np.asarray(ages, dtype=np.float64) - self.start) / self.months)
        return np.clip(index, 0, self.number - 1).astype(np.int64)


class AgeEstimates(NamedTuple):
    """Ages of N images.

    Attributes:
        months: (N,).
        deviation: (N,), standard deviation of the distribution over the classes, in months; it is not calibrated.
        probabilities: (N, C), of the classes.
    """

    months: Array
    deviation: Array
    probabilities: Array


@dataclass(frozen=True, eq=False)
class BoneAgeEnsemble:
    """Networks whose probabilities are averaged.

    Their ages by expectation are then averaged, too: so the ensemble's mean absolute error is never above the mean
    of its members'.

    Attributes:
        networks: the members, in evaluation mode.
        shapes: what the bones of the training images were like.
        classes: of age.
        readout: ``expectation`` over the classes, or the centre of the most probable (``argmax``).
    """

    networks: Sequence[BoneAgeNetwork]
    shapes: BoneShapes
    classes: AgeClasses
    readout: Literal["expectation", "argmax"] = "expectation"

    def estimate(self, points: Points) -> AgeEstimates:
        """Ages of landmarks (N, K, 2) in the unit of training, NaN absent."""
        return self._read(self._probabilities(points).mean(axis=0))

    def estimate_each(self, points: Points) -> list[AgeEstimates]:
        """What each member says by itself."""
        return [self._read(probabilities) for probabilities in self._probabilities(points)]

    def _probabilities(self, points: Points) -> Array:
        """(members, N, C)."""
        inputs = torch.from_numpy(self.shapes.inputs(points))
        with torch.inference_mode():
            logits = torch.stack([network(inputs) for network in self.networks])
        return logits.double().softmax(dim=-1).numpy()

    def _read(self, probabilities: Array) -> AgeEstimates:
        centres = self.classes.centres
        expected = probabilities @ centres
        variance = (probabilities * (centres - expected[:, None]) ** 2).sum(axis=1)
        months = expected if self.readout == "expectation" else centres[probabilities.argmax(axis=1)]
        return AgeEstimates(months, np.sqrt(variance), probabilities)
