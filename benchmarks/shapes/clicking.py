"""A reader who puts the worst landmark right, many images at once, and what stands for the others in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Labels:
    """Landmarks of N images.

    Attributes:
        points: (N, K, 2), (x, y) in pixels.
        sizes: (N, 2), (W, H).
        spacing: (N, 2), the unit of errors a pixel.
    """

    points: Array
    sizes: Array
    spacing: Array

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Indices) -> Labels:
        return Labels(self.points[chosen], self.sizes[chosen], self.spacing[chosen])


class Guess(Protocol):
    """What is expected of B images, each with clicks of its own."""

    def mean(self) -> Array:
        """(B, K, 2)."""

    def observe(self, indices: Indices, points: Array) -> None:
        """Landmarks (B,), one of each image, are seen at ``points`` (B, 2)."""


class Model(Protocol):
    """What was learned of shapes."""

    def guess(self, count: int) -> Guess:
        """For so many images, before any click."""


#: Units in which shapes are learned: by sizes (N, 2), pixels a unit (N, 2). The image's centre is 0.
Frame = Callable[[Array], Array]


def by_longer_side(sizes: Array) -> Array:
    return np.repeat(sizes.max(1, keepdims=True), 2, axis=1)


def by_width_and_height(sizes: Array) -> Array:
    return sizes


def by_both(sizes: Array) -> Array:
    """The geometric mean of the two others."""
    return np.sqrt(by_longer_side(sizes) * sizes)


def framed(labels: Labels, frame: Frame) -> Array:
    return (labels.points - (labels.sizes[:, None] - 1) / 2) / frame(labels.sizes)[:, None]


def errors_by_clicks(model: Model, frame: Frame, truth: Labels, clicks: int) -> Array:
    """(N, clicks + 1), mean radial error of each image after exact clicks, the worst landmark first."""
    true = framed(truth, frame)
    unit = (frame(truth.sizes) * truth.spacing)[:, None]
    every = np.arange(len(truth))
    guess = model.guess(len(truth))
    placed = np.zeros(true.shape[:2], dtype=bool)
    errors = []
    for click in range(clicks + 1):
        radial = np.linalg.norm((guess.mean() - true) * unit, axis=2)
        radial[placed] = 0
        errors.append(radial.mean(1))
        if click < clicks:
            worst = np.where(placed, -1, radial).argmax(1)
            placed[every, worst] = True
            guess.observe(worst, true[every, worst])
    return np.stack(errors, 1)


@dataclass(frozen=True)
class Normal:
    """A normal distribution: mean (K, 2), covariance (2K, 2K). A Student-t has the same conditional means."""

    center: Array
    covariance: Array

    def guess(self, count: int) -> NormalGuess:
        return NormalGuess(self, count)


class NormalGuess:
    """One normal distribution, conditioned for each image by growing a Cholesky factor by two columns a click."""

    def __init__(self, model: Normal, count: int) -> None:
        self._covariance = model.covariance
        self._flat = np.repeat(model.center.reshape(1, -1), count, axis=0)
        self._factor = np.zeros((count, len(model.covariance), 0))
        self.log_density = np.zeros(count)  # of what was clicked

    def mean(self) -> Array:
        return self._flat.reshape(len(self._flat), -1, 2)

    def observe(self, indices: Indices, points: Array) -> None:
        every = np.arange(len(indices))[:, None]
        rows = 2 * indices[:, None] + np.arange(2)
        known = self._factor[every, rows]  # (B, 2, C)
        across = self._covariance[rows].transpose(0, 2, 1) - self._factor @ known.transpose(0, 2, 1)  # (B, 2K, 2)
        root = np.linalg.cholesky(across[every, rows])
        columns = np.linalg.solve(root, across.transpose(0, 2, 1)).transpose(0, 2, 1)
        whitened = np.linalg.solve(root, (points - self._flat[every, rows])[..., None])
        self._flat += (columns @ whitened)[..., 0]
        self._factor = np.concatenate([self._factor, columns], axis=2)
        diagonal = np.diagonal(root, axis1=1, axis2=2)
        self.log_density -= np.log(2 * np.pi * diagonal).sum(1) + (whitened[..., 0] ** 2).sum(1) / 2


@dataclass(frozen=True)
class Mixture:
    """Several normal distributions, with weights that add up to 1."""

    weights: Array
    parts: tuple[Normal, ...]

    def guess(self, count: int) -> MixtureGuess:
        return MixtureGuess(self, count)


class MixtureGuess:
    """The mean over the parts, each as likely as the clicks make it."""

    def __init__(self, model: Mixture, count: int) -> None:
        self._log_weights = np.log(model.weights)
        self._parts = [part.guess(count) for part in model.parts]

    def mean(self) -> Array:
        likely = np.stack([part.log_density for part in self._parts], 1) + self._log_weights
        shares = np.exp(likely - logsumexp(likely, axis=1, keepdims=True))
        return sum(shares[:, [index], None] * part.mean() for index, part in enumerate(self._parts))

    def observe(self, indices: Indices, points: Array) -> None:
        for part in self._parts:
            part.observe(indices, points)


@dataclass(frozen=True)
class Local:
    """Mean and covariance of the labels that are like the clicks, drawn towards those of all.

    Attributes:
        shapes: (N, K, 2), the labels.
        everywhere: of all labels.
        width: Mahalanobis distance a clicked landmark, at which a label counts for 0.6.
        strength: for how many labels ``everywhere`` counts.
    """

    shapes: Array
    everywhere: Normal
    width: float
    strength: float

    def guess(self, count: int) -> LocalGuess:
        return LocalGuess(self, count)


class LocalGuess:
    """Weighs the labels anew at each click."""

    def __init__(self, model: Local, count: int) -> None:
        self._model = model
        self._placed = np.zeros((count, 0), dtype=np.intp)
        self._points = np.zeros((count, 0, 2))

    def observe(self, indices: Indices, points: Array) -> None:
        self._placed = np.concatenate([self._placed, indices[:, None]], axis=1)
        self._points = np.concatenate([self._points, points[:, None]], axis=1)

    def mean(self) -> Array:
        if not self._placed.shape[1]:
            return np.repeat(self._model.everywhere.center[None], len(self._placed), axis=0)
        return np.stack([self._mean_of(*one) for one in zip(self._placed, self._points, strict=True)])

    def _mean_of(self, placed: Indices, points: Array) -> Array:
        """(K, 2), of one image."""
        model = self._model
        rows = (2 * placed[:, None] + np.arange(2)).reshape(-1)
        inner = model.everywhere.covariance[np.ix_(rows, rows)]
        offsets = (model.shapes[:, placed] - points).reshape(len(model.shapes), -1)
        distance = (offsets * np.linalg.solve(inner, offsets.T).T).sum(1) / len(placed)
        weights = np.exp(-(distance - distance.min()) / (2 * model.width**2))
        part = model.strength / (weights.sum() + model.strength)
        middle = np.average(model.shapes, axis=0, weights=weights)
        center = part * model.everywhere.center + (1 - part) * middle
        deviations = (model.shapes - middle).reshape(len(model.shapes), -1)
        local = deviations.T @ (weights[:, None] * deviations[:, rows]) / weights.sum()
        across = part * model.everywhere.covariance[:, rows] + (1 - part) * local
        moved = across @ np.linalg.solve(across[rows], (points - center[placed]).reshape(-1))
        return center + moved.reshape(-1, 2)
