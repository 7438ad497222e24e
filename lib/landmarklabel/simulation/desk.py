"""The reader's desk: one image on screen, with what the server says of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RemoteError
from ..landmarks import LandmarkSet, Status
from ..markups import markups_to_dict
from ..protocol import Protocol
from .client import Client
from .reader import Reading, Screen
from .settings import Settings
from .studies import Image

Array = NDArray[np.float64]


class ServerDesk:
    """An image of the server.

    Args:
        name: of the image.

    Attributes:
        source: what the first prediction came from: ``nothing``, ``prior`` or ``network``.
        version: of the weights that made it; empty without any.
    """

    def __init__(self, client: Client, protocol: Protocol, settings: Settings, name: str) -> None:
        self._client, self._protocol, self._settings, self._name = client, protocol, settings, name
        self._params = {"tolerance": settings.habits.tolerance, "session": f"simulated reader, {name}"}
        self._geometry: Image | None = None
        self.source, self.version = "nothing", ""

    def first(self) -> dict[str, Any] | None:
        """The server's answer to who opens the image; None while it has none."""
        if self._settings.prediction == "network":
            answer = self._client.landmarks(self._name, self._params)
        else:
            answer = self._client.refine(self._name, params=self._params)
        if answer is not None and any(each["pixel"] for each in answer["landmarks"]):
            self.version = str(answer["model"].get("version", ""))
            self.source = "network" if self.version else "prior"
        return answer

    def show(self, answer: Mapping[str, Any]) -> Screen:
        """An answer as the reader sees it."""
        landmarks = {each["label"]: each for each in answer["landmarks"]}
        index = {label: number for number, label in enumerate(self._protocol.labels)}
        rows = [landmarks[label] for label in self._protocol.labels]
        points = np.array([row["pixel"] or (np.nan, np.nan) for row in rows], dtype=np.float64)
        order = tuple(index[label] for label in answer["review_order"])
        return Screen(points, order, np.array([self._trusts(row) for row in rows]))

    def look_at(self, image: Image) -> None:
        """Know where pixels are in the world."""
        self._geometry = image

    def refine(self, placed: Mapping[int, Array], missing: Collection[int]) -> Screen:
        """What the reader's corrections make of the others."""
        assert self._geometry is not None
        labels, world = self._protocol.labels, self._geometry.geometry.pixel_to_world
        corrections = {labels[index]: world(point).tolist() for index, point in placed.items()}
        absent = [labels[index] for index in missing]
        answer = self._client.refine(self._name, corrections, absent, self._params)
        if answer is None:
            raise RemoteError(f"{self._name}: the server has nothing to move landmarks by any more")
        return self.show(answer)

    def save(self, points: Array, placed: NDArray[np.bool_], clicks: int) -> None:
        """Store the final label."""
        assert self._geometry is not None
        missing = ~np.isfinite(points).all(axis=1)
        status = tuple(
            Status.MISSING if gone else Status.CORRECTED if by_hand else Status.CONFIRMED
            for gone, by_hand in zip(missing, placed, strict=True)
        )
        landmarks = LandmarkSet(self._protocol, points, status, np.full(len(points), np.nan))
        info = {"reader": "simulated", "clicks": clicks}
        self._client.save(self._name, markups_to_dict(landmarks, self._geometry.geometry), info)

    def _trusts(self, landmark: Mapping[str, Any]) -> bool:
        """Whether the server is sure; one that does not say so itself is taken by its confidence."""
        if "trusted" in landmark:
            return bool(landmark["trusted"])
        return (landmark.get("confidence") or 0.0) >= self._settings.habits.trust > 0


def points_to_save(reading: Reading, size: tuple[int, int]) -> Array:
    """What is saved: a landmark beside the image, which nobody looked at, comes to its edge."""
    return np.asarray(np.clip(reading.points, 0, np.asarray(size) - 1.0))
