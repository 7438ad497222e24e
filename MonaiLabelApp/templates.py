"""How landmarks look in a study's own final labels: learned again, within a tenth of a second, when one is saved."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datastore import LandmarkDatastore
from landmarklabel.errors import LandmarkLabelError, RemoteError
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.gradients import Gradients
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.interaction.templates import FEWEST_LABELS, LabelledLook, Templates, learned_from
from landmarklabel.io import read_radiograph
from landmarklabel.landmarks import Points
from shapes import StudyShape

# Of how many images gradients are kept, of 2 MB each: those that people are at.
_IMAGES = 32

# Who has not asked of an image for so long is not at it any more.
_AT_IT_S = 600.0

_Stamp = tuple[str, int, int, int]
_Label = tuple[Points, tuple[int, int]]


@dataclass(frozen=True)
class Said:
    """What templates, times a network, say of an image.

    Attributes:
        templates: None while there are too few labels.
        network: what its maps say of the image.
        evidence: of both; None without templates.
    """

    templates: Templates | None
    network: MapEvidence | None
    evidence: MapEvidence | None

    @property
    def labels(self) -> int:
        """How many labels the templates were learned from; 0 without any."""
        return 0 if self.templates is None else self.templates.labels


class StudyTemplates:
    """Templates of a study's final labels, and what they say of an image.

    An image that somebody was shown a moment ago is learned from as soon as it is labelled; the others, as after a
    start of the server, in the background.

    Args:
        store: of images.
        study: its labels.
    """

    def __init__(self, store: LandmarkDatastore, study: StudyShape) -> None:
        self._store, self._study = store, study
        self._lock = threading.Lock()
        self._images: OrderedDict[_Stamp, _Image] = OrderedDict()
        self._shape: ShapePrior | None = None  # another one with every change of the labels
        self._labels: dict[str, _Label] = {}
        self._looks: dict[str, LabelledLook | None] = {}
        self._templates: Templates | None = None
        self._put_offs: dict[str, int] = {}  # how often an image could not be fetched

    def labels(self) -> int:
        """How many labels the templates were learned from; 0 without any."""
        templates = self._up_to_date()
        return 0 if templates is None else templates.labels

    def say(self, path: Path, network: MapEvidence | None, begun: bool = False) -> Said:
        """What templates say of an image, times what a network says of it.

        Args:
            begun: somebody is at this image: what is said stays, whoever saves a label meanwhile, as nobody wants
                landmarks to move under the hand for it, or to wait for that.

        Raises:
            ImageError: the file is not a radiograph.
        """
        image, templates = self._image(path), self._up_to_date()
        said, asked, image.asked = image.said, image.asked, time.monotonic()
        if said is not None and said.network is network:
            stays = begun and said.templates is not None and image.asked - asked < _AT_IT_S
            if stays or said.templates is templates:
                return said
        evidence = None
        if templates is not None:
            most = {} if network is None else {"most": network.places.shape[1]}
            evidence = templates.evidence(image.gradients, network, **most)
        image.said = said = Said(templates, network, evidence)
        return said

    def step(self) -> bool:
        """Look at one labelled image that has not been looked at; False if there is none.

        Raises:
            RemoteError: it can't be fetched now.
        """
        self._up_to_date()
        with self._lock:
            name = self._next_to_look_at()
            label = None if name is None else self._labels[name]
        if name is None or label is None:
            return False
        try:
            look = LabelledLook.of(self._image(self._store.require_image(name)).gradients, label[0])
        except RemoteError:
            self._put_off(name)
            raise
        except (LandmarkLabelError, OSError):  # deleted a moment ago, or not to be read: the others count
            look = None
        with self._lock:
            if self._labels.get(name) is label:
                self._looks[name] = look
                self._put_offs.pop(name, None)
            self._learn_if_seen()
        return True

    def _next_to_look_at(self) -> str | None:
        """Of those that have not been looked at, the one that was put off least often."""
        left = [name for name in self._labels if name not in self._looks]
        return min(left, key=lambda name: self._put_offs.get(name, 0), default=None)

    def _put_off(self, name: str) -> None:
        with self._lock:
            self._put_offs[name] = self._put_offs.get(name, 0) + 1
            if self._put_offs[name] == 1:
                self._learn_if_seen()

    def _learn_if_seen(self) -> None:
        """Once, when all that can be had have been looked at, and not anew with each: what is shown would jump."""
        if all(name in self._looks or name in self._put_offs for name in self._labels):
            self._learn()

    def _up_to_date(self) -> Templates | None:
        shape = self._study.shape()  # before labels are read: one that is saved meanwhile makes another shape
        with self._lock:
            if shape is not self._shape:
                self._shape = shape
                self._take(self._study.placed())
            return self._templates

    def _take(self, placed: dict[str, _Label]) -> None:
        """Learn from labels as they are now, as far as it is in memory how their images look."""
        labels = {name: placed[name] for name in learned_from(placed)}
        self._looks = {name: look for name, look in self._looks.items() if labels.get(name) is self._labels[name]}
        self._labels = labels
        for name in labels:
            if name not in self._looks and (image := self._in_memory(name)) is not None:
                self._looks[name] = LabelledLook.of(image.gradients, labels[name][0])
        self._learn()

    def _learn(self) -> None:
        looks = [look for name in self._labels if (look := self._looks.get(name)) is not None]
        self._templates = Templates.fit(looks) if len(looks) >= FEWEST_LABELS else None

    def _in_memory(self, name: str) -> _Image | None:
        with suppress(LandmarkLabelError, OSError):
            path = self._store.local_image(name)
            return None if path is None else self._images.get(_stamp(path))
        return None

    def _image(self, path: Path) -> _Image:
        stamp = _stamp(path)
        with self._lock:
            known = self._images.get(stamp)
        image = known or _Image(Gradients.of(read_radiograph(path)))
        with self._lock:
            self._images[stamp] = image
            self._images.move_to_end(stamp)
            while len(self._images) > _IMAGES:
                self._images.popitem(last=False)
        return image


@dataclass
class _Image:
    """An image that somebody is at."""

    gradients: Gradients
    said: Said | None = None
    asked: float = -math.inf


def _stamp(path: Path) -> _Stamp:
    path = path.resolve()
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
