"""What models have seen in images, kept so that a click costs little: a bounded memory of the latest images."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmarklabel.files import sha256
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io import read_radiograph
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.modelfile import ModelHeader
from landmarklabel.predictor import Predictor
from landmarklabel.radiograph import Geometry, SpacingSource
from landmarklabel.readout import DenseReadout
from models import PublishedModel
from sessions import ClickedImage

Array = NDArray[np.float64]

#: An image's content, and the version of the model that has seen it; None without one.
_Key = tuple[str, str | None]

#: Bytes that are kept: of 68 landmarks some thousand images, or six, each with a session, before the published
#: interactive network at 512 x 256.
BUDGET = 512 << 20

#: Of how many files the digest is remembered.
_DIGESTS = 10_000


class MappedImage:
    """An image before a network with uv-maps, whose output is kept: all answers are read off it.

    Args:
        predictor: with the image set, and seen.

    Attributes:
        predictor: for reading only, which several threads may do.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @cached_property
    def evidence(self) -> MapEvidence:
        """What the maps say of landmarks: made for who first moves one."""
        return self.predictor.evidence()

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        evidence = self.__dict__.get("evidence")
        arrays = () if evidence is None else (evidence.places, evidence.weights)
        return sum(part.nbytes for part in (*self.predictor.kept(), *arrays))


@dataclass(frozen=True)
class SeenImage:
    """An image without its pixels, and what a model says of it.

    Attributes:
        content: digest of its file.
        geometry, spacing, spacing_source: as of the radiograph.
        timings: seconds that looking at it took this time, 0 from memory: ``load``, ``preprocess``, ``network``,
            ``decode``.
        landmarks: the model's own; None without a model, as is all that follows.
        header: of the model.
        shape: of the labels that the model was trained on, if it knows.
        evidence: of heat maps, without clicks.
        clicked: the image before the model's network, if that takes clicks.
        mapped: the image's uv-maps, if the model has such.
    """

    content: str
    geometry: Geometry
    spacing: tuple[float, float]
    spacing_source: SpacingSource
    timings: dict[str, float]
    landmarks: LandmarkSet | None = None
    header: ModelHeader | None = None
    shape: ShapePrior | None = None
    evidence: MapEvidence | None = None
    clicked: ClickedImage | None = None
    mapped: MappedImage | None = None

    def given(self, clicks: Array, session: str | None, previous: Array | None) -> MapEvidence | None:
        """What the maps say after some clicks; see :meth:`~sessions.ClickedImage.evidence`."""
        if self.mapped is not None:
            return self.mapped.evidence
        if self.clicked is None or (session is None and not np.isfinite(clicks).any()):
            return self.evidence
        return self.clicked.evidence(clicks, session, previous)

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        arrays = () if self.evidence is None else (self.evidence.places, self.evidence.weights)
        parts = [part.bytes for part in (self.clicked, self.mapped) if part is not None]
        return 10_000 + sum(array.nbytes for array in arrays) + sum(parts)


@dataclass
class _Place:
    """Where what is seen in an image goes. Who comes first looks, and the others wait, at this image only."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: SeenImage | None = None


def _key(content: str, header: ModelHeader | None) -> _Key:
    return content, None if header is None else header.version


class ImageMemory:
    """Looks at images, each once while neither its content nor the model changes.

    Args:
        budget: bytes to keep.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._places: OrderedDict[_Key, _Place] = OrderedDict()
        self._sizes, self._total = dict[_Key, int](), 0  # as last counted
        self._digests: OrderedDict[tuple[object, ...], str] = OrderedDict()

    def look(self, path: Path, model: PublishedModel | None) -> SeenImage:
        """What a model sees in an image; the image alone if it is None.

        Raises:
            ModelError: the model is not there, or can't be used.
            ImageError: the file is not a radiograph.
        """
        predictor, header = (None, None) if model is None else model.predictor()
        content = self.content(path)
        key = _key(content, header)
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.lock:
            if place.seen is not None:
                return replace(place.seen, timings=dict.fromkeys(place.seen.timings, 0.0))
            try:
                place.seen = self._look(path, content, predictor, header)
            except BaseException:
                with self._lock:
                    self._drop(key)
                raise
        self.forget_the_oldest(place.seen)
        return place.seen

    def forget_the_oldest(self, seen: SeenImage) -> None:
        """Keep to the budget, of which an image takes more once it has been asked of. The latest image always stays.

        Args:
            seen: which has just been asked of; only this one is counted anew: a click must not wait for all.
        """
        key = _key(seen.content, seen.header)
        with self._lock:
            place = self._places.get(key)
            if place is not None and place.seen is not None:
                self._total -= self._sizes.get(key, 0)
                self._sizes[key] = place.seen.bytes
                self._total += self._sizes[key]
            while self._total > self._budget and len(self._sizes) > 1:
                self._drop(next(key for key in self._places if key in self._sizes))

    def _drop(self, key: _Key) -> None:
        self._places.pop(key, None)
        self._total -= self._sizes.pop(key, 0)

    def content(self, path: Path) -> str:
        """The digest of a file, made again when the file has changed."""
        status = path.stat()
        stamp = (str(path), status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            known = self._digests.get(stamp)
        if known is None:
            known = sha256(path)
            with self._lock:
                self._digests[stamp] = known
                while len(self._digests) > _DIGESTS:
                    self._digests.popitem(last=False)
        return known

    def _look(self, path: Path, content: str, predictor: Predictor | None, header: ModelHeader | None) -> SeenImage:
        start = time.perf_counter()
        radiograph = read_radiograph(path)
        timings = {"load": time.perf_counter() - start, "preprocess": 0.0, "network": 0.0, "decode": 0.0}
        image = (content, radiograph.geometry, radiograph.spacing, radiograph.spacing_source)
        if predictor is None:
            return SeenImage(*image, timings=timings)
        looking = predictor.fork()  # the model is everybody's, the image is this one's
        looking.set_image(radiograph)
        prediction = looking.predict()
        timings |= prediction.timings
        said = (prediction.landmarks, header, looking.shape)
        if isinstance(looking.readout, DenseReadout):
            return SeenImage(*image, timings, *said, mapped=MappedImage(looking))
        clicked = ClickedImage(looking, self._budget) if looking.network.interactive else None
        return SeenImage(*image, timings, *said, evidence=looking.evidence(), clicked=clicked)
