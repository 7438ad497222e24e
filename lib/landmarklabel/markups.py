"""Slicer's markups JSON (``.mrk.json``), the exchange format: written to schema 1.0.3, read from any 1.x.

What survives a load and save in 3D Slicer decides how landmarks are stored: ``label`` is the key, ``description``
holds the state, and the confidences are a measurement with one value per control point. A landmark that is
``missing`` or ``undefined`` has a ``positionStatus`` and no position; Slicer writes it as an empty string, which
its own schema does not have, so "", null, an absent key and [0, 0, 0] are never taken for a position there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from pydantic import TypeAdapter, ValidationError

from .errors import LabelError, listed
from .files import atomic_write
from .landmarks import LandmarkSet, Status
from .protocol import Name, Protocol
from .radiograph import Geometry

SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"

#: A world position further than this from the image's plane, in mm, belongs to another image.
PLANE_TOLERANCE_MM = 1.0

# A position beyond this is a slip; it also keeps integers too large for a float out, and what is not a number.
_FARTHEST_MM = 1e6

_POSITION_STATUS = {Status.MISSING: "missing", Status.UNDEFINED: "undefined"}
_UNPLACED = ("undefined", "missing", "preview")
_FROM_RAS = np.array([-1.0, -1.0, 1.0])
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def markups_to_dict(
    landmarks: LandmarkSet, geometry: Geometry, name: str = "", given: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Any]:
    """Landmarks as the content of a ``.mrk.json`` file.

    Args:
        landmarks: in pixels of the image.
        geometry: the image's map from pixels to LPS.
        name: name of the node in Slicer; the protocol's name if empty.
        given: positions in LPS mm, by label, that are written as they are, to the last digit.
    """
    world = world_positions(landmarks, geometry, given)
    points = [
        _control_point(index, definition.label, status, position.tolist())
        for index, (definition, status, position) in enumerate(
            zip(landmarks.protocol.landmarks, landmarks.status, world, strict=True), start=1
        )
    ]
    markup = {
        "type": "Fiducial",
        "name": name or landmarks.protocol.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": points,
        "measurements": _confidence_measurement(landmarks),
    }
    return {"@schema": SCHEMA, "markups": [markup]}


def world_positions(
    landmarks: LandmarkSet, geometry: Geometry, given: Mapping[str, Sequence[float]] | None = None
) -> np.ndarray:
    """(K, 3) in LPS mm; those that were given as they are, not as they come back from pixels."""
    world = geometry.pixel_to_world(landmarks.points)
    for label, position in (given or {}).items():
        world[landmarks.protocol.index(label)] = position
    return world


def _control_point(number: int, label: str, status: Status, position: list[float]) -> dict[str, Any]:
    point: dict[str, Any] = {
        "id": str(number),
        "label": label,
        "description": status.value,
        "associatedNodeID": "",
        "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": _POSITION_STATUS.get(status, "defined"),
    }
    if status.placed:
        point["position"] = position
    return point


def _confidence_measurement(landmarks: LandmarkSet) -> list[dict[str, Any]]:
    if not np.isfinite(landmarks.confidence).any():
        return []
    # A landmark without a confidence is written as -1: JSON has no NaN, and Slicer keeps numbers only.
    values = [float(c) if math.isfinite(c) else -1.0 for c in landmarks.confidence]
    return [{"name": "confidence", "enabled": False, "units": "", "controlPointValues": values}]


def write_markups(landmarks: LandmarkSet, geometry: Geometry, path: Path, name: str = "") -> None:
    """Write a ``.mrk.json`` file, so that ``path`` never holds half of one."""
    atomic_write(path, _file_content(markups_to_dict(landmarks, geometry, name)))


def _file_content(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()


def is_plain_prediction(path: Path) -> bool:
    """Whether a file is just as :func:`write_markups` wrote a model's answer, so that nobody's work is in it.

    A point that is dragged in 3D Slicer may go on being called predicted, but what Slicer saves is laid out otherwise.
    A file that can't be read may be anybody's.
    """
    try:
        data = _bytes(path)
        markup = _single_markup(data, path.name)
        points = _points(markup, path.name)
    except LabelError:
        return False
    values = _confidence_values(markup, len(points))
    return all(map(_is_models, points, values)) and data == _file_content(json.loads(data))


def _is_models(point: dict[str, Any], confidence: Any) -> bool:
    """Whether no person has settled a point: a network places it, or finds nothing, of which it is sure with 0."""
    state = (point.get("description"), point.get("positionStatus"))
    return state == ("predicted", "defined") or (state == ("missing", "missing") and confidence == 0)


def read_markups(path: Path, protocol: Protocol, geometry: Geometry) -> LandmarkSet:
    """Landmarks of a ``.mrk.json`` file.

    Raises:
        LabelError: the file is empty, is not markups JSON, or its points are not those of the protocol.
    """
    return parse_markups(_bytes(path), protocol, geometry, path.name)


def read_named_points(path: Path, geometry: Geometry) -> dict[str, tuple[float, float]]:
    """Points of a ``.mrk.json`` file, whatever their labels: landmarks that a person adds by placing them.

    Args:
        geometry: of the image that they were placed on.

    Returns:
        (x, y) in pixels of the image, by label, without the blanks around it.

    Raises:
        LabelError: the file is not markups JSON, holds no point, or a point's label could not be a protocol's, or it
            is not placed on the image.
    """
    return parse_named_points(_bytes(path), geometry, path.name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise LabelError(f"{path}: can't be read ({problem.strerror})") from None


def parse_markups(data: bytes, protocol: Protocol, geometry: Geometry, where: str = "markups") -> LandmarkSet:
    """Landmarks of markups JSON, put in the protocol's order.

    Args:
        data: content of a ``.mrk.json`` file of any schema 1.x.
        geometry: the map from LPS to pixels of the image that they belong to.
        where: name of the file, for messages.

    Raises:
        LabelError: the data is empty, is not markups JSON, or its points are not those of the protocol.
    """
    markup = _single_markup(data, where)
    control_points = _control_points(markup, protocol, where)
    to_lps = _to_lps(markup, where)
    points = np.full((len(protocol), 2), np.nan)
    status = [Status.UNDEFINED] * len(protocol)
    for point in control_points:
        index = protocol.index(point["label"])
        position = _position(point, where)
        status[index] = _status(point, position is not None)
        if position is not None:
            points[index] = _pixel(np.asarray(position) * to_lps, geometry, point["label"], where)
    confidence = _confidences(markup, control_points, protocol)
    return LandmarkSet(protocol, points, tuple(status), confidence)


def parse_named_points(data: bytes, geometry: Geometry, where: str = "markups") -> dict[str, tuple[float, float]]:
    """The same of the content of a ``.mrk.json`` file; ``where`` names it in messages."""
    markup = _single_markup(data, where)
    control_points = [{**point, "label": _name(point.get("label"), where)} for point in _points(markup, where)]
    if not control_points:
        raise LabelError(f"{where}: no points; expected one or more, each with a label of its own")
    _require_different([point["label"] for point in control_points], where)
    to_lps = _to_lps(markup, where)
    named = {}
    for point in control_points:
        position = _position(point, where)
        if position is None:
            raise LabelError(f"{where}: landmark {point['label']} has no position; expected a place on the image")
        world = (np.asarray(position) * to_lps).tolist()
        x, y = pixel_on_image(world, geometry, point["label"], where).tolist()
        named[point["label"]] = (x, y)
    return named


def parse_positions(data: bytes, where: str = "markups") -> dict[str, tuple[float, float, float] | None]:
    """Where the points of markups JSON lie, whatever their image and labels: LPS in mm; None where one has no place.

    Raises:
        LabelError: the data is not markups JSON of points with labels.
    """
    markup = _single_markup(data, where)
    points = [{**point, "label": _name(point.get("label"), where)} for point in _points(markup, where)]
    to_lps, found = _to_lps(markup, where), dict[str, tuple[float, float, float] | None]()
    for point in points:
        position = _position(point, where)
        x, y, z = (np.asarray(position) * to_lps).tolist() if position is not None else (0.0, 0.0, 0.0)
        found[point["label"]] = None if position is None else (x, y, z)
    return found


def _name(label: Any, where: str) -> str:
    try:
        return _NAME.validate_python(label)
    except ValidationError:
        raise LabelError(
            f"{where}: {str(label)[:80]!r} can't be the label of a landmark; expected 1 to 64 characters on one line"
        ) from None


def _single_markup(data: bytes, where: str) -> dict[str, Any]:
    if not data.strip():
        raise LabelError(f"{where}: the file is empty; expected markups JSON (.mrk.json) with the landmarks")
    try:
        content = json.loads(data)
    except (ValueError, UnicodeDecodeError) as problem:
        raise LabelError(f"{where}: not JSON ({problem}); expected markups JSON (.mrk.json)") from None
    except RecursionError:
        raise LabelError(f"{where}: JSON nested too deep; expected markups JSON (.mrk.json)") from None
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise LabelError(f"{where}: JSON, but not markups JSON: it has no list 'markups'")
    schema = str(content.get("@schema", "v1."))
    if "schema-v" in schema and "schema-v1." not in schema:
        raise LabelError(f"{where}: markups of schema {schema.rstrip('#')}; expected any 1.x")
    fiducials = [markup for markup in markups if markup.get("type", "Fiducial") == "Fiducial"]
    if len(fiducials) != 1:
        kinds = listed(str(markup.get("type")) for markup in markups) or "none"
        raise LabelError(f"{where}: expected one point list (Fiducial), got {len(fiducials)} (markups: {kinds})")
    return fiducials[0]


def _points(markup: dict[str, Any], where: str) -> list[dict[str, Any]]:
    points = markup.get("controlPoints", [])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise LabelError(f"{where}: 'controlPoints' must be a list of points")
    return points


def _require_different(labels: list[str], where: str) -> None:
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise LabelError(f"{where}: {listed(repeated)} given more than once; each landmark has one point")


def _control_points(markup: dict[str, Any], protocol: Protocol, where: str) -> list[dict[str, Any]]:
    points = _points(markup, where)
    labels = [point.get("label") for point in points]
    unknown = [str(label) for label in labels if label not in protocol.labels]
    if unknown:
        raise LabelError(
            f"{where}: {listed(unknown)}: not a landmark of {protocol.name}, which has {listed(protocol.labels, 30)}"
        )
    _require_different([point["label"] for point in points], where)
    if len(points) != len(protocol):
        absent = [label for label in protocol.labels if label not in labels]
        raise LabelError(
            f"{where}: {len(points)} points, but {protocol.name} has {len(protocol)}; {listed(absent)} "
            "not there (a landmark that can't be seen is a point with positionStatus 'missing')"
        )
    return points


def _to_lps(markup: dict[str, Any], where: str) -> np.ndarray:
    units = markup.get("coordinateUnits", "mm")
    if "mm" not in str(units):  # from schema 1.0.3 on also a coded entry
        raise LabelError(f"{where}: coordinateUnits {str(units)[:40]}; expected mm")
    # Schema 1.0.0 counts systems as Slicer's enum does: RAS = 0, LPS = 1.
    system = str(markup.get("coordinateSystem", "LPS"))
    if system in ("LPS", "1"):
        return np.ones(3)
    if system in ("RAS", "0"):
        return _FROM_RAS
    raise LabelError(f"{where}: coordinateSystem '{system}'; expected LPS or RAS")


def pixel_in_plane(position: Any, geometry: Geometry, label: str, where: str) -> np.ndarray:
    """A position that a client sends, LPS mm, as a pixel (x, y) of the image's plane, on the image or beside it.

    Raises:
        LabelError: it is not three finite numbers, or lies off the plane.
    """
    if not _is_position(position):
        raise LabelError(f"{where}: {label} has position {str(position)[:80]}; expected three finite numbers in mm")
    return _pixel(np.asarray(position, dtype=np.float64), geometry, label, where)


def pixel_on_image(position: Any, geometry: Geometry, label: str, where: str) -> np.ndarray:
    """The same of a position on the image.

    Raises:
        LabelError: it is not three finite numbers, or not a point of the image.
    """
    pixel = pixel_in_plane(position, geometry, label, where)
    if not geometry.contains(pixel[None], margin=0.5)[0]:
        raise LabelError(
            f"{where}: {label} at ({pixel[0]:.1f}, {pixel[1]:.1f}) lies outside the image, whose pixels reach from "
            f"(0, 0) to ({geometry.size[0] - 1}, {geometry.size[1] - 1})"
        )
    return pixel


def _position(point: dict[str, Any], where: str) -> list[float] | None:
    """Its position, or None where it has none."""
    position, status = point.get("position"), point.get("positionStatus")
    if status in _UNPLACED or (status is None and position in ("", None, [])):
        return None
    if not _is_position(position):
        raise LabelError(
            f"{where}: landmark {point['label']} has position {str(position)[:80]}; expected three finite numbers in mm"
        )
    return [float(value) for value in position]


def _is_position(values: Any) -> TypeGuard[list[float]]:
    """Whether these are three finite numbers, of a world that an image may lie in."""
    return isinstance(values, list) and len(values) == 3 and all(map(_is_coordinate, values))


def _is_coordinate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _FARTHEST_MM


def _status(point: dict[str, Any], placed: bool) -> Status:
    if not placed:
        return Status.MISSING if point.get("positionStatus") == "missing" else Status.UNDEFINED
    token = str(point.get("description", "")).strip().lower()
    # Points that a person made elsewhere carry no token of ours: a person placed them.
    return Status(token) if token in {"predicted", "corrected", "confirmed"} else Status.CORRECTED


def _pixel(world: np.ndarray, geometry: Geometry, label: str, where: str) -> np.ndarray:
    distance = float(geometry.distance_from_plane(world))
    if distance > PLANE_TOLERANCE_MM:
        raise LabelError(
            f"{where}: landmark {label} lies {distance:.1f} mm from the plane of the image; it belongs to another image"
        )
    return geometry.world_to_pixel(world)


def _confidences(markup: dict[str, Any], control_points: list[dict[str, Any]], protocol: Protocol) -> np.ndarray:
    confidence = np.full(len(protocol), np.nan)
    for point, value in zip(control_points, _confidence_values(markup, len(control_points)), strict=True):
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            confidence[protocol.index(point["label"])] = float(value)
    return confidence


def _confidence_values(markup: dict[str, Any], number: int) -> list[Any]:
    """What is given as the confidence of each of so many points; None where nothing is."""
    found: list[Any] = [None] * number
    measurements = markup.get("measurements")
    for measurement in measurements if isinstance(measurements, list) else ():
        values = measurement.get("controlPointValues") if isinstance(measurement, dict) else None
        named = isinstance(measurement, dict) and measurement.get("name") == "confidence"
        if named and isinstance(values, list) and len(values) == number:
            found = values
    return found
