"""What is noted with a label: by whom, when, how, and what was noted before."""

from __future__ import annotations

import time
from typing import Any

from .contract import CONFIRMED, CORRECTED, MISSING
from .opening import OpenImage

VERSION = "0.1.0"


def noted(opened: OpenImage, reader: str) -> dict[str, Any]:
    """Of an image as it is now."""
    statuses = [point.status for point in opened.reading.points]
    entry = {
        "reader": reader,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "seconds": round(time.monotonic() - opened.started, 1),
        "model": opened.reading.model.get("version", ""),
        **{status: statuses.count(status) for status in (CORRECTED, CONFIRMED, MISSING)},
    }
    return {"client": f"SlicerLandmarkLabel {VERSION}", "history": [*opened.history, entry]}
