"""What a model has seen in an image, kept so that a click costs no network: a bounded memory of the latest images."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from landmarklabel.errors import ModelError
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io import read_radiograph
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.modelfile import ModelHeader
from landmarklabel.predictor import Predictor
from landmarklabel.radiograph import Geometry, SpacingSource
from models import PublishedModel

#: Bytes of evidence that are kept: some hundred images of 68 landmarks, a few dozen of 720.
BUDGET = 128 << 20


@dataclass(frozen=True)
class SeenImage:
    """An image without its pixels, and what a model says of it.

    Attributes:
        geometry, spacing, spacing_source: as of the radiograph.
        timings: seconds that looking at it took this time, 0 from memory: ``load``, ``preprocess``, ``network``,
            ``decode``.
        landmarks: the model's own; None without a model, as is all that follows.
        evidence: of its maps.
        header: of the model.
        shape: of the labels that the model was trained on, if it knows.
    """

    geometry: Geometry
    spacing: tuple[float, float]
    spacing_source: SpacingSource
    timings: dict[str, float]
    landmarks: LandmarkSet | None = None
    evidence: MapEvidence | None = None
    header: ModelHeader | None = None
    shape: ShapePrior | None = None

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        arrays = () if self.evidence is None else (self.evidence.places, self.evidence.weights)
        return 10_000 + sum(array.nbytes for array in arrays)


class ImageMemory:
    """Looks at images with the published model, each once while neither the file nor the model changes.

    Args:
        model: that looks.
        budget: bytes to keep.
    """

    def __init__(self, model: PublishedModel, budget: int = BUDGET) -> None:
        self._model, self._budget = model, budget
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, ...], SeenImage] = OrderedDict()

    def look(self, path: Path) -> SeenImage:
        """What the published model sees in an image.

        Raises:
            ModelError: there is no model, or it can't be used.
            ImageError: the file is not a radiograph.
        """
        return self._once(path, *self._model.predictor())

    def look_with_or_without_model(self, path: Path) -> SeenImage:
        """What the published model sees in an image; the image alone while there is no model that could look.

        Raises:
            ImageError: the file is not a radiograph.
        """
        try:
            return self.look(path)
        except ModelError:
            return self._once(path, None, None)

    def shape(self) -> ShapePrior | None:
        """Of the labels that the published model was trained on; None without a model, or if it does not say."""
        try:
            return self._model.predictor()[0].shape
        except ModelError:
            return None

    def _once(self, path: Path, predictor: Predictor | None, header: ModelHeader | None) -> SeenImage:
        with self._lock:  # a predictor looks at one image at a time
            key = (_stamp(path), header.version if header else None)
            if key in self._seen:
                self._seen.move_to_end(key)
                seen = self._seen[key]
                return replace(seen, timings=dict.fromkeys(seen.timings, 0.0))
            seen = self._seen[key] = self._look(path, predictor, header)
            while len(self._seen) > 1 and sum(each.bytes for each in self._seen.values()) > self._budget:
                self._seen.popitem(last=False)
            return seen

    def _look(self, path: Path, predictor: Predictor | None, header: ModelHeader | None) -> SeenImage:
        start = time.perf_counter()
        radiograph = read_radiograph(path)
        timings = {"load": time.perf_counter() - start, "preprocess": 0.0, "network": 0.0, "decode": 0.0}
        image = (radiograph.geometry, radiograph.spacing, radiograph.spacing_source)
        if predictor is None:
            return SeenImage(*image, timings=timings)
        predictor.set_image(radiograph)
        prediction = predictor.predict()
        evidence = predictor.evidence()
        timings |= prediction.timings
        return SeenImage(*image, timings, prediction.landmarks, evidence, header, predictor.shape)


def _stamp(path: Path) -> tuple[object, ...]:
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
