"""Variants of a shape prior, each a function from labels (N, K, 2) to a model; labels are complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import multigammaln
from scipy.stats import chi2

from landmarklabel.interaction.shape_prior import OWN_PART, PLAIN_LABELS, REACH

from .clicking import Array, Local, Mixture, Normal

#: Of labels with weights (N,), from which a covariance is made.
Weighing = Callable[[Array, int], Array]
#: By a mean shape (K, 2) and a sample covariance (2K, 2K), the covariance that few labels determine.
Target = Callable[[Array, Array], Array]

ROUNDS = 6
LEAST_VARIANCE = 2.5e-4**2

#: How alike two landmarks move, by their distance (K, K) in units of the shape's radius.
Kernel = Callable[[Array], Array]


def exponential(reach: float) -> Kernel:
    return lambda distance: np.exp(-distance / reach)


def matern(reach: float) -> Kernel:
    """Of order 3/2: smoother."""
    return lambda distance: (1 + 3**0.5 * distance / reach) * np.exp(-(3**0.5) * distance / reach)


LIBRARYS = exponential(REACH)


def gaussians(*pairs: tuple[float, float]) -> Kernel:
    """A sum, of weights and reaches."""
    return lambda distance: sum(weight * np.exp(-(distance**2) / (2 * reach**2)) for weight, reach in pairs)


def huber(distances: Array, dimension: int) -> Array:
    """As the library: labels beyond what 99 % are within count less. From squared Mahalanobis distances (N,)."""
    return np.minimum(1.0, chi2.ppf(0.99, dimension) / np.maximum(distances, 1e-9)) ** 2


def all_alike(distances: Array, dimension: int) -> Array:
    return np.ones_like(distances)


def student(degrees: float) -> Weighing:
    """Weights of the maximum likelihood of a multivariate t."""
    return lambda distances, dimension: (degrees + dimension) / (degrees + distances)


@dataclass(frozen=True)
class Plain:
    """The library's plain covariance: the shape moves as a whole, and neighbours move alike.

    Attributes:
        kernel: how alike neighbours move.
        own: the part that is each landmark's own.
        pose: ``place``: it moves as a whole; ``similarity``: it turns and grows as well; ``affine``: also by axis.
    """

    kernel: Kernel = LIBRARYS
    own: float = OWN_PART
    pose: str = "place"

    def __call__(self, center: Array, sample: Array) -> Array:
        count = len(center)
        basis = pose_basis(center, self.pose)
        within = basis.T @ sample @ basis
        inside = basis * np.diag(within)
        rest = np.diag(sample - inside @ basis.T).reshape(-1, 2).mean(0)
        distance = np.linalg.norm(center[:, None] - center[None], axis=2)
        radius = np.sqrt((distance**2).mean() / 2)
        alike = (1 - self.own) * self.kernel(distance / radius) + self.own * np.eye(count)
        covariance = inside @ basis.T
        for axis in range(2):
            covariance[axis::2, axis::2] += (max(rest[axis], 0) + LEAST_VARIANCE) * alike
        return covariance


def pose_basis(center: Array, kind: str) -> Array:
    """(2K, P), orthonormal: how a shape changes as it is placed, turned and scaled a little."""
    x, y = (center - center.mean(0)).T
    none, ones = np.zeros_like(x), np.ones_like(x)
    moves = {"place": [(ones, none), (none, ones)]}
    moves["similarity"] = [*moves["place"], (x, y), (-y, x)]
    moves["affine"] = [*moves["place"], (x, none), (y, none), (none, x), (none, y)]
    columns = np.stack([np.stack(move, 1).reshape(-1) for move in moves[kind]], 1)
    return np.linalg.qr(columns)[0]


def sample_covariance(shapes: Array, weights: Array) -> tuple[Array, Array]:
    """Mean (K, 2) and covariance (2K, 2K) of labels with weights (N,)."""
    center = np.average(shapes, axis=0, weights=weights)
    flat = (shapes - center).reshape(len(shapes), -1)
    count = len(shapes)
    return center, flat.T @ (weights[:, None] * flat) / weights.sum() * count / (count - 1)


def distances_from(model: Normal, shapes: Array) -> Array:
    """(N,), squared Mahalanobis distances."""
    flat = (shapes - model.center).reshape(len(shapes), -1)
    return (flat * np.linalg.solve(model.covariance, flat.T).T).sum(1)


def reweighed(shapes: Array, estimate: Callable[[Array, Array, int], Array], weighing: Weighing) -> Normal:
    """Labels weighed by how far they are under ``estimate(center, sample, count)``, until that settles."""
    weights = np.ones(len(shapes))
    for _ in range(ROUNDS):
        center, sample = sample_covariance(shapes, weights)
        model = Normal(center, estimate(center, sample, len(shapes)))
        weights = weighing(distances_from(model, shapes), center.size)
    return model


def shrunk(
    shapes: Array, strength: float = PLAIN_LABELS, target: Target | None = None, weighing: Weighing = huber
) -> Normal:
    """Drawn towards a target that counts for so many labels."""
    towards = target or Plain()

    def estimate(center: Array, sample: Array, count: int) -> Array:
        part = strength / (count + strength)
        return (1 - part) * sample + part * towards(center, sample)

    return reweighed(shapes, estimate, weighing)


def slower(shapes: Array, power: float) -> Normal:
    """The plain covariance gives way to labels more slowly than an inverse Wishart distribution has it."""
    odds = (len(shapes) / PLAIN_LABELS) ** power
    return shrunk(shapes, len(shapes) / odds)


def by_evidence(
    shapes: Array, strengths: tuple[float, ...], targets: tuple[Target, ...], weighing: Weighing = huber
) -> Normal:
    """Strength and target for which these labels are most likely, under an inverse Wishart distribution."""
    choices = [shrunk(shapes, strength, target, weighing) for strength, target in product(strengths, targets)]
    center, sample = sample_covariance(shapes, np.ones(len(shapes)))
    likely = [
        _evidence(sample, target(center, sample), strength, len(shapes))
        for strength, target in product(strengths, targets)
    ]
    return choices[int(np.argmax(likely))]


def _evidence(sample: Array, target: Array, strength: float, count: int) -> float:
    """Log probability of labels with a covariance of prior mean ``target``; the constants left out."""
    dimension = len(sample)
    degrees = strength + dimension + 1
    before, after = (np.linalg.slogdet(s)[1] for s in (strength * target, strength * target + count * sample))
    gammas = multigammaln((degrees + count) / 2, dimension) - multigammaln(degrees / 2, dimension)
    return float(gammas + degrees / 2 * before - (degrees + count) / 2 * after)


def low_rank(shapes: Array, rank: int, noise: str, weighing: Weighing = all_alike) -> Normal:
    """So many modes, and noise: ``equal`` (probabilistic PCA), ``own`` (factor analysis), ``plain`` (neighbours)."""

    def estimate(center: Array, sample: Array, count: int) -> Array:
        values, vectors = np.linalg.eigh(sample)
        kept = min(rank, count - 2)
        values, vectors = values[-kept:], vectors[:, -kept:]
        floor = (np.trace(sample) - values.sum()) / (len(sample) - kept) + LEAST_VARIANCE
        modes = (vectors * np.maximum(values - floor, 0)) @ vectors.T
        if noise == "equal":
            return modes + floor * np.eye(len(sample))
        rest = sample - modes
        if noise == "own":
            return modes + np.diag(np.maximum(np.diag(rest), 0.1 * floor))
        return modes + Plain()(center, np.diag(np.maximum(np.diag(rest), 0.1 * floor)))

    return reweighed(shapes, estimate, weighing)


def aligned(shapes: Array, strength: float, wide: float, weighing: Weighing = huber) -> Normal:
    """Modes of shapes that were aligned by similarities, and their pose beside them, ``wide`` times its variance."""
    reference, straight = procrustes(shapes)
    basis = pose_basis(reference, "similarity")
    poses = (shapes - reference).reshape(len(shapes), -1) @ basis
    spread = wide * np.diag(poses.var(0, ddof=1))
    inner = shrunk(straight, strength, Plain(), weighing)
    return Normal(shapes.mean(0), inner.covariance + basis @ spread @ basis.T)


def procrustes(shapes: Array) -> tuple[Array, Array]:
    """The mean shape (K, 2), and all shapes turned, scaled and moved onto it (generalised Procrustes, no mirroring)."""
    middle = shapes.mean(1, keepdims=True)
    complexes = (shapes - middle) @ np.array([1, 1j])
    reference = complexes[0]
    for _ in range(5):
        factors = (complexes.conj() @ reference) / (np.abs(complexes) ** 2).sum(1)
        straight = complexes * factors[:, None]
        reference = straight.mean(0)
        reference *= np.sqrt((np.abs(complexes) ** 2).sum(1).mean() / (np.abs(reference) ** 2).sum())
    # Turned as the labels are on average.
    turn = np.angle((reference.conj() @ complexes.T).sum())
    back = np.exp(1j * turn)
    planar = [np.stack([z.real, z.imag], -1) for z in (reference * back, straight * back)]
    place = shapes.mean((0, 1))
    return planar[0] + place, planar[1] + place


def mixture(shapes: Array, parts: int, strength: float) -> Mixture | Normal:
    """By the side and size of the main way in which shapes differ once aligned; each part drawn towards all."""
    whole = shrunk(shapes)
    if len(shapes) < 8 * parts:
        return whole
    flat = (procrustes(shapes)[1]).reshape(len(shapes), -1)
    main = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[0][:, 0]
    members = np.digitize(main, np.quantile(main, np.arange(1, parts) / parts))
    shares = np.eye(parts)[members]
    for _ in range(ROUNDS):
        found = [_part(shapes, shares[:, index], whole, strength) for index in range(parts)]
        weights = shares.mean(0)
        likely = np.stack([log_density(part, shapes) for part in found], 1) + np.log(weights)
        shares = np.exp(likely - likely.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares = np.clip(shares, 1e-6, 1)
    return Mixture(weights / weights.sum(), tuple(found))


def _part(shapes: Array, shares: Array, whole: Normal, strength: float) -> Normal:
    center = (shares @ shapes.reshape(len(shapes), -1)).reshape(-1, 2) / shares.sum()
    flat = (shapes - center).reshape(len(shapes), -1)
    pooled = flat.T @ (shares[:, None] * flat)
    return Normal(center, (pooled + strength * whole.covariance) / (shares.sum() + strength))


def log_density(model: Normal, shapes: Array) -> Array:
    """(N,), of labels in whole."""
    constant = shapes[0].size * np.log(2 * np.pi)
    return -(distances_from(model, shapes) + np.linalg.slogdet(model.covariance)[1] + constant) / 2


def local(shapes: Array, width: float, strength: float) -> Local:
    return Local(shapes, shrunk(shapes), width, strength)
