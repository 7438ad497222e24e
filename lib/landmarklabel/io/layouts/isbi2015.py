"""ISBI 2014 and 2015 grand challenge: 400 lateral cephalograms, 19 landmarks by two readers.

Layout of the official download::

    RawImage/TrainingData/001.bmp ... 150.bmp     split "train"
    RawImage/Test1Data/151.bmp ... 300.bmp        split "test1"
    RawImage/Test2Data/301.bmp ... 400.bmp        split "test2"
    AnnotationsByMD/400_senior/001.txt ...        a line "x,y" for each landmark, then the classes, one number a line
    AnnotationsByMD/400_junior/001.txt ...

Images are 1935 x 2400 pixels of 0.1 mm (Wang et al., Medical Image Analysis 31, 2016). Some of the splits may be
absent, and the images may be of any format. The coordinates are whole numbers, taken as 0-based pixel centres, as in
the literature. The ground truth of the literature is the mean of both readers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import DataError, listed
from ...landmarks import Points
from ...protocol import Protocol
from ..cases import Case
from .common import Contents, absent_as_nan, images_in, numbers, read_lines, require_count, require_folder

#: Millimetres a pixel, in x and in y, by the data set's documentation.
SPACING = (0.1, 0.1)

SPLITS = {"TrainingData": "train", "Test1Data": "test1", "Test2Data": "test2"}
READERS = ("mean", "senior", "junior")

#: Images 001 to 300 that show the same picture twice, found by comparing all of them (301 to 400 were not compared).
REPEATED_PAIRS = (
    ("001", "275"), ("007", "293"), ("010", "295"), ("014", "287"), ("028", "296"), ("038", "283"), ("062", "288"),
    ("080", "282"), ("088", "297"), ("103", "201"), ("108", "289"), ("118", "285"), ("123", "276"), ("132", "291"),
    ("137", "292"), ("138", "281"), ("141", "279"), ("144", "173"), ("159", "278"), ("188", "294"), ("196", "277"),
)  # fmt: skip

_EXPECTED = "ISBI 2015 holds RawImage/{TrainingData,Test1Data,Test2Data} and AnnotationsByMD/400_{senior,junior}"
_FIRST_OF_PICTURE = {second: first for first, second in REPEATED_PAIRS}


def read(root: Path, protocol: Protocol, reader: str = "mean") -> Contents:
    """Read the data set.

    Args:
        root: the folder that holds ``RawImage`` and ``AnnotationsByMD``.
        reader: whose points are the label: ``mean`` of both, ``senior`` or ``junior``.

    Returns:
        cases with the id "001", ...; ``extra`` holds what each reader placed, (K, 2), as ``senior`` and ``junior``.
        The patient is the image's number; an image that repeats another one has the number of that.

    Raises:
        DataError: a folder is missing, a label is not 19 lines of two numbers, or one reader's label is missing.
    """
    if reader not in READERS:
        raise DataError(f"reader '{reader}': expected one of {listed(READERS)}")
    raw = require_folder(root, "RawImage", layout=_EXPECTED)
    labels = require_folder(root, "AnnotationsByMD", layout=_EXPECTED)
    present = {name: split for name, split in SPLITS.items() if (raw / name).is_dir()}
    if not present:
        raise DataError(f"{raw}: expected at least one of the folders {listed(SPLITS)} there ({_EXPECTED})")
    for name in READERS[1:] if reader == "mean" else (reader,):
        require_folder(labels, f"400_{name}", layout=_EXPECTED)
    cases = [
        _case(number, path, split, labels, protocol, reader)
        for folder, split in present.items()
        for number, path in images_in(raw / folder).items()
        if number.isdecimal()
    ]
    return cases, {}


def _case(number: str, path: Path, split: str, labels: Path, protocol: Protocol, reader: str) -> Case:
    files = {name: labels / f"400_{name}" / f"{number}.txt" for name in READERS[1:]}
    both = {name: _points(file, protocol) for name, file in files.items() if file.is_file()}
    patient = _FIRST_OF_PICTURE.get(number, number)
    return Case(number, path, _chosen(both, files, reader), patient, split, SPACING, both)


def _chosen(both: dict[str, Points], files: dict[str, Path], reader: str) -> Points | None:
    """The label by ``reader``; None where nobody labelled the image."""
    if not both:
        return None
    needed = READERS[1:] if reader == "mean" else (reader,)
    absent = [name for name in needed if name not in both]
    if absent:
        there = next(iter(both))
        raise DataError(
            f"{files[absent[0]]}: no such file, but the {there} reader's label of that image is there; "
            f"reader='{there}' reads the labels of one reader"
        )
    return np.asarray(np.mean([both[name] for name in needed], axis=0))


def _points(path: Path, protocol: Protocol) -> Points:
    """The points of one reader, (K, 2); what follows them in the file are the classes of the 2015 challenge."""
    lines = read_lines(path)[: len(protocol)]
    require_count(len(lines), protocol, str(path))
    rows = [numbers(line.split(","), f"{path}, line {index}") for index, line in enumerate(lines, start=1)]
    for index, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise DataError(f"{path}, line {index}: '{lines[index - 1][:40]}'; expected x,y")
    return absent_as_nan(np.array(rows))
