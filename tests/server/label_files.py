"""Labels as files, as clients send them: label images, and points of any name."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

import tiny


def label_image(path: Path, value: int = 1, size: tuple[int, int] = tiny.SIZE, segment: str = "") -> Path:
    """A label image with 12 pixels of that value, which a segment has the name of if one is given."""
    values = np.zeros((1, size[1], size[0]), np.uint8)
    values[0, 20:23, 10:14] = value
    image = sitk.GetImageFromArray(values)
    if segment:
        fields = {"ID": segment, "Name": segment, "LabelValue": str(value), "Layer": "0"}
        for key, text in fields.items():
            image.SetMetaData(f"Segment0_{key}", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def markups(path: Path, **places: tuple[float, float]) -> Path:
    """Markups JSON with a point for each label, on an image without spacing."""
    points = [{"label": label, "position": [x, y, 0.0]} for label, (x, y) in places.items()]
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": points}]}))
    return path


def save_final(store: Any, folder: Path, name: str, seed: int) -> None:
    """A final label of an image of a :class:`datastore.LandmarkDatastore`, with the points of another image."""
    content = json.loads(Path(store.get_label_uri("image_000", "final")).read_text())
    for control, point in zip(content["markups"][0]["controlPoints"], tiny.triangle_image(seed)[1], strict=True):
        control["position"] = [*point.tolist(), 0.0]
    path = folder / f"{name}_{threading.get_ident()}.mrk.json"
    path.write_text(json.dumps(content))
    store.save_label(name, str(path), "final", {})
