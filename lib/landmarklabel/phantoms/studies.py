"""Synthetic radiographs as a MONAI Label studies folder: images at its top, final labels in ``labels/final``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..files import storage_errors
from ..io.writing import write_dicom, write_nrrd
from ..markups import write_markups
from . import generate

_BODY_PARTS = {"spine_68": "SPINE", "chest_166": "CHEST", "cephalometric_19": "SKULL"}


def write_studies(
    protocol: str,
    number: int,
    seed: int,
    out: Path,
    size: tuple[int, int] | None = None,
    dicom: int = 0,
    unlabelled: int = 0,
) -> Iterator[Path]:
    """Write images and labels, one at each step of the iteration.

    Args:
        protocol: of the anatomy.
        number: of images.
        seed: of the first; each further one counts up.
        out: the studies folder.
        size: (W, H) in pixels; None for the anatomy's own.
        dicom: the first so many are DICOM, by turns MONOCHROME2 and MONOCHROME1; the others NRRD.
        unlabelled: the last so many have no label.

    Yields:
        the image file.

    Raises:
        ConfigError: there are no phantoms for the protocol.
        StorageError: the disk is full, or ``out`` can't be written.
    """
    labels = out / "labels" / "final"
    with storage_errors(labels, "the studies"):
        labels.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        name = f"{protocol.split('_')[0]}_{seed + index:04d}"
        radiograph, landmarks = generate(protocol, seed + index, size)
        if index < dicom:
            path = out / f"{name}.dcm"
            photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME1" if index % 2 else "MONOCHROME2"
            write_dicom(radiograph, path, f"PHANTOM-{name}", _BODY_PARTS.get(protocol, ""), photometric)
        else:
            path = out / f"{name}.nrrd"
            write_nrrd(radiograph, path)
        if index < number - unlabelled:
            write_markups(landmarks, radiograph.geometry, labels / f"{name}.mrk.json")
        yield path
