"""A MONAI Label studies folder: images at its top, final labels in ``labels/final/ID.mrk.json``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pydicom

from ...errors import DataError, ImageError, LandmarkLabelError
from ...landmarks import Points
from ...markups import read_markups
from ...protocol import Protocol
from ..cases import Case
from ..headers import read_geometry
from ..images import sniff
from .common import Contents, images_in

#: Where MONAI Label keeps the labels that a person has submitted.
FINAL_LABELS = Path("labels") / "final"
LABEL_SUFFIX = ".mrk.json"

#: Whose each image is: an import writes it where a data set knows more than the files, so that no patient is ever both
#: trained and measured on.
PATIENTS = "patients.json"


def read(root: Path, protocol: Protocol) -> Contents:
    """Read the folder. An image without a final label has no points.

    A label that can't be read, one without an image and an image that can't be read stop nothing: they are
    suspicious, with the reader's own sentence, and the case has no points. The patient is what ``patients.json`` says,
    else the DICOM's PatientID, else the id.

    Raises:
        DataError: two images have the same id, or ``patients.json`` is damaged.
    """
    images = images_in(root)
    patients = read_patients(root)
    folder = root / FINAL_LABELS
    if folder.is_dir():
        os.scandir(folder).close()  # says so where it can't be read; glob would find nothing
    labels = {
        path.name[: -len(LABEL_SUFFIX)]: path for path in sorted(folder.glob(f"*{LABEL_SUFFIX}")) if is_label(path)
    }
    reasons: dict[str, tuple[str, ...]] = {}
    cases = []
    for name, path in images.items():
        try:
            points = _points(labels[name], path, protocol) if name in labels else None
            patient = patients.get(name) or _patient(path)
        except LandmarkLabelError as problem:
            points, patient = None, ""
            reasons[name] = (str(problem),)
        cases.append(Case(name, path, points, patient or name))
    for name in labels.keys() - images.keys():
        reasons[name] = (f"{FINAL_LABELS.as_posix()}/{labels[name].name} has no image '{name}' in the folder",)
    return cases, reasons


def read_patients(root: Path) -> dict[str, str]:
    """Whose each image is, by its id, where an import has noted it.

    Raises:
        DataError: the file is damaged.
    """
    path = root / PATIENTS
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise DataError(f"{path}: damaged ({problem}); expected the patient of each image by its id") from None
    if not isinstance(content, dict) or not all(isinstance(patient, str) for patient in content.values()):
        raise DataError(f"{path}: expected the patient of each image by its id, as text")
    return content


def is_label(path: Path) -> bool:
    """Whether a file counts as a label by its name. Hidden files don't: they may be half-written."""
    return path.name.endswith(LABEL_SUFFIX) and not path.name.startswith(".") and path.is_file()


def _points(label: Path, image: Path, protocol: Protocol) -> Points:
    return read_markups(label, protocol, read_geometry(image)).points


def _patient(path: Path) -> str:
    """PatientID of a DICOM file; empty where there is none."""
    if sniff(path) != "DICOM":
        return ""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(header.get("PatientID") or "").strip()
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise ImageError(f"{path.name}: damaged DICOM file ({problem})") from None
