"""Where on the mean shapes the landmarks lie that people have added to a study by placing them."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datastore import LandmarkDatastore
from landmarklabel.carry import place_of
from landmarklabel.derived import MapPlace, mean_place
from landmarklabel.errors import LandmarkLabelError, ModelError
from landmarklabel.io.layouts.common import image_id
from landmarklabel.landmarks import Points
from landmarklabel.markups import read_markups
from landmarklabel.readout import DenseReadout
from memory import ImageMemory
from models import PublishedModel

logger = logging.getLogger(__name__)

Pixel = tuple[float, float]


@dataclass(frozen=True)
class Places:
    """New landmarks by what a model knows of them.

    Attributes:
        known: label to place on a mean shape.
        unknown: label to why it has none, in a sentence.
    """

    known: dict[str, MapPlace]
    unknown: dict[str, str]


class DerivedPlaces:
    """The places of a study's new landmarks: found when they are first asked for, and again once a label has changed.

    A landmark that was placed in several images has the middle of its places there.

    Args:
        store: of images and labels.
        memory: of what models have seen in them.
    """

    def __init__(self, store: LandmarkDatastore, memory: ImageMemory) -> None:
        self._store, self._memory = store, memory
        self._lock = threading.Lock()
        self._of: tuple[tuple[int, str], Places] | None = None
        self._found: dict[tuple[object, ...], MapPlace | str] = {}

    def of(self, model: PublishedModel) -> Places:
        """By a model's mean shapes; of one without uv-maps no place is known.

        Raises:
            ModelError: the model is not there, or can't be used.
        """
        predictor, header = model.predictor()
        if not isinstance(predictor.readout, DenseReadout):
            placed = {label for points in self._store.derived().values() for label in points}
            return Places({}, dict.fromkeys(sorted(placed), _without_maps(header.config.method)))
        version = header.version
        with self._lock:
            stamp = self._store.revision, version  # before anything is read: a label saved meanwhile is another one
            if self._of is None or self._of[0] != stamp:
                self._of = stamp, self._find(model, version)
            return self._of[1]

    def on(self, image: Path) -> dict[str, Pixel]:
        """What was placed on this very image of the study: (x, y) in its pixels, by label."""
        return next(
            (
                points
                for name, points in self._store.derived().items()
                if image_id(image.name) == name and self._store.get_image_uri(name) == str(image)
            ),
            {},
        )

    def _find(self, model: PublishedModel, version: str) -> Places:
        found: dict[tuple[object, ...], MapPlace | str] = {}  # of what is gone by now, nothing is kept
        places: dict[str, list[MapPlace]] = {}
        reasons: dict[str, str] = {}
        for name, points in self._store.derived().items():
            for label, point in points.items():
                place = self._place(model, version, name, point, found)
                if isinstance(place, MapPlace):
                    places.setdefault(label, []).append(place)
                else:
                    reasons.setdefault(label, place)
        self._found = found
        return Places(
            {label: mean_place(each) for label, each in places.items()},
            {label: reason for label, reason in reasons.items() if label not in places},
        )

    def _place(
        self,
        model: PublishedModel,
        version: str,
        name: str,
        point: Pixel,
        found: dict[tuple[object, ...], MapPlace | str],
    ) -> MapPlace | str:
        """The place of a point of an image, by its final landmarks where it has any; or why it has none."""
        try:
            path, labelled = self._store.require_image(name), self._final(name)
            final = None if labelled is None else labelled.tobytes()
            key = version, self._memory.content(path), point, final
            if key in self._found:
                found[key] = self._found[key]
            else:
                found[key] = self._ask(model, path, name, point, labelled)
            return found[key]
        except (LandmarkLabelError, OSError) as problem:  # an image that can't be read, or was deleted a moment ago
            return f"{name}: {problem}"

    def _ask(
        self, model: PublishedModel, path: Path, name: str, point: Pixel, labelled: Points | None
    ) -> MapPlace | str:
        mapped = self._memory.look(path, model).mapped
        assert mapped is not None, "a model with uv-maps keeps them"
        try:
            return place_of(mapped.predictor, point, labelled)
        except LandmarkLabelError as problem:
            return f"{name}: {problem}"

    def _final(self, name: str) -> Points | None:
        """The image's final landmarks (K, 2); None if there are none that can be read."""
        path = Path(self._store.get_label_uri(name, "final"))
        if not path.is_file():
            return None
        try:
            points = read_markups(path, self._store.protocol, self._store.geometry(name)).points
        except LandmarkLabelError as problem:
            logger.warning("the final label of an image is left out (%s)", type(problem).__name__)
            return None
        return points if np.isfinite(points).all(axis=1).any() else None

    def prepare(self, model: PublishedModel) -> None:
        """Find the places in the background, so that the first who asks need not wait for them."""

        def find() -> None:
            try:
                self.of(model)
            except ModelError as problem:
                logger.info("no places of new landmarks: %s", problem)

        threading.Thread(target=find, daemon=True, name="places of new landmarks").start()


def _without_maps(method: str) -> str:
    """Why a model carries no landmark from image to image."""
    return f"the model {method} has no uv-maps; POST /train/denseseg makes one that has"
