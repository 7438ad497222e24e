"""Landmarks as Slicer's markups JSON (schema 1.0.3, LPS), and back: how labels lie on the server.

``label`` is the key, ``description`` holds the state, confidences are a measurement with one value per control point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .contract import CONFIRMED, CORRECTED, MISSING, PREDICTED, UNDEFINED, Position, ServerError, nonsense
from .state import Point

SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"

#: Standing for "none" in the confidences, which are numbers only.
NO_CONFIDENCE = -1.0

_ORIENTATION = [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0]


def to_markups(points: Sequence[Point], name: str) -> dict[str, Any]:
    """Points as the content of a ``.mrk.json`` file."""
    confidences = [NO_CONFIDENCE if point.confidence is None else point.confidence for point in points]
    markup = {
        "type": "Fiducial",
        "name": name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [_control_point(number, point) for number, point in enumerate(points, start=1)],
        "measurements": [{"name": "confidence", "enabled": False, "units": "", "controlPointValues": confidences}],
    }
    return {"@schema": SCHEMA, "markups": [markup]}


def _control_point(number: int, point: Point) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": str(number),
        "label": point.label,
        "description": point.status,
        "associatedNodeID": "",
        "orientation": _ORIENTATION,
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": point.status if point.position is None else "defined",
    }
    if point.position is not None:
        content["position"] = list(point.position)
    return content


def from_markups(content: Any, labels: Sequence[str]) -> list[Point]:
    """Points of a ``.mrk.json`` file of any schema 1.x, in the order of ``labels``.

    Raises:
        ServerError: it is not that, or lacks one of the labels.
    """
    try:
        markup = content["markups"][0]
        signs = (-1.0, -1.0, 1.0) if str(markup.get("coordinateSystem", "LPS")) in ("RAS", "0") else (1.0, 1.0, 1.0)
        entries = markup["controlPoints"]
        points = {point.label: point for point in (_point(entry, signs) for entry in entries)}
        confidences = _confidences(markup, [str(entry["label"]) for entry in entries])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise nonsense("a label that is no markups JSON") from None
    absent = [label for label in labels if label not in points]
    if absent:
        raise ServerError("invalid", f"The label lacks {len(absent)} landmarks of the protocol, {absent[0]} first.")
    return [_with_confidence(points[label], confidences.get(label)) for label in labels]


def _point(entry: Mapping[str, Any], signs: Sequence[float]) -> Point:
    label, status, position = str(entry["label"]), entry.get("positionStatus"), entry.get("position")
    if status in (MISSING, UNDEFINED, "preview") or (status is None and not position):
        return Point(label, None, MISSING if status == MISSING else UNDEFINED)
    x, y, z = (float(value) * sign for value, sign in zip(entry["position"], signs))
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(position)
    token = str(entry.get("description", "")).strip().lower()
    # A point without a token of ours was placed by a person.
    return Point(label, (x, y, z), token if token in (PREDICTED, CORRECTED, CONFIRMED) else CORRECTED)


def _confidences(markup: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    for measurement in markup.get("measurements") or []:
        values = measurement.get("controlPointValues")
        if measurement.get("name") == "confidence" and isinstance(values, list) and len(values) == len(labels):
            return {label: float(value) for label, value in zip(labels, values)}
    return {}


def _with_confidence(point: Point, confidence: float | None) -> Point:
    known = confidence is not None and 0 <= confidence <= 1
    return Point(point.label, point.position, point.status, confidence if known else None)


def lps_of_ras(ras: Sequence[float]) -> Position:
    """The scene's RAS mm as the files' LPS mm, and the other way round."""
    return -float(ras[0]), -float(ras[1]), float(ras[2])
