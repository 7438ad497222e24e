"""What a reader asks of ``refine``, read from a request and checked against the protocol and the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarklabel.errors import LabelError, listed
from landmarklabel.markups import pixel_in_plane, pixel_on_image
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

Array = NDArray[np.float64]

_LONGEST_SESSION = 200


@dataclass(frozen=True)
class Corrections:
    """All that a reader has corrected in an image by now.

    Attributes:
        placed: label to (x, y), in pixels of the image.
        given: the same as they were sent, LPS mm.
        missing: labels that are not in this image.
        previous: (K, 2), where landmarks were before they were corrected, in pixels of the image; NaN where that is not
            known; None where it is not known of any.
        session: of whom these are; None for nobody's.
    """

    placed: dict[str, Array]
    given: dict[str, Any]
    missing: list[str]
    previous: Array | None
    session: str | None

    def clicks(self, protocol: Protocol) -> Array:
        """(K, 2), NaN where a landmark was not placed."""
        return _rows(self.placed, protocol)


def read_corrections(request: dict[str, Any], protocol: Protocol, geometry: Geometry) -> Corrections:
    """``corrections`` and ``previous`` ({label: [x, y, z]}, LPS mm), ``missing`` ([label]) and ``session`` of requests.

    Raises:
        LabelError: one of them is not that, names a landmark that the protocol has not, or is of another image.
    """
    given = request.get("corrections") or {}
    placed = _points(request.get("corrections"), protocol, geometry, "corrections", pixel_on_image)
    positions = request.get("previous")
    if isinstance(positions, dict):
        positions = {label: at for label, at in positions.items() if at is not None or label not in protocol.labels}
    previous = _points(positions, protocol, geometry, "previous", pixel_in_plane)
    return Corrections(
        placed,
        given,
        _missing(request.get("missing")),
        _rows(previous, protocol) if previous else None,
        session_of(request),
    )


def session_of(request: dict[str, Any]) -> str | None:
    """The id of the session of a request, if it has one.

    Raises:
        LabelError: it is no text.
    """
    name = request.get("session")
    if isinstance(name, dict):  # MONAI Label's own, of ``session_id=``, whose image it holds
        name = name.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_SESSION:
        raise LabelError(f"session: expected a text of up to {_LONGEST_SESSION} characters, got {str(name)[:60]!r}")
    return name


def _points(
    positions: Any, protocol: Protocol, geometry: Geometry, where: str, to_pixel: Callable[..., Array]
) -> dict[str, Array]:
    if positions is None:
        return {}
    if not isinstance(positions, dict):
        raise LabelError(f"{where}: expected {{label: [x, y, z]}} in LPS mm, got {type(positions).__name__}")
    unknown = [label for label in positions if label not in protocol.labels]
    if unknown:
        known = listed(protocol.labels, 30)
        raise LabelError(f"{where}: {listed(unknown)}: not a landmark of {protocol.name}, which has {known}")
    return {label: to_pixel(at, geometry, label, where) for label, at in positions.items()}


def _missing(labels: Any) -> list[str]:
    if labels is None:
        return []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise LabelError(f"missing: expected a list of labels, got {str(labels)[:60]}")
    return list(dict.fromkeys(labels))


def _rows(points: dict[str, Array], protocol: Protocol) -> Array:
    rows = np.full((len(protocol), 2), np.nan)
    for label, point in points.items():
        rows[protocol.index(label)] = point
    return rows
