"""Measurements of files, one by one, so that one bad file does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import LandmarkLabelError, NotFoundError, StorageError
from ..io.images import read_radiograph
from ..io.label_files import LabelFile
from ..landmarks import LandmarkSet, Status
from ..markups import read_markups
from ..measurements.base import Measurement
from ..measurements.measure import measure
from ..measurements.uncertainty import JointErrors, readers_noise
from ..protocol import Protocol
from ..radiograph import Radiograph

if TYPE_CHECKING:  # takes seconds to import, and labels need no network
    from ..interaction.refiners import Refiner
    from ..predictor import Predictor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Measured:
    """An image, and what was measured on it.

    Attributes:
        name: its id.
        landmarks: that were measured.
        measurements: of them.
        label: what the label store knows of the label; empty for a prediction.
    """

    name: str
    radiograph: Radiograph
    landmarks: LandmarkSet
    measurements: tuple[Measurement, ...]
    label: Mapping[str, Any]


#: An image and what was measured; or the image, and why nothing was.
Answers = Iterator[tuple[str, Measured | str]]


def measure_labels(labels: Sequence[LabelFile], protocol: Protocol, predictor: Predictor | None = None) -> Answers:
    """Measurements of labels.

    Args:
        labels: as :func:`~landmarklabel.io.label_files.label_files` finds them.
        protocol: of the labels.
        predictor: that says how sure the landmarks are which nobody has placed or confirmed; without it there are no
            intervals.
    """

    def one(file: LabelFile) -> Measured:
        image = file.image()
        if not file.label.is_file():
            raise NotFoundError(
                f"{image.name}: no landmarks {file.label.name} beside it; a model (--model) could predict them"
            )
        radiograph = read_radiograph(image)
        landmarks = _of_model(read_markups(file.label, protocol, radiograph.geometry), file.info)
        joint = None
        if predictor is not None:
            joint = _errors(predictor, _refiner(predictor, radiograph), radiograph, landmarks)
        return _measured(file.name, radiograph, landmarks, joint, file.info)

    return _each(((file.name, file) for file in labels), one)


def measure_images(images: Mapping[str, Path], protocol: Protocol, predictor: Predictor) -> Answers:
    """Measurements of images, whose landmarks a model predicts: by its maps and the shape of its labels together.

    Args:
        images: files, by id.
        protocol: with the labels of the model, whose own may be from before its measurements were written.
    """

    def one(item: tuple[str, Path]) -> Measured:
        name, path = item
        radiograph = read_radiograph(path)
        refiner = _refiner(predictor, radiograph)
        landmarks = _believed(predictor, refiner, radiograph, protocol)
        return _measured(name, radiograph, landmarks, _errors(predictor, refiner, radiograph, landmarks), {})

    return _each(((item[0], item) for item in images.items()), one)


def _each(items: Iterable[tuple[str, Item]], one: Callable[[Item], Measured]) -> Answers:
    for name, item in items:
        try:
            yield name, one(item)
        except StorageError:
            raise
        except LandmarkLabelError as problem:
            yield name, str(problem)


def _measured(
    name: str,
    radiograph: Radiograph,
    landmarks: LandmarkSet,
    joint: JointErrors | None,
    label: Mapping[str, Any],
) -> Measured:
    spacing = radiograph.spacing if radiograph.spacing_known else None
    found = measure(landmarks.protocol, landmarks.points, spacing, joint, height=radiograph.size[1])
    return Measured(name, radiograph, landmarks, found, label)


def _refiner(predictor: Predictor, radiograph: Radiograph) -> Refiner:
    """What says how sure landmarks are: maps and shape of labels, or the maps alone where no shape is known."""
    from .interaction import by_network, by_posterior

    shape = predictor.shape
    refiners = by_network(predictor) if shape is None else by_posterior(predictor, shape, predictor.config.posterior)
    return refiners(radiograph)


def _believed(predictor: Predictor, refiner: Refiner, radiograph: Radiograph, protocol: Protocol) -> LandmarkSet:
    """Landmarks where maps and shape of labels have them together, which the error bars are about."""
    from ..interaction.refinement import as_believed

    landmarks = replace(predictor.predict().landmarks, protocol=protocol)
    if predictor.shape is None:
        return landmarks
    known = refiner.given(np.empty(0, dtype=np.intp), np.empty((0, 2)))
    return as_believed(landmarks, known, protocol.radii[0] / float(np.mean(radiograph.spacing)))


def _errors(predictor: Predictor, refiner: Refiner, radiograph: Radiograph, landmarks: LandmarkSet) -> JointErrors:
    """What is left of error where landmarks are believed by maps, shape, and what a person placed or confirmed."""
    of_status = {status: _indices(landmarks, status) for status in Status}
    by_hand = np.concatenate([of_status[Status.CORRECTED], of_status[Status.CONFIRMED]])
    noise = readers_noise(landmarks.protocol, radiograph.spacing)
    belief = refiner.given(by_hand, landmarks.points[by_hand], noise, of_status[Status.MISSING])
    return JointErrors.of(belief, by_hand, noise, predictor.config.posterior.measured)


def _indices(landmarks: LandmarkSet, status: Status) -> NDArray[np.intp]:
    return np.array([index for index, state in enumerate(landmarks.status) if state is status], dtype=np.intp)


def _of_model(landmarks: LandmarkSet, info: Mapping[str, Any]) -> LandmarkSet:
    """With the model that a label's info names, as answers name it; a label says none otherwise."""
    model = info.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
        return landmarks
    return replace(landmarks, provenance={"model": model["name"], "version": str(model.get("version", "unknown"))})
