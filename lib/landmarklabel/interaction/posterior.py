"""One distribution over all landmarks: how they lie in labels, what the heat maps say, and what a person placed.

The network runs once an image. A placed landmark conditions the prior; each other landmark's map is then read in the
light of the prior, and what it says is told to the others, a few times over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .evidence import MapEvidence
from .gaussian import Gaussian

Array = NDArray[np.float64]


class PosteriorConfig(BaseModel):
    """How prior and heat maps are weighed.

    Attributes:
        sharpness: power to which a heat map's values are taken.
        floor: value of a heat map that stands for "anywhere".
        discount: by how much less a landmark's map says about the others than about itself: maps of neighbours err
            together, which a product of independent likelihoods would not know.
        rounds: of telling the others what the maps say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sharpness: float = Field(8.0, gt=0)
    floor: float = Field(0.1, gt=0, lt=1)
    discount: float = Field(5.0, ge=1)
    rounds: int = Field(5, ge=1)


@dataclass(frozen=True)
class Posterior:
    """What is known of the landmarks of one image.

    Attributes:
        prior: over the landmarks, in pixels of the image.
        evidence: of the heat maps; None without a network.
        config: how the two are weighed.
    """

    prior: Gaussian
    evidence: MapEvidence | None = None
    config: PosteriorConfig = field(default_factory=PosteriorConfig)

    def given(
        self, indices: NDArray[np.intp], points: Array, noise: float = 0.0, absent: NDArray[np.intp] | None = None
    ) -> Gaussian:
        """The distribution once some landmarks are placed.

        Args:
            indices: (C,), which landmarks.
            points: (C, 2), where a person placed them, in pixels of the image.
            noise: standard deviation of a person's placing, in pixels of the image.
            absent: landmarks that are not in this image, whose maps say nothing.
        """
        before = self.prior.observe(indices, points, noise)
        silent = indices if absent is None else np.union1d(indices, absent)
        free = np.setdiff1d(np.arange(len(before)), silent)
        if self.evidence is None or not free.size:
            return before
        evidence, joint = self.evidence.only(free), before
        for _ in range(self.config.rounds):
            _, mean, covariance = evidence.multiply(joint.mean[free], joint.of_points()[free])
            joint = before.observe(free, mean, self.config.discount * covariance)
        _, mean, covariance = evidence.multiply(joint.mean[free], joint.of_points()[free])
        return joint.with_points(free, mean, covariance)
