"""The landmarks of one image: points with a state, a confidence, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import LabelError, listed
from .protocol import Protocol
from .radiograph import Geometry

Points = NDArray[np.float64]


class Status(str, Enum):
    """What is known about a landmark.

    ``PREDICTED``: placed by a model. ``CORRECTED``: placed by a person. ``CONFIRMED``: placed by a model, and a
    person agreed. ``MISSING``: a person says that it is not in this image. ``UNDEFINED``: nobody has placed it yet.
    """

    PREDICTED = "predicted"
    CORRECTED = "corrected"
    CONFIRMED = "confirmed"
    MISSING = "missing"
    UNDEFINED = "undefined"

    @property
    def placed(self) -> bool:
        """Whether a landmark of this state has a position."""
        return self not in (Status.MISSING, Status.UNDEFINED)


@dataclass(frozen=True)
class LandmarkSet:
    """The landmarks of one image, in the order of their protocol.

    Attributes:
        protocol: the anatomy.
        points: (K, 2), (x, y) in pixels of the original image; NaN where a landmark is missing or undefined.
        status: K states; a state without a position has NaN, a state with one has numbers.
        confidence: (K,) in [0, 1]; NaN where nobody gave one.
        provenance: what is known of where they came from: model, version, clicks.
    """

    protocol: Protocol
    points: Points
    status: tuple[Status, ...]
    confidence: NDArray[np.float64]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.protocol)
        if self.points.shape != (count, 2):
            raise LabelError(
                f"expected {count} landmarks of {self.protocol.name} as an array ({count}, 2), "
                f"got shape {tuple(self.points.shape)}"
            )
        if len(self.status) != count or self.confidence.shape != (count,):
            raise LabelError(
                f"expected a status and a confidence for each of the {count} landmarks of {self.protocol.name}, "
                f"got {len(self.status)} and {self.confidence.size}"
            )
        placed = np.array([status.placed for status in self.status])
        finite = np.isfinite(self.points).all(axis=1)
        if (placed != finite).any():
            wrong = [self.labels[i] for i in np.flatnonzero(placed != finite)]
            raise LabelError(
                f"{listed(wrong)}: a landmark that is missing or undefined has no position (NaN), and every other "
                "has two finite numbers"
            )

    @classmethod
    def from_points(
        cls,
        protocol: Protocol,
        points: ArrayLike,
        status: Status = Status.PREDICTED,
        confidence: ArrayLike | None = None,
        absent: Status = Status.MISSING,
        provenance: Mapping[str, Any] | None = None,
    ) -> LandmarkSet:
        """Landmarks that share one state.

        Args:
            points: (K, 2) in pixels; a row with NaN is absent.
            status: the state of those with a position.
            confidence: (K,) in [0, 1], or None.
            absent: the state of those without.
        """
        points = np.array(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1:] != (2,):
            raise LabelError(
                f"expected {len(protocol)} landmarks of {protocol.name} as (x, y) rows, got shape {points.shape}"
            )
        gone = ~np.isfinite(points).all(axis=1)
        points[gone] = np.nan
        states = tuple(absent if missing else status for missing in gone)
        values = np.full(len(points), np.nan) if confidence is None else np.array(confidence, dtype=np.float64)
        return cls(protocol, points, states, values, dict(provenance or {}))

    @classmethod
    def empty(cls, protocol: Protocol) -> LandmarkSet:
        """A template: every landmark still to be placed."""
        return cls.from_points(protocol, np.full((len(protocol), 2), np.nan), absent=Status.UNDEFINED)

    @property
    def labels(self) -> tuple[str, ...]:
        """The K labels."""
        return self.protocol.labels

    @property
    def placed(self) -> NDArray[np.bool_]:
        """(K,), which landmarks have a position."""
        return np.isfinite(self.points).all(axis=1)

    def __len__(self) -> int:
        return len(self.protocol)

    def __getitem__(self, label: str) -> Points:
        """Position (2,) of a landmark, in pixels; NaN where it has none."""
        return self.points[self.protocol.index(label)]

    def with_point(self, label: str, point: ArrayLike, status: Status = Status.CORRECTED) -> LandmarkSet:
        """The same set with one landmark moved to ``point`` (x, y) in pixels."""
        return self._with(label, np.asarray(point, dtype=np.float64), status)

    def without_point(self, label: str, status: Status = Status.MISSING) -> LandmarkSet:
        """The same set with one landmark missing, or undefined again."""
        return self._with(label, np.full(2, np.nan), status)

    def _with(self, label: str, point: Points, status: Status) -> LandmarkSet:
        index = self.protocol.index(label)
        points = self.points.copy()
        points[index] = point
        states = (*self.status[:index], status, *self.status[index + 1 :])
        return replace(self, points=points, status=states)

    def require_inside(self, geometry: Geometry, margin: float = 0.0) -> None:
        """Check that every placed landmark lies on the image.

        Args:
            margin: how far outside still counts, in pixels.

        Raises:
            LabelError: names the landmarks that lie outside.
        """
        outside = self.placed & ~geometry.contains(self.points, margin)
        if outside.any():
            named = [
                f"{self.labels[i]} at ({self.points[i, 0]:.1f}, {self.points[i, 1]:.1f})"
                for i in np.flatnonzero(outside)
            ]
            raise LabelError(
                f"{listed(named)}: outside the image, whose pixels reach from (0, 0) to "
                f"({geometry.size[0] - 1}, {geometry.size[1] - 1})"
            )
