"""What DenseSeg sees in a chest: structures, uv-maps as colours, landmarks, and those that nobody trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from landmarklabel.carry import carried
from landmarklabel.derived import MapPlace
from landmarklabel.phantoms import generate
from landmarklabel.pictures import draw_dots, enlarged
from landmarklabel.predictor import Predictor
from landmarklabel.segmentation_pictures import contact_sheet, segmentation_overlay, uv_overlay
from landmarklabel.segmenting import segment, uv_maps

Picture = tuple[Image.Image, str, tuple[str, ...]]

#: A chest nobody trained on.
PROTOCOL = "chest_166"
SIZE = (320, 320)
_CARRIED = (255, 235, 60)


def dense_pictures(model: Path, seeds: range, height: int = 420) -> Image.Image:
    """A row for each chest."""
    predictor = Predictor.load(model)
    return contact_sheet([_row(predictor, seed, height) for seed in seeds])


def _row(predictor: Predictor, seed: int, height: int) -> list[Picture]:
    radiograph, true = generate(PROTOCOL, seed, SIZE)
    image = radiograph.display()
    predictor.set_image(radiograph)
    points = predictor.predict().landmarks.points
    found = segment(predictor)
    _, maps = uv_maps(predictor)
    error = float(np.nanmean(np.linalg.norm((points - true.points) * radiograph.spacing, axis=1)))
    new = _middles(predictor)
    return [
        (segmentation_overlay(image, found.masks, height=height), "Structures", ("as the network segments them",)),
        (uv_overlay(image, maps, height=height), "uv-maps", ("each pixel's place on the mean shape",)),
        (
            segmentation_overlay(image, found.masks[:0], points, true.points, height),
            f"{len(points)} landmarks",
            (f"read off the maps (red), {error:.1f} mm from the truth (green)",),
        ),
        (_dots(image, new, height), "Landmarks nobody trained", ("the middle of each structure, by its uv",)),
    ]


def _middles(predictor: Predictor) -> np.ndarray:
    """The points in the middle of the box of each mean shape, where no landmark of the protocol is."""
    regions = predictor.readout.regions  # type: ignore[attr-defined]
    points, _ = carried(predictor, {name: MapPlace(index, (0.0, 0.0)) for index, name in enumerate(regions.names)})
    return points


def _dots(image: np.ndarray, points: np.ndarray, height: int) -> Image.Image:
    picture, scale = enlarged(image, height)
    draw_dots(picture, points, scale, (0, 0, 0), height / 60)
    draw_dots(picture, points, scale, _CARRIED, height / 80)
    return picture
