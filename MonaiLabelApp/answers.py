"""The answer of every infer task, as docs/architecture.md fixes it: a markups file and its JSON."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import numpy as np

from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import markups_to_dict
from landmarklabel.modelfile import ModelHeader
from landmarklabel.radiograph import Geometry, Radiograph


def answer(
    landmarks: LandmarkSet, radiograph: Radiograph, header: ModelHeader, timings: dict[str, float]
) -> tuple[str, dict[str, Any]]:
    """The file of an answer and its JSON, in plain Python numbers.

    Returns:
        path of a temporary ``.mrk.json`` file, which the server deletes once it is sent; and the JSON.
    """
    with tempfile.NamedTemporaryFile("w", prefix="landmarks_", suffix=".mrk.json", delete=False) as file:
        json.dump(markups_to_dict(landmarks, radiograph.geometry), file)
    return file.name, {
        "landmarks": landmarks_to_json(landmarks, radiograph.geometry),
        "review_order": review_order(landmarks),
        "measurements": [],
        "model": {
            "name": header.config.method,
            "version": header.version,
            "trained_on": {key: value for key, value in header.data.items() if key != "seen"},
            "protocol": header.protocol.name,
        },
        "spacing": {"mm_per_pixel": list(radiograph.spacing), "source": radiograph.spacing_source.value},
        "timings": {step: round(seconds, 6) for step, seconds in timings.items()},
    }


def landmarks_to_json(landmarks: LandmarkSet, geometry: Geometry) -> list[dict[str, Any]]:
    """Each landmark with its position in LPS mm and in pixels; null where it has none."""
    world = geometry.pixel_to_world(landmarks.points)
    return [
        {
            "label": label,
            "position": _numbers(position),
            "pixel": _numbers(pixel),
            "confidence": float(confidence) if np.isfinite(confidence) else None,
            "status": status.value,
        }
        for label, position, pixel, confidence, status in zip(
            landmarks.labels, world, landmarks.points, landmarks.confidence, landmarks.status, strict=True
        )
    ]


def review_order(landmarks: LandmarkSet) -> list[str]:
    """Labels, the least confident first."""
    order = np.argsort(np.nan_to_num(landmarks.confidence, nan=0.0), kind="stable")
    return [landmarks.labels[index] for index in order]


def _numbers(values: np.ndarray) -> list[float] | None:
    return [float(value) for value in values] if np.isfinite(values).all() else None
