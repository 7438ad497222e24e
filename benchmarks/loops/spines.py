"""Synthetic spines as radiographs come: 8-bit PNGs that have to be decoded."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from landmarklabel.markups import write_markups
from landmarklabel.phantoms import generate

PROTOCOL = "spine_68"
_SEED = 53_000


def write_spines(folder: Path, number: int, size: tuple[int, int]) -> None:
    """A studies folder of labelled images of ``size`` (W, H)."""
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for index in range(number):
        radiograph, landmarks = generate(PROTOCOL, _SEED + index, size)
        name = f"spine_{index:03d}"
        Image.fromarray(radiograph.display()).save(folder / f"{name}.png")
        geometry = type(radiograph.geometry)(size=size)
        write_markups(landmarks, geometry, labels / f"{name}.mrk.json")
