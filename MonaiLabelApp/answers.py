"""The answer of every infer task, as docs/architecture.md fixes it: a markups file and its JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import markups_to_dict, world_positions
from landmarklabel.modelfile import ModelHeader
from memory import SeenImage


def answer(
    landmarks: LandmarkSet,
    seen: SeenImage,
    model: dict[str, Any],
    review_order: Sequence[str],
    timings: dict[str, float],
    given: Mapping[str, Sequence[float]] | None = None,
) -> tuple[str, dict[str, Any]]:
    """The file of an answer and its JSON, in plain Python numbers.

    Args:
        landmarks: the answer.
        seen: the image.
        model: what it comes from.
        review_order: labels, the one to look at first first.
        timings: seconds by step.
        given: positions, LPS mm, that a person gave, and that are answered to the last digit.

    Returns:
        path of a temporary ``.mrk.json`` file, which the server deletes once it is sent; and the JSON.
    """
    with tempfile.NamedTemporaryFile("w", prefix="landmarks_", suffix=".mrk.json", delete=False) as file:
        # Not json.dump, which writes piece by piece in Python: of a click's answer that took a quarter of the time.
        file.write(json.dumps(markups_to_dict(landmarks, seen.geometry, given=given)))
    return file.name, {
        "landmarks": landmarks_to_json(landmarks, world_positions(landmarks, seen.geometry, given)),
        "review_order": list(review_order),
        "measurements": [],
        "model": model,
        "spacing": {"mm_per_pixel": list(seen.spacing), "source": seen.spacing_source.value},
        "timings": {step: round(seconds, 6) for step, seconds in timings.items()},
    }


def describe(header: ModelHeader) -> dict[str, Any]:
    """What an answer says of the model that it comes from."""
    return {
        "name": header.config.method,
        "version": header.version,
        "trained_on": {key: value for key, value in header.data.items() if key != "seen"},
        "protocol": header.protocol.name,
    }


def landmarks_to_json(landmarks: LandmarkSet, world: np.ndarray) -> list[dict[str, Any]]:
    """Each landmark with its position in LPS mm (K, 3) and in pixels; null where it has none."""
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


def least_confident_first(landmarks: LandmarkSet) -> list[str]:
    """Labels, the least confident first."""
    order = np.argsort(np.nan_to_num(landmarks.confidence, nan=0.0), kind="stable")
    return [landmarks.labels[index] for index in order]


def _numbers(values: np.ndarray) -> list[float] | None:
    return [float(value) for value in values] if np.isfinite(values).all() else None
