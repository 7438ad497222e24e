"""Measurements of images as CSV and JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from .. import __version__
from ..landmarks import LandmarkSet, Status
from ..measurements.base import Measurement
from ..protocol import Protocol
from .measuring import Measured

#: Of the CSV: a row is a measurement of an image.
COLUMNS = (
    "image", "name", "value", "unit", "sd", "low68", "high68", "low95", "high95", "category", "probability",
    "norm_mean", "norm_sd", "deviation", "out_of_norm", "reliable", "improve", "reason", "note", "title", "analyses",
)  # fmt: skip


class CsvWriter:
    """Writes rows as they come, so that a long run needs no memory for them.

    Args:
        file: open for text, with ``newline=""``.
    """

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, measured: Measured) -> None:
        """The rows of an image."""
        name = _writable(measured.name)
        self._writer.writerows({"image": name, **_row(each)} for each in measured.measurements)

    def write_failed(self, name: str, reason: str) -> None:
        """The row of an image that could not be measured: it has no measurement, and says why."""
        self._writer.writerow({"image": _writable(name), "reason": _writable(reason)})


def _row(one: Measurement) -> dict[str, Any]:
    """Fields of a measurement; one that nobody knows is empty."""
    low68, high68 = one.interval68 or (None, None)
    low95, high95 = one.interval95 or (None, None)
    norm = one.norm
    numbers = {
        "value": one.value,
        "sd": one.sd,
        "low68": low68,
        "high68": high68,
        "low95": low95,
        "high95": high95,
        "probability": one.probabilities.get(one.category) if one.category else None,
        "deviation": one.deviation,
    }
    return {
        **{key: None if number is None else f"{number:.6g}" for key, number in numbers.items()},
        "name": one.name,
        "unit": one.unit,
        "category": one.category,
        "norm_mean": None if norm is None else norm.mean,
        "norm_sd": None if norm is None else norm.sd,
        "out_of_norm": _word(one.out_of_norm),
        "reliable": _word(one.reliable),
        "improve": one.improve,
        "reason": one.reason,
        "note": one.note,
        "title": one.title,
        "analyses": "; ".join(one.analyses),
    }


def _writable(name: str) -> str:
    """A file's name, without what is no text: names of files may be any bytes."""
    return name.encode(errors="replace").decode()


def _word(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def image_json(measured: Measured) -> dict[str, Any]:
    """An image as JSON has it."""
    radiograph = measured.radiograph
    spacing = list(radiograph.spacing) if radiograph.spacing_known else None
    return {
        "image": measured.name,
        "spacing": {"mm_per_pixel": spacing, "source": radiograph.spacing_source.value},
        "landmarks": _states(measured.landmarks),
        "model": dict(measured.landmarks.provenance) or None,
        "label": {key: measured.label[key] for key in ("user", "ts", "tag") if key in measured.label} or None,
        "measurements": [each.as_dict() for each in measured.measurements],
    }


def _states(landmarks: LandmarkSet) -> dict[str, list[str]]:
    """Labels by their state: who placed what."""
    states: dict[str, list[str]] = {}
    for label, state in zip(landmarks.labels, landmarks.status, strict=True):
        states.setdefault(state.value, []).append(label)
    return {state.value: states[state.value] for state in Status if state.value in states}


def measurements_json(
    protocol: Protocol, images: Sequence[Mapping[str, Any]], failed: Mapping[str, str]
) -> dict[str, Any]:
    """All images as JSON has them.

    Args:
        images: as :func:`image_json` gives them.
        failed: images that could not be measured, and why.
    """
    return {
        "landmarklabel": __version__,
        "protocol": protocol.name,
        "images": list(images),
        "failed": [{"image": name, "reason": reason} for name, reason in failed.items()],
    }
