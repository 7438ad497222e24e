"""Which distances and angles between landmarks hardly differ from image to image (interactive keypoints, Eq. 2, 3).

Points here are isotropic: (x, y) of equal scale; see :func:`isotropic`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..protocol import Protocol

Array = NDArray[np.float64]

#: No more triplets than this are looked at: beyond it, the arms of an angle lead to the nearest landmarks only. All
#: angles between 80 landmarks are fewer.
MOST_TRIPLETS = 250_000


class MorphologyConfig(BaseModel):
    """The morphology-aware loss.

    Attributes:
        criterion: which pairs and triplets of landmarks count. ``count``: the ``count`` of least spread, as published
            for spines; ``threshold``: those whose spread is below a threshold (Eq. 3); ``high_variance``: the
            ``count`` of greatest spread; ``adjacent``: edges and inner angles of the protocol's structures.
            ``coordinates``: in place of distances and angles the points themselves. ``none``: no such loss.
        count: of pairs, and of triplets.
        distance_threshold: in pixels of the network's input, x and y scaled alike.
        angle_threshold: of the circular standard deviation, in radians.
        weight: of this loss beside that of the heat maps.
        angle_weight: of the angles, beside the heat maps likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    criterion: Literal["none", "count", "threshold", "high_variance", "adjacent", "coordinates"] = "none"
    count: int = Field(70, ge=1)
    distance_threshold: float | None = Field(None, gt=0)
    angle_threshold: float | None = Field(None, gt=0)
    weight: float = Field(0.01, ge=0)
    angle_weight: float = Field(0.01, ge=0)

    @model_validator(mode="after")
    def _thresholds(self) -> MorphologyConfig:
        given = self.distance_threshold is not None and self.angle_threshold is not None
        if self.criterion == "threshold" and not given:
            raise ValueError("criterion 'threshold' needs distance_threshold and angle_threshold")
        return self

    @property
    def of_sets(self) -> bool:
        """Whether pairs and triplets are to be chosen."""
        return self.criterion not in ("none", "coordinates")


class MorphologySets(BaseModel):
    """Pairs and triplets of landmarks, by index.

    Attributes:
        pairs: between which distances count.
        triplets: (arm, vertex, arm) of the angles that count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: tuple[tuple[int, int], ...] = ()
    triplets: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def choose(cls, points: Array, config: MorphologyConfig, protocol: Protocol) -> MorphologySets:
        """Those that a criterion takes.

        Args:
            points: (N, K, 2) of training labels, isotropic; NaN where a landmark is absent. What is there in less than
                half as many images as the most frequent pair, or triplet, has no spread that could be trusted.
            config: the criterion.
            protocol: of the landmarks; its structures are what ``adjacent`` takes.
        """
        if config.criterion == "adjacent":
            return cls(pairs=tuple(_edges(protocol)), triplets=tuple(_corners(protocol)))
        pairs, triplets = all_pairs(points.shape[1]), near_triplets(points)
        kept = _chosen(distance_spread(points, pairs), config, config.distance_threshold)
        kept_triplets = _chosen(angle_spread(points, triplets), config, config.angle_threshold)
        return cls(
            pairs=tuple((int(a), int(b)) for a, b in pairs[kept]),
            triplets=tuple((int(a), int(b), int(c)) for a, b, c in triplets[kept_triplets]),
        )


def isotropic(points: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Input pixels (B, K, 2) to pixels that are as wide as high on the patient, and of the same area.

    Args:
        points: (x, y) in pixels of the input, which may have been stretched.
        unit: (B, 2), what a pixel of the input is in mm along x and y.
    """
    return points * (unit / unit.prod(dim=-1, keepdim=True).sqrt())[:, None]


def all_pairs(landmarks: int) -> NDArray[np.intp]:
    """Every pair (P, 2) of landmarks."""
    return np.stack(np.triu_indices(landmarks, 1), axis=1)


def near_triplets(points: Array) -> NDArray[np.intp]:
    """Triplets (T, 3), (arm, vertex, arm), each angle once.

    All of them as long as they are no more than :data:`MOST_TRIPLETS`; else those whose arms lead to the landmarks that
    are, on the mean, nearest to the vertex: as many as keeps within it.

    Args:
        points: (N, K, 2), isotropic.
    """
    landmarks = points.shape[1]
    arms = min(landmarks - 1, int((1 + np.sqrt(1 + 8 * MOST_TRIPLETS / landmarks)) / 2))
    if arms < 2:
        return np.zeros((0, 3), dtype=np.intp)
    nearest = np.argsort(_mean_distances(points), axis=1, kind="stable")[:, :arms]
    first, second = np.triu_indices(arms, 1)
    vertex = np.broadcast_to(np.arange(landmarks)[:, None], (landmarks, len(first)))
    return np.stack([nearest[:, first], vertex, nearest[:, second]], axis=-1).reshape(-1, 3)


