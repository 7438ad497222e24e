"""A published data set into a MONAI Label studies folder: its images, and its labels as final ones."""

from __future__ import annotations

import filecmp
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError, ImageError, LabelError
from ..files import atomic_path, atomic_write, storage_errors, to_json
from ..landmarks import LandmarkSet, Points, Status
from ..markups import read_markups, write_markups
from ..protocol import Protocol
from ..radiograph import Geometry, Radiograph
from .cases import Case, LandmarkDataset
from .headers import read_geometry
from .images import read_radiograph
from .layouts.common import image_id, images_in
from .layouts.studies import FINAL_LABELS, LABEL_SUFFIX, PATIENTS, read_patients
from .writing import write_nrrd

#: Two labels whose points differ by less than this, in pixels, are the same.
SAME_POINT = 1e-3

#: Two spacings that differ by less than this part of them are the same; what DICOM is written here has six digits.
SAME_SPACING = 1e-5

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_LONGEST_ID = 200


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        images: number of images that were written.
        labels: number of final labels that were written.
        present: number of images and labels that were there already, the same.
        unlabelled: ids of the images for which the data set has no label.
        left_out: ids of the images whose label was left out as suspicious, and why it is.
    """

    images: int = 0
    labels: int = 0
    present: int = 0
    unlabelled: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.images} images and {self.labels} final labels imported, {self.present} were there already"
        if self.unlabelled:
            text += f"; {len(self.unlabelled)} images have no label"
        if self.left_out:
            text += f"; {len(self.left_out)} suspicious labels left out"
        return text


def import_dataset(
    dataset: LandmarkDataset,
    studies: Path,
    split: str | None = None,
    include_suspicious: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> ImportReport:
    """Put images and final labels of a data set into a studies folder.

    An image is copied as it is, unless the data set documents a spacing that the file does not carry: then it is
    written as NRRD with that spacing, so that millimetres are right in every program. What is there and the same is
    left alone, so that an interrupted import can be run again; nothing is ever seen half-written.

    Args:
        studies: made if it is not there.
        split: one of the layout's own splits; None: everything.
        include_suspicious: write suspicious labels too; without, their images are imported unlabelled.
        progress: called with the numbers of images done and in all.

    Raises:
        DataError: an id can't be a file name, there is no such split, or another image or final label of an id is
            there already, which is never overwritten.
        StorageError: the disk is full, or the folder can't be written.
    """
    cases = (dataset.split(split) if split is not None else dataset).cases
    for case in cases:
        require_safe_id(case.id)
    _make_folders(studies)
    _note_patients(cases, studies)
    there = images_in(studies)
    written = {"images": 0, "labels": 0}
    present, unlabelled, left_out = 0, [], {}
    for number, case in enumerate(cases, start=1):
        image, is_new = _put_image(case, studies, there.get(case.id))
        written["images"] += is_new
        present += not is_new
        if case.id in dataset.suspicious and not (include_suspicious and case.points is not None):
            left_out[case.id] = dataset.suspicious[case.id]
        elif case.points is None:
            unlabelled.append(case.id)
        else:
            is_new = _put_label(case.id, case.points, dataset.protocol, image, studies)
            written["labels"] += is_new
            present += not is_new
        if progress:
            progress(number, len(cases))
    return ImportReport(**written, present=present, unlabelled=tuple(unlabelled), left_out=left_out)


def require_safe_id(case_id: str) -> None:
    """Check that an id can be a file name everywhere.

    Raises:
        DataError: it is empty, too long, hidden, or has a character that some system does not allow.
    """
    plain = case_id and case_id == case_id.strip() and not case_id.startswith(".") and not case_id.endswith(".")
    if not plain or _FORBIDDEN.search(case_id) or len(case_id.encode()) > _LONGEST_ID:
        raise DataError(
            f"the id '{case_id[:60]}' can't be a file name; expected 1 to {_LONGEST_ID} letters, digits, blanks, . _ - "
            "and the like, without a dot or blank at its ends"
        )


def _make_folders(studies: Path) -> None:
    if studies.exists() and not studies.is_dir():
        raise DataError(f"{studies} is a file; expected a folder for the studies")
    folder = studies / FINAL_LABELS
    with storage_errors(folder, "the studies folder"):
        folder.mkdir(parents=True, exist_ok=True)


def _note_patients(cases: Sequence[Case], studies: Path) -> None:
    """Keep whose each image is, beside what earlier imports have noted; before any label is there to be trained on."""
    patients = {case.id: case.patient for case in cases if case.patient not in ("", case.id)}
    if patients:
        atomic_write(studies / PATIENTS, to_json({**read_patients(studies), **patients}))


def _put_image(case: Case, studies: Path, existing: Path | None) -> tuple[Path, bool]:
    """The image in the studies folder, and whether it was written now.

    Raises:
        DataError: another image of that id is there.
    """
    radiograph = _with_missing_spacing(case)
    suffix = ".nrrd" if radiograph else case.image.name[len(image_id(case.image.name)) :].lower()
    target = studies / f"{case.id}{suffix}"
    if existing is not None:
        if radiograph:
            require_same_image(radiograph, existing)
        elif not filecmp.cmp(case.image, existing, shallow=False):
            raise _another_image(existing)
        return existing, False
    if radiograph:
        write_nrrd(radiograph, target)
    else:
        with atomic_path(target) as temporary:
            shutil.copyfile(case.image, temporary)
    return target, True


def _with_missing_spacing(case: Case) -> Radiograph | None:
    """The image with its documented spacing, if its file does not give that spacing itself; else None."""
    if case.spacing is None:
        return None
    stored = read_radiograph(case.image)
    carried = stored.spacing_known and np.allclose([stored.spacing, stored.geometry.spacing], case.spacing, rtol=1e-4)
    return None if carried else case.radiograph()


def require_same_image(radiograph: Radiograph, path: Path) -> None:
    """Check that an image that is there shows the same in the same place.

    Raises:
        DataError: it is another one, or none; it is not to be overwritten.
    """
    try:
        stored = read_radiograph(path)
    except ImageError:
        raise _another_image(path) from None
    same_place = np.allclose(stored.geometry.spacing, radiograph.geometry.spacing, rtol=SAME_SPACING)
    if not (same_place and np.array_equal(stored.pixels, radiograph.pixels)):
        raise _another_image(path)


def _another_image(path: Path) -> DataError:
    return DataError(
        f"{path}: another image with the id '{image_id(path.name)}' is there already; it is not overwritten"
    )


def _put_label(case_id: str, points: Points, protocol: Protocol, image: Path, studies: Path) -> bool:
    """Write the final label, placed by the geometry of the stored image; whether it was written now.

    Raises:
        DataError: another final label is there.
    """
    path = studies / FINAL_LABELS / f"{case_id}{LABEL_SUFFIX}"
    geometry = read_geometry(image)
    landmarks = LandmarkSet.from_points(protocol, points, Status.CONFIRMED)
    if not path.exists():
        write_markups(landmarks, geometry, path)
        return True
    require_same_label(landmarks, geometry, path)
    return False


def require_same_label(landmarks: LandmarkSet, geometry: Geometry, path: Path) -> None:
    """Check that a final label that is there has the same points.

    Args:
        geometry: of the image.

    Raises:
        DataError: it has others, or can't be read; it is not to be overwritten.
    """
    try:
        existing = read_markups(path, landmarks.protocol, geometry).points
    except LabelError as problem:
        raise DataError(f"{path}: a final label is there already; it is not overwritten ({problem})") from None
    if not np.allclose(existing, landmarks.points, rtol=0, atol=SAME_POINT, equal_nan=True):
        raise DataError(
            f"{path}: a different final label is there already; it is not overwritten (remove it, or name another "
            "folder)"
        )
