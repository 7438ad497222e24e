"""The answer of every infer task, as docs/architecture.md fixes it: a file and its JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from landmarklabel.files import storage_errors, temporary_file
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict, world_positions
from landmarklabel.measurements.base import Measurement
from landmarklabel.modelfile import ModelHeader
from memory import SeenImage
from trust import Trusted


def answer(
    landmarks: LandmarkSet,
    seen: SeenImage,
    model: dict[str, Any],
    review_order: Sequence[str],
    measurements: Sequence[Measurement],
    timings: dict[str, float],
    trusted: Trusted,
    given: Mapping[str, Sequence[float]] | None = None,
    with_file: bool = True,
) -> tuple[str | None, dict[str, Any]]:
    """The file of an answer of landmarks and its JSON.

    Args:
        landmarks: the answer.
        seen: the image.
        model: what it comes from.
        review_order: labels, the one to look at first first.
        measurements: of the landmarks.
        timings: seconds by step.
        trusted: which landmarks are.
        given: positions, LPS mm, that a person gave, and that are answered to the last digit.
        with_file: see :func:`wants_file`.

    Returns:
        path of a temporary ``.mrk.json`` file, which the server deletes once it is sent, or None; and the JSON.

    Raises:
        StorageError: there is no room for the file.
    """
    positions = landmarks_to_json(landmarks, world_positions(landmarks, seen.geometry, given), trusted)
    file = markups_file(landmarks, seen, given) if with_file else None
    return file, to_json(positions, seen, model, review_order, measurements, timings, trusted)


def wants_file(request: Mapping[str, Any]) -> bool:
    """Whether anybody reads the file of an answer: the gateway says so of whom the JSON is enough for."""
    return not request.get("json_only")


@contextmanager
def answer_file(prefix: str, suffix: str) -> Iterator[Path]:
    """A temporary file to be filled in the block, which the server deletes once it is sent.

    Raises:
        StorageError: the disk of temporary files is full, or can't be written.
    """
    with storage_errors(Path(tempfile.gettempdir()) / "answer", "the answer"), temporary_file(prefix, suffix) as path:
        yield path


def markups_file(landmarks: LandmarkSet, seen: SeenImage, given: Mapping[str, Sequence[float]] | None = None) -> str:
    """Path of a temporary ``.mrk.json`` file; see :func:`answer`."""
    with answer_file("landmarks_", ".mrk.json") as path:
        # Not json.dump, which writes piece by piece in Python: of a click's answer that took a quarter of the time.
        path.write_text(json.dumps(markups_to_dict(landmarks, seen.geometry, given=given)))
    return str(path)


def to_json(
    landmarks: list[dict[str, Any]],
    seen: SeenImage,
    model: dict[str, Any],
    review_order: Sequence[str],
    measurements: Sequence[Measurement],
    timings: dict[str, float],
    trusted: Trusted,
) -> dict[str, Any]:
    """The JSON of an answer, in plain Python numbers; arguments as of :func:`answer`."""
    return {
        "landmarks": landmarks,
        "review_order": list(review_order),
        "measurements": [measurement.as_dict() for measurement in measurements],
        "model": model,
        "trust": trusted.as_dict(),
        "spacing": {"mm_per_pixel": list(seen.spacing), "source": seen.spacing_source.value},
        "timings": {step: round(seconds, 6) for step, seconds in timings.items()},
    }


def describe(header: ModelHeader) -> dict[str, Any]:
    """What an answer says of the model that it comes from."""
    return {
        "name": header.config.method,
        "version": header.version,
        "trained_on": header.described_data,
        "protocol": header.protocol.name,
    }


def landmarks_to_json(landmarks: LandmarkSet, world: np.ndarray, trusted: Trusted) -> list[dict[str, Any]]:
    """Each landmark with its position in LPS mm (K, 3) and in pixels; null where it has none."""
    columns = (landmarks.labels, world, landmarks.points, landmarks.confidence, landmarks.status, trusted.landmarks)
    return [landmark_to_json(*each) for each in zip(*columns, strict=True)]


def landmark_to_json(
    label: str, position: np.ndarray, pixel: np.ndarray, confidence: float, status: Status, trusted: bool
) -> dict[str, Any]:
    """One landmark: position (3,) in LPS mm, pixel (2,)."""
    return {
        "label": label,
        "position": _numbers(position),
        "pixel": _numbers(pixel),
        "confidence": float(confidence) if np.isfinite(confidence) else None,
        "status": status.value,
        "trusted": bool(trusted),
    }


def least_confident_first(landmarks: LandmarkSet) -> list[str]:
    """Labels, the least confident first."""
    order = np.argsort(np.nan_to_num(landmarks.confidence, nan=0.0), kind="stable")
    return [landmarks.labels[index] for index in order]


def _numbers(values: np.ndarray) -> list[float] | None:
    return [float(value) for value in values] if np.isfinite(values).all() else None