def distance_spread(points: Array, pairs: NDArray[np.intp]) -> Array:
    """Standard deviation S_d (Eq. 2) over the images of the distance of each pair; inf where it is too rarely there.

    Args:
        points: (N, K, 2), isotropic, NaN absent.
        pairs: (P, 2).
    """
    parts = []
    for some in _chunks(pairs, len(points)):
        distances = np.linalg.norm(points[:, some[:, 0]] - points[:, some[:, 1]], axis=-1)
        mean, count = _mean(distances)
        square, _ = _mean((distances - mean) ** 2)
        parts.append((np.sqrt(square), count))
    return _where_frequent(parts)


def angle_spread(points: Array, triplets: NDArray[np.intp]) -> Array:
    """Circular standard deviation S_a (Eq. 2) over the images of each triplet's angle, in radians; inf likewise.

    Args:
        points: (N, K, 2), isotropic, NaN absent.
        triplets: (T, 3), (arm, vertex, arm).
    """
    parts = []
    for some in _chunks(triplets, len(points)):
        arm, other = (points[:, some[:, i]] - points[:, some[:, 1]] for i in (0, 2))
        angle = np.arctan2(_cross(arm, other), (arm * other).sum(axis=-1))
        x, count = _mean(np.cos(angle))
        y, _ = _mean(np.sin(angle))
        length = np.clip(x**2 + y**2, 1e-300, 1.0)
        parts.append((np.sqrt(-np.log(length)), count))
    return _where_frequent(parts)


def _chosen(spread: Array, config: MorphologyConfig, threshold: float | None) -> NDArray[np.intp]:
    """Positions of those that the criterion takes, in order."""
    known = np.isfinite(spread)
    if config.criterion == "threshold":
        assert threshold is not None
        return np.flatnonzero(known & (spread < threshold))
    key = -spread if config.criterion == "high_variance" else spread
    order = np.argsort(np.where(known, key, np.inf), kind="stable")
    return np.sort(order[: min(config.count, int(known.sum()))])


def _edges(protocol: Protocol) -> Iterator[tuple[int, int]]:
    """Neighbours along the structures."""
    for structure in protocol.structures:
        around = [int(index) for index in protocol.indices(structure.name)]
        ends = [*around, around[0]] if structure.closed and len(around) > 2 else around
        yield from pairwise(ends)


def _corners(protocol: Protocol) -> Iterator[tuple[int, int, int]]:
    """Angles at the landmarks of the structures, between their neighbours."""
    for structure in protocol.structures:
        around = [int(index) for index in protocol.indices(structure.name)]
        if structure.closed and len(around) > 2:
            around = [around[-1], *around, around[0]]
        yield from zip(around[:-2], around[1:-1], around[2:], strict=True)


def _chunks(items: NDArray[np.intp], images: int) -> Iterator[NDArray[np.intp]]:
    """Parts of a list so small that a number an image and item takes some 32 MB."""
    step = max(1, 4_000_000 // max(1, images))
    for start in range(0, len(items), step):
        yield items[start : start + step]


def _mean(values: Array) -> tuple[Array, NDArray[np.intp]]:
    """Mean over the images (N, M) to (M,) of what is there, and how often it is."""
    present = np.isfinite(values)
    count = present.sum(axis=0)
    return np.where(present, values, 0.0).sum(axis=0) / np.maximum(count, 1), count


def _where_frequent(parts: list[tuple[Array, NDArray[np.intp]]]) -> Array:
    if not parts:
        return np.zeros(0)
    spread, count = (np.concatenate(some) for some in zip(*parts, strict=True))
    return np.where(count >= max(1.0, count.max() / 2), spread, np.inf)


def _mean_distances(points: Array) -> Array:
    """(K, K) between landmarks over the images; inf to itself and where two are never there together."""
    total = np.zeros((points.shape[1],) * 2)
    count = np.zeros_like(total)
    for shape in points:
        distances = np.linalg.norm(shape[:, None] - shape[None], axis=-1)
        present = np.isfinite(distances)
        total += np.where(present, distances, 0.0)
        count += present
    mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    np.fill_diagonal(mean, np.inf)
    return mean


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
