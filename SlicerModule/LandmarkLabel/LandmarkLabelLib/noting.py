"""What is noted with a label: by whom, when, how, and what was noted before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .contract import CONFIRMED, CORRECTED, MISSING
from .opening import OpenImage

VERSION = "0.1.0"


def noted(opened: OpenImage, reader: str) -> dict[str, Any]:
    """Of an image as it is now: ``user``, ``model`` and ``clicks`` as the server's history and reports know them.

    The server puts the name of a token in the reader's place.
    """
    statuses = [point.status for point in opened.reading.points]
    entry = {
        "reader": reader,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "seconds": round(time.monotonic() - opened.started, 1),
        "model": opened.reading.model.get("version", ""),
        **{status: statuses.count(status) for status in (CORRECTED, CONFIRMED, MISSING)},
    }
    return {
        "client": f"SlicerLandmarkLabel {VERSION}",
        **({"user": reader} if reader else {}),
        **_model(opened.reading.model),
        "clicks": statuses.count(CORRECTED) + statuses.count(MISSING),
        "history": [*opened.history, entry],
    }


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Which one predicted what nobody placed, if that is known."""
    named = {key: model[key] for key in ("name", "version") if model.get(key)}
    return {"model": named} if "name" in named else {}
