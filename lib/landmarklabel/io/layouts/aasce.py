"""AASCE challenge (SpineWeb data set 16): spinal AP radiographs, four corners of 17 vertebrae, three Cobb angles.

Layout of the official download, whose top is ``boostnet_labeldata`` or the folder that holds it::

    data/{training,test}/NAME.jpg
    labels/{training,test}/filenames.csv     a file name a row
    labels/{training,test}/landmarks.csv     in the same order: 68 x / width, then 68 y / height
    labels/{training,test}/angles.csv        in the same order: three Cobb angles in degrees
    labels/{training,test}/NAME.jpg.mat      ``p2``, (68, 2): the points in pixels

The corners of a vertebra are upper left, upper right, lower left, lower right, vertebrae from top to bottom.

Pixel convention, measured on all 481 training images: ``p2`` holds whole numbers, and the rows of landmarks.csv times
the image's size equal it within 0.04 pixels, the rounding to five digits; so there is no shift of half a pixel or of
one between the two. Neither 0 nor width or height occurs (23 is the least x, 4 the least y), and the edges of the
bodies are too soft to show a shift of one pixel, so that nothing tells whether MATLAB counted from 1. They are taken
as they are, as 0-based pixel centres, which is what published results do. No spacing is known.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import scipy.io

from ...errors import DataError, listed
from ...landmarks import Points
from ...protocol import Protocol
from ..cases import Case
from ..headers import read_geometry
from .common import (
    Contents,
    absent_as_nan,
    image_id,
    images_in,
    numbers,
    read_rows,
    require_count,
    require_folder,
    require_images,
)

SPLITS = {"training": "train", "test": "test"}

#: Patients with two names, found by laying all pairs of training images on each other by their landmarks: the same
#: picture, cropped or windowed anew, or (the last two) pictures so alike that they are taken for one patient's.
SAME_PATIENT = {
    "coronal4": "1",
    "coronal8": "5",
    "85": "12",
    "coronal15": "16",
    "coronal9": "35",
    "coronal12": "48",
    "141": "77",
    "153": "78",
    "157": "79",
    "239": "238",
    "coronal10": "coronal3",
    "coronal17": "coronal5",
    "250": "249",
}

#: A row of landmarks.csv and its ``.mat`` file that differ by more than this, in pixels, are not the same label.
MAT_TOLERANCE = 1.5

_EXPECTED = "AASCE holds data/{training,test} and labels/{training,test}"
_AFTER_DATE = re.compile(r"-\d{4}-(?P<patient>coronal\d+|\d+)")


def read(root: Path, protocol: Protocol) -> Contents:
    """Read the data set; one of its two splits may be absent.

    Returns:
        cases whose id is the file name without its suffix; ``extra["cobb_angles"]`` are the three angles, in degrees.
        A label that differs from its ``.mat`` file is suspicious.

    Raises:
        DataError: a folder or an image is missing, or a CSV file has not the rows that it should have.
    """
    root = root / "boostnet_labeldata" if (root / "boostnet_labeldata").is_dir() else root
    labels = require_folder(root, "labels", layout=_EXPECTED)
    require_folder(root, "data", layout=_EXPECTED)
    present = [name for name in SPLITS if (labels / name).is_dir()]
    if not present:
        raise DataError(f"{labels}: expected one of the folders {listed(SPLITS)} there ({_EXPECTED})")
    cases: list[Case] = []
    reasons: dict[str, tuple[str, ...]] = {}
    for name in present:
        found, why = _read_split(root, name, protocol)
        cases.extend(found)
        reasons.update(why)
    return cases, reasons


def patient_of(name: str) -> str:
    """The patient, who is the number after the date in a file's name; the name itself where there is no date.

    >>> patient_of("sunhl-1th-03-Jan-2017-165 A AP.jpg"), patient_of("sunhl-1th-20-Jul-2016-coronal3.jpg")
    ('165', 'coronal3')
    """
    found = _AFTER_DATE.search(name)
    patient = found["patient"] if found else image_id(name)
    return SAME_PATIENT.get(patient, patient)


def _read_split(root: Path, name: str, protocol: Protocol) -> Contents:
    labels = root / "labels" / name
    files = [fields[0] for _, fields in read_rows(labels / "filenames.csv")]
    rows = [_coordinates(fields, where, protocol) for where, fields in read_rows(labels / "landmarks.csv")]
    angles = [tuple(numbers(fields, where)) for where, fields in read_rows(labels / "angles.csv")]
    for kind, count in (("landmarks", len(rows)), ("angles", len(angles))):
        if count != len(files):
            raise DataError(f"{labels}: {kind}.csv has {count} rows, but filenames.csv has {len(files)}")
    folder = require_folder(root, "data", name, layout=_EXPECTED)
    images = {path.name: path for path in images_in(folder).values()}
    require_images(files, images, folder)
    cases: list[Case] = []
    reasons: dict[str, tuple[str, ...]] = {}
    for file, row, cobb in zip(files, rows, angles, strict=True):
        points = row * read_geometry(images[file]).size
        case = Case(image_id(file), images[file], points, patient_of(file), SPLITS[name], extra={"cobb_angles": cobb})
        cases.append(case)
        if why := _disagreement(points, labels / f"{file}.mat"):
            reasons[case.id] = (why,)
    return cases, reasons


def _coordinates(fields: list[str], where: str, protocol: Protocol) -> Points:
    """A row of landmarks.csv as (K, 2) parts of width and height."""
    values = numbers(fields, where)
    if len(values) % 2:
        raise DataError(f"{where}: {len(values)} numbers; expected {len(protocol)} x, then {len(protocol)} y")
    require_count(len(values) // 2, protocol, where)
    return absent_as_nan(np.reshape(values, (2, -1)).T)


def _disagreement(points: Points, path: Path) -> str:
    """How a label differs from its ``.mat`` file; empty if it doesn't, or if there is none."""
    if not path.is_file():
        return ""
    try:
        other = np.asarray(scipy.io.loadmat(path, variable_names=["p2"])["p2"], dtype=np.float64)
    except Exception:  # on a damaged file scipy raises whatever it runs into, UnboundLocalError among others
        return f"{path.name} can't be read"
    if other.shape != points.shape:
        return f"{path.name} holds {other.shape} numbers, not {points.shape}"
    distance = np.hypot(*(points - other).T)
    if not (distance > MAT_TOLERANCE).any():
        return ""
    return f"differs from {path.name} by up to {np.nanmax(distance):.1f} px"
