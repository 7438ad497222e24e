"""Landmarks nobody trained: left out of training, read off the uv-map, beside a network that was told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from clicks.data import Parts

from landmarklabel.carry import carried
from landmarklabel.derived import MapPlace, mean_place, place_on_shape
from landmarklabel.errors import LabelError
from landmarklabel.io.cases import Case
from landmarklabel.metrics import radial_errors, summarize
from landmarklabel.predictor import Predictor
from landmarklabel.segmenting import dense_readout
from landmarklabel.transforms import Placement

#: Of how many single images the figure "placed in one image" is the mean.
_IMAGES = 5


def experiment(less: Predictor, full: Predictor, parts: Parts, labels: tuple[str, ...]) -> dict[str, Any]:
    """Errors of left-out landmarks on the test images: trained, from all labels' shapes, from one labelled image.

    Args:
        less: trained without the landmarks.
        full: trained with them.
        labels: of the landmarks that were left out.
    """
    protocol = parts.training.protocol
    indices = np.array([protocol.index(label) for label in labels])
    rest = np.array([index for index in range(len(protocol)) if index not in set(indices)])
    sources = [case for case in parts.training.labelled() if case.points is not None]
    rng = np.random.default_rng(0)
    single = [sources[index] for index in rng.choice(len(sources), _IMAGES, replace=False)]
    found = {"trained": _errors_of(full, parts.test, indices)}
    shapes = _places(less, sources, labels, indices, rest)
    found["nobody_trained_mean_shape"] = _carried_errors(less, parts.test, shapes, labels, indices)
    by_image = [
        _carried_errors(less, parts.test, _places(less, [case], labels, indices, rest), labels, indices)
        for case in single
    ]
    found["nobody_trained_one_image"] = np.stack(by_image)
    return {
        "left_out": list(labels),
        "landmarks_trained": len(rest),
        "images": len(parts.test),
        "errors": {name: _figures(errors, protocol.radii) for name, errors in found.items()},
        "errors_one_image_each": [float(np.nanmean(errors)) for errors in by_image],
    }


def _places(
    predictor: Predictor, cases: list[Case], labels: tuple[str, ...], indices: np.ndarray, rest: np.ndarray
) -> dict[str, MapPlace]:
    """Where the landmarks lie on the mean shape, by labelled images."""
    readout = dense_readout(predictor)
    places: dict[str, list[MapPlace]] = {label: [] for label in labels}
    for case in cases:
        assert case.points is not None
        placement = Placement(case.radiograph().size, predictor.config.input.size, predictor.config.input.fit)
        points = placement.points(case.points)
        for label, index in zip(labels, indices, strict=True):
            try:
                place = place_on_shape(points[index], points[rest], readout.regions, readout.mean_shape)
            except LabelError:
                continue  # outside of what is left of its structure in this image
            places[label].append(place)
    return {label: mean_place(found) for label, found in places.items() if found}


def _carried_errors(
    predictor: Predictor, cases: tuple[Case, ...], places: dict[str, MapPlace], labels: tuple[str, ...], at: np.ndarray
) -> np.ndarray:
    errors = np.full((len(cases), len(labels)), np.nan)
    columns = [labels.index(label) for label in places]
    for row, case in enumerate(cases):
        radiograph = case.radiograph()
        predictor.set_image(radiograph)
        points, _ = carried(predictor, places)
        assert case.points is not None
        spacing = np.array(radiograph.spacing if radiograph.spacing_known else (1.0, 1.0))
        errors[row, columns] = radial_errors(points[None], case.points[at[columns]][None], spacing[None])[0]
    return errors


def _errors_of(predictor: Predictor, cases: tuple[Case, ...], indices: np.ndarray) -> np.ndarray:
    errors = []
    for case in cases:
        radiograph = case.radiograph()
        predictor.set_image(radiograph)
        points = predictor.predict().landmarks.points
        assert case.points is not None
        spacing = np.array(radiograph.spacing if radiograph.spacing_known else (1.0, 1.0))
        errors.append(radial_errors(points[indices][None], case.points[indices][None], spacing[None])[0])
    return np.stack(errors)


def _figures(errors: np.ndarray, radii: tuple[float, ...]) -> dict[str, Any]:
    return {**summarize(errors.reshape(-1, errors.shape[-1]), radii).as_dict(), "missing": int(np.isnan(errors).sum())}
