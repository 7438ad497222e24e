"""Where landmarks lie, and how they move together, learned from labels alone.

A normal distribution over all landmarks: the mean of the labels, and their covariance drawn towards a plain one that a
handful of labels determines (the shape moves as a whole, and neighbours move alike). With few labels the plain one
speaks, with many the labels do. It is the mean of an inverse Wishart posterior, the conjugate prior of a covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import chi2

from ..errors import LabelError
from .gaussian import Gaussian, coordinates
from .lowrank import LowRankGaussian

Array = NDArray[np.float64]

#: Fewer labels than this say nothing of a spread.
FEWEST_LABELS = 5

#: How many labels the plain covariance counts for. Measured in benchmarks/shape_prior.py, as are the reaches.
PLAIN_LABELS = 40.0

#: What neighbours share: weight, and how far it reaches as a part of the shape's radius. The rest is each one's own.
REACHES = ((0.5, 1.0), (0.4, 0.3), (0.1, 0.1))
OWN_PART = 1e-3

# The part of good labels that counts in full; the farther beyond, the less a label counts. Rounds until both settle.
_USUAL = 0.99
_ROUNDS = 6

# No landmark is surer than this part of the image's longer side: a quarter of a pixel of 1000.
_LEAST_DEVIATION = 2.5e-4


@dataclass(frozen=True)
class ShapePrior:
    """A distribution over landmarks, learned from labels.

    Coordinates are relative: the image's centre is 0, its longer side 1, x and y alike.

    Attributes:
        distribution: over the known landmarks, in relative coordinates.
        known: (K,) which landmarks any label has; nothing is said of the others.
        labels: how many labels it was learned from.
    """

    distribution: Gaussian
    known: NDArray[np.bool_]
    labels: int

    @classmethod
    def fit(cls, points: Array, sizes: NDArray[np.integer]) -> ShapePrior:
        """Learn from labels.

        Args:
            points: (N, K, 2), (x, y) in pixels of each image, NaN where a landmark is absent.
            sizes: (N, 2), (W, H) of each image.

        Raises:
            LabelError: fewer than :data:`FEWEST_LABELS` labels.
        """
        if len(points) < FEWEST_LABELS:
            raise LabelError(f"a shape is learned from {FEWEST_LABELS} labels or more, and there are {len(points)}")
        placed = np.isfinite(points).all(2)
        known = placed.sum(0) > 1
        shapes = np.stack([_relative(p, size) for p, size in zip(points, sizes, strict=True)])[:, known]
        return cls(_robust_gaussian(shapes), known, len(points))

    def in_pixels(self, size: tuple[int, int]) -> LowRankGaussian:
        """The distribution over all K landmarks in an image of ``size`` (W, H), in its pixels.

        One that is not known may be anywhere, and says nothing of the others.
        """
        return self._relative.mapped(float(max(size)), (np.array(size) - 1) / 2)

    @cached_property
    def _relative(self) -> LowRankGaussian:
        """Over all K landmarks, in relative coordinates; a click needs it in few degrees of freedom."""
        learned = LowRankGaussian.from_covariance(self.distribution.mean, self.distribution.covariance)
        count, rank, known = len(self.known), learned.factor.shape[-1], torch.from_numpy(self.known)
        mean, factor = torch.zeros(count, 2).to(learned.mean), torch.zeros(count, 2, rank).to(learned.mean)
        own = torch.eye(2).to(learned.mean).repeat(count, 1, 1)
        mean[known], factor[known], own[known] = learned.mean, learned.factor, learned.own
        return LowRankGaussian(mean, factor, own)


def _relative(points: Array, size: NDArray[np.integer]) -> Array:
    return (points - (size - 1) / 2) / max(size)


def _robust_gaussian(shapes: Array) -> Gaussian:
    """Mean and covariance of labels (N, K, 2), by EM: absent landmarks are expected from the others of their label.

    As the ER algorithm for incomplete data with outliers (Little & Smith, JASA 82, 1987), the covariance with a prior.
    """
    current = _start(shapes)
    for _ in range(_ROUNDS):
        completed, uncertainty, weights = _expected(shapes, current)
        current = _most_likely(completed, uncertainty, weights)
    return current


def _start(shapes: Array) -> Gaussian:
    """A robust guess: medians, and the plain covariance."""
    center = np.nanmedian(shapes, axis=0)
    deviations = shapes - center
    shift = np.nanmedian(deviations, axis=1)
    own = np.nanmedian(np.abs(deviations - shift[:, None]), axis=(0, 1))
    whole = np.median(np.abs(shift - np.median(shift, axis=0)), axis=0)
    return Gaussian(center, _plain_covariance(center, (1.4826 * whole) ** 2, (1.4826 * own) ** 2))


def _expected(shapes: Array, current: Gaussian) -> tuple[Array, Array, Array]:
    """Labels with their absent landmarks filled in (N, K, 2), what that adds to the covariance, and weights (N,)."""
    completed = np.empty_like(shapes)
    uncertainty = np.zeros_like(current.covariance)
    weights = np.empty(len(shapes))
    patterns, which = np.unique(np.isfinite(shapes).all(2), axis=0, return_inverse=True)
    for index, placed in enumerate(patterns):
        members = np.flatnonzero(which.reshape(-1) == index)
        rows = coordinates(np.flatnonzero(placed))
        across = current.covariance[rows]
        surprise = (shapes[members] - current.mean).reshape(len(members), -1)[:, rows]
        solved = cho_solve(cho_factor(across[:, rows]), np.concatenate([surprise.T, across], axis=1))
        distance = (surprise * solved[:, : len(members)].T).sum(1)
        weights[members] = np.minimum(1.0, chi2.ppf(_USUAL, len(rows)) / np.maximum(distance, 1e-9)) ** 2
        completed[members] = current.mean + (across.T @ solved[:, : len(members)]).T.reshape(len(members), -1, 2)
        if not placed.all():
            remaining = current.covariance - across.T @ solved[:, len(members) :]
            uncertainty += weights[members].sum() * remaining
    return completed, uncertainty, weights


def _most_likely(completed: Array, uncertainty: Array, weights: Array) -> Gaussian:
    """Mean and covariance of complete labels with weights, drawn towards the plain covariance."""
    count = len(completed)
    center = np.average(completed, axis=0, weights=weights)
    flat = (completed - center).reshape(count, -1)
    # By the sum of the weights, not by the count: the prior follows the scale, and both would grow without end.
    sample = (flat.T @ (weights[:, None] * flat) + uncertainty) / weights.sum() * count / (count - 1)
    whole = np.array([sample[axis::2, axis::2].mean() for axis in range(2)])  # of the mean of all landmarks
    own = np.diag(sample).reshape(-1, 2).mean(0) - whole
    part = PLAIN_LABELS / (count + PLAIN_LABELS)
    return Gaussian(center, (1 - part) * sample + part * _plain_covariance(center, whole, own))


def _plain_covariance(center: Array, whole: Array, own: Array) -> Array:
    """Covariance of a shape that moves as a whole, and in which neighbours move alike, x and y independently.

    Args:
        center: (K, 2), the mean shape.
        whole: (2,) variance of the whole shape's place.
        own: (2,) variance of a landmark about it, the mean over landmarks.
    """
    count = len(center)
    squared = ((center[:, None] - center[None]) ** 2).sum(2)
    squared /= squared.mean() / 2 or 1.0  # the mean squared distance of two is twice the squared radius
    alike = (1 - OWN_PART) * sum(weight * np.exp(-squared / (2 * reach**2)) for weight, reach in REACHES)
    alike = alike + OWN_PART * np.eye(count)
    covariance = np.zeros((count, 2, count, 2))
    for axis in range(2):
        covariance[:, axis, :, axis] = whole[axis] + (own[axis] + _LEAST_DEVIATION**2) * alike
    return covariance.reshape(2 * count, 2 * count)
