"""Which distances and angles between landmarks hardly differ from image to image (interactive keypoints, Eq. 2, 3).

Points here are isotropic: (x, y) of equal scale; see :func:`isotropic`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..protocol import Protocol

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

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
        pairs, spread = distance_spread(points)
        kept = pairs[_chosen(spread, config, config.distance_threshold)]
        triplets, spread = angle_spread(points, near_arms(points))
        kept_triplets = triplets[_chosen(spread, config, config.angle_threshold)]
        return cls(
            pairs=tuple((int(a), int(b)) for a, b in kept),
            triplets=tuple((int(a), int(b), int(c)) for a, b, c in kept_triplets),
        )


def isotropic(points: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Input pixels (B, K, 2) to pixels that are as wide as high on the patient, and of the same area.

    Args:
        points: (x, y) in pixels of the input, which may have been stretched.
        unit: (B, 2), what a pixel of the input is in mm along x and y.
    """
    return points * (unit / unit.prod(dim=-1, keepdim=True).sqrt())[:, None]


def distance_spread(points: Array) -> tuple[Indices, Array]:
    """Standard deviation S_d (Eq. 2) over the images of the distance of every pair.

    Args:
        points: (N, K, 2), isotropic, NaN absent.

    Returns:
        pairs (P, 2) and their spread (P,); inf where a pair is too rarely there.
    """
    plane = _complex(points)
    spread, count = [], []
    for index, vertex in enumerate(plane):
        lengths = np.abs(plane[index + 1 :] - vertex)
        present = np.isfinite(lengths)
        number = np.maximum(present.sum(axis=1), 1)
        mean = np.where(present, lengths, 0.0).sum(axis=1) / number
        square = np.where(present, (lengths - mean[:, None]) ** 2, 0.0).sum(axis=1) / number
        spread.append(np.sqrt(square))
        count.append(present.sum(axis=1))
    pairs = np.stack(np.triu_indices(len(plane), 1), axis=1)
    return pairs, _where_frequent(np.concatenate(spread), np.concatenate(count))


def near_arms(points: Array) -> Indices:
    """To which landmarks (K, A) the arms of angles at each landmark lead, nearest first.

    To all others as long as that makes no more than :data:`MOST_TRIPLETS` angles; else to those that are, on the mean,
    nearest: as many as keeps within it.

    Args:
        points: (N, K, 2), isotropic, NaN absent.
    """
    landmarks = points.shape[1]
    arms = min(landmarks - 1, int((1 + math.sqrt(1 + 8 * MOST_TRIPLETS / landmarks)) / 2))
    plane = _complex(points)
    nearest = []
    for index, vertex in enumerate(plane):
        lengths = np.abs(plane - vertex)
        present = np.isfinite(lengths)
        mean = np.where(present, lengths, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
        mean[~present.any(axis=1)] = np.inf
        mean[index] = -1.0
        nearest.append(np.argsort(mean, kind="stable")[1 : arms + 1])
    return np.array(nearest)


def angle_spread(points: Array, arms: Indices) -> tuple[Indices, Array]:
    """Circular standard deviation S_a (Eq. 2) over the images of the angle between any two arms of a landmark.

    Args:
        points: (N, K, 2), isotropic, NaN absent.
        arms: (K, A), to which landmarks they lead.

    Returns:
        triplets (T, 3), (arm, vertex, arm), each angle once, and their spread (T,) in radians; inf where one is too
        rarely there.
    """
    plane = _complex(points)
    first, second = np.triu_indices(arms.shape[1], 1)
    spread, count = [], []
    for vertex, ends in zip(plane, arms, strict=True):
        directions = plane[ends] - vertex
        present = np.isfinite(directions)
        directions[~present] = 0.0
        directions /= np.maximum(np.abs(directions), 1e-12)
        # The mean over the images of the unit vector of every angle at once: a product of directions.
        number = (present.astype(float) @ present.T)[first, second]
        mean = (directions.conj() @ directions.T)[first, second] / np.maximum(number, 1)
        spread.append(np.sqrt(-np.log(np.clip(np.abs(mean) ** 2, 1e-300, 1.0))))
        count.append(number)
    vertices = np.broadcast_to(np.arange(len(plane))[:, None], (len(plane), len(first)))
    triplets = np.stack([arms[:, first], vertices, arms[:, second]], axis=-1).reshape(-1, 3)
    return triplets, _where_frequent(np.concatenate(spread), np.concatenate(count))


def _chosen(spread: Array, config: MorphologyConfig, threshold: float | None) -> Indices:
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


def _complex(points: Array) -> NDArray[np.complex128]:
    """Points (N, K, 2) as numbers x + iy, (K, N); NaN absent."""
    return np.ascontiguousarray((points[..., 0] + 1j * points[..., 1]).T)


def _where_frequent(spread: Array, count: Array) -> Array:
    return np.where(count >= max(1.0, count.max(initial=0) / 2), spread, np.inf)
