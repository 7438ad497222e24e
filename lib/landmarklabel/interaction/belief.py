"""Where the landmarks of an image are believed to be, how sure that is, and what would be worth knowing next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .lowrank import LowRankGaussian

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Belief:
    """What is known of K landmarks, in pixels of the image.

    Attributes:
        mean: (K, 2), where each most likely is.
        covariances: (K, 2, 2), of each by itself, as it is stated to a reader.
        joint: how the errors that are left depend on each other, which decides what is worth asking next.
    """

    mean: Array
    covariances: Array
    joint: LowRankGaussian

    @classmethod
    def independent(cls, mean: Array, covariances: Array) -> Belief:
        """Of landmarks that say nothing of each other."""
        own = torch.from_numpy(covariances)
        return cls(mean, covariances, LowRankGaussian(torch.from_numpy(mean), own.new_zeros(len(mean), 2, 0), own))

    def __len__(self) -> int:
        return len(self.mean)

    def of_points(self) -> Array:
        """(K, 2, 2), the covariance of each landmark by itself."""
        return self.covariances

    def gains(self) -> Array:
        """(K,), by how much the variance of all landmarks falls once the place of one is known."""
        # The sum over j of C_kj C_jk, by what moves points together, not by their K times K dependences.
        factor, own = self.joint.factor, self.joint.own
        shared = factor.flatten(0, 1).T @ factor.flatten(0, 1)
        both = factor @ factor.transpose(-1, -2)
        squares = factor @ shared @ factor.transpose(-1, -2) + own @ both + both @ own + own @ own
        certainty = torch.linalg.inv(both + own + 1e-9 * torch.eye(2).to(own))
        return np.asarray((squares @ certainty).diagonal(dim1=-2, dim2=-1).sum(-1).cpu().numpy())
