"""What is left of error in all landmarks together, and what that makes of a measurement.

A measurement's error is that of its landmarks, which err together: a spine that lies a vertebra too low keeps its
angles. So whole sets of landmarks are drawn from their joint distribution and each is measured
(:func:`~.measure.measure`). benchmarks/measurement_speed.py compares this with linearisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from ..interaction.belief import Belief
    from ..interaction.error_scaling import ErrorScaling
    from ..protocol import Protocol

Array = NDArray[np.float64]

#: A reader's own spread, of each coordinate, in parts of the protocol's first radius. On cephalograms, two readers
#: differ by 2.15 mm on average.
READERS_NOISE = 0.5

#: How many sets are drawn. An interval's ends are known to some hundredths of its width.
SAMPLES = 500


@dataclass(frozen=True)
class JointErrors:
    """A normal distribution over the errors of K landmarks: ``factor z + own noise``, z standard normal.

    Attributes:
        factor: (K, 2, R), what errs together.
        own: (K, 2, 2), covariance of what is each landmark's own.
        placed: (K,), which landmarks a person has placed.
        noise: a person's own standard deviation, of each coordinate.
        scaling: by what errors of measurements are multiplied, as validation images say; None: by nothing.
    """

    factor: Array
    own: Array
    placed: NDArray[np.bool_]
    noise: float = 0.0
    scaling: ErrorScaling | None = None

    @classmethod
    def of(
        cls, belief: Belief, placed: ArrayLike = (), noise: float = 0.0, scaling: ErrorScaling | None = None
    ) -> JointErrors:
        """The errors of what is believed, in pixels of the image.

        They depend on each other as in ``belief.joint``, as far as ``scaling`` says; each landmark by itself errs as
        ``belief.covariances`` states, which is what was measured.

        Args:
            belief: of K landmarks.
            placed: (C,), indices of landmarks that a person has placed: they have that person's noise only.
            noise: standard deviation of a person's placing, of each coordinate, in pixels of the image.
            scaling: what validation images say of such errors; the model's own, if it has been measured.
        """
        joint, stated = belief.joint, np.asarray(belief.covariances)
        factor, own = joint.factor.cpu().numpy(), joint.own.cpu().numpy()
        scale = _between(factor @ factor.swapaxes(-1, -2) + own, stated)
        shared = 1.0 if scaling is None else scaling.dependence
        factor, own = np.sqrt(shared) * scale @ factor, shared * scale @ own @ scale + (1 - shared) * stated
        by_hand = np.zeros(len(own), dtype=bool)
        by_hand[np.asarray(placed, dtype=np.intp)] = True
        factor[by_hand], own[by_hand] = 0.0, noise**2 * np.eye(2)
        return cls(factor, own, by_hand, noise, scaling)

    def __len__(self) -> int:
        return len(self.own)

    def scaled(self, scale: ArrayLike) -> JointErrors:
        """The errors of ``points * scale``, ``scale`` (2,)."""
        factors = np.asarray(scale, dtype=np.float64)
        own = self.own * factors[:, None] * factors
        return replace(self, factor=self.factor * factors[:, None], own=own, noise=self.noise * float(factors.mean()))

    @property
    def covariances(self) -> Array:
        """(K, 2, 2), of each landmark by itself."""
        return np.asarray(self.factor @ self.factor.swapaxes(-1, -2) + self.own)

    @property
    def worth_placing(self) -> NDArray[np.bool_]:
        """(K,), whether a landmark is less sure than a person would place it."""
        variance = np.trace(self.covariances, axis1=1, axis2=2) / 2
        return np.asarray(~self.placed & (variance > self.noise**2))

    def within(self, radius: float) -> Array:
        """(K,), the probability that each landmark errs by no more than ``radius``, as if alike to all sides."""
        variance = np.trace(self.covariances, axis1=1, axis2=2) / 2
        return np.asarray(1 - np.exp(-(radius**2) / (2 * np.maximum(variance, 1e-12))))

    def sample(self, count: int = SAMPLES, seed: int = 0) -> Array:
        """(count, K, 2), errors drawn; the same for the same seed.

        Where there are more of them than dimensions, their mean is 0 and their covariances are those of the
        distribution, exactly.
        """
        landmarks, rank = len(self), self.factor.shape[-1]
        normal = _normal(count, rank + 2 * landmarks, seed)
        errors = self.factor.reshape(2 * landmarks, rank) @ normal[:rank]
        errors += (_root(self.own) @ normal[rank:].reshape(landmarks, 2, count)).reshape(errors.shape)
        return np.asarray(errors.reshape(landmarks, 2, count).transpose(2, 0, 1))  # a coordinate's samples side by side


def readers_noise(protocol: Protocol, spacing: ArrayLike) -> float:
    """Standard deviation of a reader's placing, of each coordinate, in pixels of an image.

    Args:
        spacing: (2,), mm a pixel; (1, 1) where the protocol's radii are in pixels.
    """
    return READERS_NOISE * protocol.radii[0] / float(np.mean(np.asarray(spacing, dtype=np.float64)))


def reductions(values: Array, errors: Array, joint: JointErrors) -> Array:
    """(P, K), which part of each value's variance is expected to go once a person places a landmark.

    As if values depended linearly on the landmarks: the best linear guess of a value from one landmark's error.

    Args:
        values: (S, P), of samples; NaN where not defined.
        errors: (S, K, 2), of the same samples.
        joint: that they were drawn from.
    """
    defined = np.isfinite(values)
    means = np.where(defined, values, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    off = np.where(defined, values - means, 0.0)
    together = (errors.transpose(1, 2, 0).reshape(-1, len(errors)) @ off).reshape(len(joint), 2, -1) / len(errors)
    seen = joint.covariances + joint.noise**2 * np.eye(2)
    told = (together * (_inverse(seen) @ together)).sum(axis=1)
    return np.asarray(np.nan_to_num(told.T / np.maximum((off**2).mean(axis=0), 1e-30)[:, None]))


@lru_cache(maxsize=8)
def _normal(count: int, dimensions: int, seed: int) -> Array:
    """(dimensions, count), standard normal; of mean 0 and uncorrelated if there are fewer dimensions than samples."""
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions))
    if dimensions < count:
        drawn = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * np.sqrt(count)
    drawn = np.ascontiguousarray(drawn.T)
    drawn.flags.writeable = False
    return drawn


def _between(from_: Array, to: Array) -> Array:
    """(K, 2, 2), symmetric matrices A with ``A from_ A = to``, for covariances (K, 2, 2).

    Of all maps with that property they move points the least (the optimal transport between normal distributions).
    """
    root = _root(to)
    inner = _root(root @ from_ @ root)
    return np.asarray(root @ _inverse(inner) @ root)


def _inverse(covariance: Array) -> Array:
    """(K, 2, 2); what is singular, of a landmark that is known for certain, stays finite."""
    least = 1e-9 * np.trace(covariance, axis1=1, axis2=2) + 1e-30
    return np.asarray(np.linalg.inv(covariance + least[:, None, None] * np.eye(2)))


def _root(covariance: Array) -> Array:
    """(K, 2, 2), the symmetric square roots of covariances, by the closed form for two dimensions."""
    determinant = covariance[:, 0, 0] * covariance[:, 1, 1] - covariance[:, 0, 1] ** 2
    along = np.sqrt(np.maximum(determinant, 0))
    across = np.sqrt(covariance[:, 0, 0] + covariance[:, 1, 1] + 2 * along)
    whole = covariance + along[:, None, None] * np.eye(2)
    return np.asarray(whole / np.maximum(across, 1e-150)[:, None, None])
