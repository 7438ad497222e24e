"""A MONAI Label studies folder: images at its top, final labels in ``labels/final/ID.mrk.json``.

Final label images lie beside them, in ``labels/final_segmentation``: MONAI Label has one file of each image a folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pydicom

from ...errors import DataError, ImageError, LabelError, LandmarkLabelError, listed
from ...landmarks import Points
from ...markups import read_markups
from ...protocol import Protocol
from ..cases import Case, read_structures
from ..headers import read_geometry
from ..images import sniff
from .common import Contents, images_in

#: Where MONAI Label keeps the labels that a person has submitted.
FINAL_LABELS = Path("labels") / "final"
LABEL_SUFFIX = ".mrk.json"

#: What the tag of a label image ends with; the rest is that of the landmarks beside it.
SEGMENTATION_TAG = "_segmentation"
FINAL_SEGMENTATIONS = Path("labels") / f"final{SEGMENTATION_TAG}"
SEGMENTATION_SUFFIXES = (".seg.nrrd", ".nrrd", ".nii.gz")

#: Whose each image is: an import writes it where a data set knows more than the files, so that no patient is ever both
#: trained and measured on.
PATIENTS = "patients.json"


def read(root: Path, protocol: Protocol) -> Contents:
    """Read the folder. An image without a final label has no points, one without a final label image no segmentation.

    A label or label image that can't be read, one without an image and an image that can't be read stop nothing: they
    are suspicious, with the reader's own sentence, and the case is without. The patient is what ``patients.json`` says,
    else the DICOM's PatientID, else the id.

    Raises:
        DataError: two images have the same id, or ``patients.json`` is damaged.
    """
    images = images_in(root)
    patients = read_patients(root)
    labels = _by_image(root / FINAL_LABELS, label_suffix)
    segmentations = _by_image(root / FINAL_SEGMENTATIONS, segmentation_suffix)
    reasons: dict[str, tuple[str, ...]] = {}
    cases = []
    for name, path in images.items():
        case, why = _case(name, path, labels.get(name, ()), segmentations.get(name, ()), patients, protocol)
        cases.append(case)
        if why:
            reasons[name] = tuple(dict.fromkeys(why))
    for folder, found in ((FINAL_LABELS, labels), (FINAL_SEGMENTATIONS, segmentations)):
        for name in found.keys() - images.keys():
            where = f"{folder.as_posix()}/{found[name][0].name}"
            reasons[name] = (*reasons.get(name, ()), f"{where} has no image '{name}' in the folder")
    return cases, reasons


def _case(
    name: str,
    image: Path,
    labels: Sequence[Path],
    segmentations: Sequence[Path],
    patients: Mapping[str, str],
    protocol: Protocol,
) -> tuple[Case, list[str]]:
    """One image with what can be read of its labels, and what is wrong with the rest."""
    points, segmentation, patient, why = None, None, "", []
    try:
        points = _points(labels[0], image, protocol) if labels else None
        patient = patients.get(name) or _patient(image)
    except LandmarkLabelError as problem:
        points = None
        why.append(str(problem))
    try:
        segmentation = _segmentation(segmentations, image, protocol) if segmentations else None
    except LandmarkLabelError as problem:
        why.append(str(problem))
    return Case(name, image, points, patient or name, segmentation=segmentation), why


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


def label_suffix(name: str) -> str:
    """The ending of a label's file; "" if by its name it is none. Hidden files are none: they may be half-written."""
    return _suffix(name, (LABEL_SUFFIX,))


def segmentation_suffix(name: str) -> str:
    """The same of a label image's file.

    >>> segmentation_suffix("a.1.seg.nrrd"), segmentation_suffix("a.nrrd"), segmentation_suffix("a.png")
    ('.seg.nrrd', '.nrrd', '')
    """
    return _suffix(name, SEGMENTATION_SUFFIXES)


def _suffix(name: str, suffixes: Sequence[str]) -> str:
    fits = (suffix for suffix in suffixes if name.endswith(suffix))
    return "" if name.startswith(".") else next(fits, "")


def labels_in(folder: Path, suffix_of: Callable[[str], str]) -> dict[str, list[str]]:
    """Ids of images, and the endings of the files that label them there, both sorted.

    Args:
        suffix_of: :func:`label_suffix` or :func:`segmentation_suffix`.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if (suffix := suffix_of(path.name)) and path.is_file():
            found.setdefault(path.name[: -len(suffix)], []).append(suffix)
    return found


def _by_image(folder: Path, suffix_of: Callable[[str], str]) -> dict[str, list[Path]]:
    found = labels_in(folder, suffix_of) if folder.is_dir() else {}
    return {name: [folder / f"{name}{suffix}" for suffix in suffixes] for name, suffixes in found.items()}


def _points(label: Path, image: Path, protocol: Protocol) -> Points:
    return read_markups(label, protocol, read_geometry(image)).points


def _segmentation(files: Sequence[Path], image: Path, protocol: Protocol) -> Path:
    """The label image, once it has been read."""
    if len(files) > 1:
        raise LabelError(f"{listed(file.name for file in files)}: more than one label image; keep one of them")
    read_structures(files[0], protocol, read_geometry(image))
    return files[0]


def _patient(path: Path) -> str:
    """PatientID of a DICOM file; empty where there is none."""
    if sniff(path) != "DICOM":
        return ""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(header.get("PatientID") or "").strip()
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise ImageError(f"{path.name}: damaged DICOM file ({problem})") from None
