"""Where landmarks lie, and how they move together, learned from labels alone.

A normal distribution over all landmarks: the mean of the labels, and their covariance drawn towards a plain one that a
handful of labels determines (the shape moves as a whole, and neighbours move alike). With few labels the plain one
speaks, with many the labels do. It is the mean of an inverse Wishart posterior, the conjugate prior of a covariance.

On real spines and cephalograms (benchmarks/shape_prior.py) nothing that was tried instead is clearly better: low rank
and noise, shapes aligned first, mixtures, Student's t, the nearest labels, strength by evidence, other units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.linalg.lapack import dpotri
from scipy.spatial.distance import pdist, squareform
from scipy.stats import chi2

from ..errors import LabelError
from .gaussian import Gaussian, coordinates
from .lowrank import LowRankGaussian

Array = NDArray[np.float64]

#: Fewer labels than this say nothing of a spread.
FEWEST_LABELS = 5

#: How many labels the plain covariance counts for. Measured in benchmarks/shape_prior.py, as is the reach.
PLAIN_LABELS = 40.0

#: Neighbours move alike by exp(-distance / reach), the reach as a part of the shape's radius; and each has a part of
#: its own. Sums of smoother kernels are surer of few labels than they may be.
REACH = 0.7
OWN_PART = 1e-3

# Of radiographs in general: standard deviations of a shape's place, in parts of the longer side, and of a landmark
# about it, in parts of the shape's radius. Of few labels nothing depends on them much (benchmarks/few_labels.py).
_USUAL_SHIFT, _USUAL_DEVIATION = 0.05, 0.12

# The part of good labels that counts in full; the farther beyond, the less a label counts. Rounds until both settle.
_USUAL = 0.99
_ROUNDS = 6
# What moves less than a pixel of 1000, and counts less otherwise than a hundredth of a label, is settled.
_SETTLED, _SETTLED_WEIGHT = 1e-3, 1e-2

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
            LabelError: fewer than :data:`FEWEST_LABELS` labels, or no landmark that two of them have.
        """
        if len(points) < FEWEST_LABELS:
            raise LabelError(f"a shape is learned from {FEWEST_LABELS} labels or more, and there are {len(points)}")
        placed = np.isfinite(points).all(2)
        known = placed.sum(0) > 1
        if not known.any():
            raise LabelError("a shape is learned from landmarks that two labels have or more, and there is none")
        shapes = np.stack([_relative(p, size) for p, size in zip(points, sizes, strict=True)])[:, known]
        return cls(_robust_gaussian(shapes[placed[:, known].any(1)]), known, len(points))

    @classmethod
    def of_few(cls, points: Array, sizes: NDArray[np.integer]) -> ShapePrior:
        """Learn what can be from one label on: the mean shape. How far others lie from it, radiographs in general say.

        Arguments as of :meth:`fit`, which says more from :data:`FEWEST_LABELS` labels on.

        Raises:
            LabelError: there is no landmark.
        """
        known = np.isfinite(points).all(2).any(0)
        if not known.any():
            raise LabelError(f"a shape is learned from landmarks, and {len(points)} labels have none")
        shapes = np.stack([_relative(p, size) for p, size in zip(points, sizes, strict=True)])[:, known]
        center = np.nanmean(shapes, axis=0)
        radius = float(np.sqrt(((center - center.mean(0)) ** 2).sum(1).mean()))
        whole, own = np.full(2, _USUAL_SHIFT**2), np.full(2, (_USUAL_DEVIATION * radius) ** 2)
        covariance = (1 + 1 / len(points)) * _plain_covariance(center, whole, own)
        return cls(Gaussian(center, covariance), known, len(points))

    @classmethod
    def of_nothing(cls, count: int) -> ShapePrior:
        """Of no label at all: each of ``count`` landmarks may be anywhere, and says nothing of the others."""
        return cls(Gaussian(np.empty((0, 2)), np.empty((0, 0))), np.zeros(count, dtype=bool), 0)

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


@dataclass(frozen=True)
class _Expected:
    """What labels are expected to be in whole.

    Attributes:
        completed: (N, K, 2), with what was absent.
        uncertainty: (2K, 2K), what the absent adds to the weighted sum of squares.
        weights: (N,), from 0 to 1, the less the farther from the usual.
    """

    completed: Array
    uncertainty: Array
    weights: Array

    def settled(self, later: _Expected) -> bool:
        """Whether another round would change nothing that matters."""
        moved = np.abs(later.completed - self.completed).max(initial=0.0)
        return bool(moved < _SETTLED and np.abs(later.weights - self.weights).max() < _SETTLED_WEIGHT)


