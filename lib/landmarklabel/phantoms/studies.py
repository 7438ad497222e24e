"""Synthetic radiographs as a MONAI Label studies folder: images at its top, final labels in ``labels/final``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..files import storage_errors
from ..io.importing import require_same_image, require_same_label
from ..io.layouts.common import images_in
from ..io.writing import write_dicom, write_nrrd
from ..markups import write_markups
from ..radiograph import Radiograph
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
    """Write images and labels, one at each step of the iteration; what is there and the same is left alone.

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
        DataError: another image or final label of an id is there already, which is never overwritten.
        StorageError: the disk is full, or ``out`` can't be written.
    """
    labels = out / "labels" / "final"
    with storage_errors(labels, "the studies"):
        labels.mkdir(parents=True, exist_ok=True)
    there = images_in(out)
    for index in range(number):
        name = f"{protocol.split('_')[0]}_{seed + index:04d}"
        radiograph, landmarks = generate(protocol, seed + index, size)
        path, label = there.get(name), labels / f"{name}.mrk.json"
        if path is not None:
            require_same_image(radiograph, path)
        if index < number - unlabelled and label.exists():
            require_same_label(landmarks, radiograph.geometry, label)
        if path is None:
            path = out / f"{name}{'.dcm' if index < dicom else '.nrrd'}"
            _write_image(radiograph, path, protocol, inverted=index % 2 == 1)
        if index < number - unlabelled and not label.exists():
            write_markups(landmarks, radiograph.geometry, label)
        yield path


def _write_image(radiograph: Radiograph, path: Path, protocol: str, inverted: bool) -> None:
    """As its ending says; a DICOM image may be stored inverted (MONOCHROME1)."""
    if path.suffix == ".nrrd":
        write_nrrd(radiograph, path)
        return
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME1" if inverted else "MONOCHROME2"
    write_dicom(radiograph, path, f"PHANTOM-{path.stem}", _BODY_PARTS.get(protocol, ""), photometric)