def _relative(points: Array, size: NDArray[np.integer]) -> Array:
    return (points - (size - 1) / 2) / max(size)


def _robust_gaussian(shapes: Array) -> Gaussian:
    """Mean and covariance of labels (N, K, 2), by EM: absent landmarks are expected from the others of their label.

    As the ER algorithm for incomplete data with outliers (Little & Smith, JASA 82, 1987), the covariance with a prior.
    """
    current = _start(shapes)
    before: _Expected | None = None
    for _ in range(_ROUNDS):
        expected = _expected(shapes, current)
        if before is not None and before.settled(expected):
            break
        current, before = _most_likely(expected), expected
    return current


def _start(shapes: Array) -> Gaussian:
    """A robust guess: medians, and the plain covariance."""
    center = np.nanmedian(shapes, axis=0)
    deviations = shapes - center
    shift = np.nanmedian(deviations, axis=1)
    own = np.nanmedian(np.abs(deviations - shift[:, None]), axis=(0, 1))
    whole = np.median(np.abs(shift - np.median(shift, axis=0)), axis=0)
    return Gaussian(center, _plain_covariance(center, (1.4826 * whole) ** 2, (1.4826 * own) ** 2))


def _expected(shapes: Array, current: Gaussian) -> _Expected:
    """The precision of all says what each label lacks: its own absent landmarks are all that is solved for."""
    count = len(shapes)
    placed = np.isfinite(shapes).all(2)
    precision = _inverse(current.covariance)
    deviations = np.where(placed[..., None], shapes - current.mean, 0.0).reshape(count, -1)
    pulled = deviations @ precision
    distances = (deviations * pulled).sum(1)
    lacking = []
    patterns, which = np.unique(placed, axis=0, return_inverse=True)
    for index in np.flatnonzero(~patterns.all(1)):
        members, rows = np.flatnonzero(which.reshape(-1) == index), coordinates(np.flatnonzero(~patterns[index]))
        remaining = _inverse(precision[np.ix_(rows, rows)])
        pull = pulled[np.ix_(members, rows)]
        deviations[np.ix_(members, rows)] = -pull @ remaining
        distances[members] -= (pull @ remaining * pull).sum(1)
        lacking.append((members, rows, remaining))
    limits = chi2.ppf(_USUAL, 2 * placed.sum(1))
    weights = np.minimum(1.0, limits / np.maximum(distances, 1e-9)) ** 2
    uncertainty = np.zeros_like(precision)
    for members, rows, remaining in lacking:
        uncertainty[np.ix_(rows, rows)] += weights[members].sum() * remaining
    return _Expected(current.mean + deviations.reshape(shapes.shape), uncertainty, weights)


def _inverse(matrix: Array) -> Array:
    """Of a positive definite matrix, in a third of the time of a general one."""
    lower = dpotri(cholesky(matrix, lower=True, check_finite=False), lower=True, overwrite_c=True)[0]
    lower[np.diag_indices_from(lower)] /= 2  # what is above the diagonal is 0
    return np.asarray(lower + lower.T)


def _most_likely(expected: _Expected) -> Gaussian:
    """Mean and covariance of complete labels with weights, drawn towards the plain covariance."""
    weights, count = expected.weights, len(expected.weights)
    center = np.average(expected.completed, axis=0, weights=weights)
    flat = (expected.completed - center).reshape(count, -1)
    # By the sum of the weights, not by the count: the prior follows the scale, and both would grow without end.
    scale = count / (count - 1) / weights.sum()
    sample = scale * (flat.T @ (weights[:, None] * flat) + expected.uncertainty)
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
    distance = squareform(pdist(center))
    radius = np.sqrt((distance**2).mean() / 2) or 1.0  # the mean squared distance of two is twice the squared radius
    alike = (1 - OWN_PART) * np.exp(-distance / (REACH * radius)) + OWN_PART * np.eye(count)
    covariance = np.zeros((count, 2, count, 2))
    for axis in range(2):
        covariance[:, axis, :, axis] = whole[axis] + (own[axis] + _LEAST_DEVIATION**2) * alike
    return covariance.reshape(2 * count, 2 * count)
