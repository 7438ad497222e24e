"""Ages from a CSV file, joined with the landmarks of a data set and with predicted ones.

::

    id,age_months
    0001,132
    0002,97.5

In place of ``id`` a column ``image`` may name the files, in place of ``age_months`` a column ``age_years`` give years.
Other columns are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

import numpy as np

from ..errors import DataError, listed
from ..io.cases import Case, LandmarkDataset
from ..io.headers import read_geometry
from ..io.layouts.common import image_id, read_rows
from ..io.layouts.studies import LABEL_SUFFIX
from ..landmarks import Points
from ..markups import read_markups
from ..protocol import Protocol

#: Landmarks in mm where every image's spacing is known, else in pixels.
Unit = Literal["mm", "px"]

#: Nobody is older: an age beyond it is in another unit, or a slip.
OLDEST_MONTHS = 1440.0

_NAMES = ("id", "image")
_AGES = {"age_months": 1.0, "age_years": 12.0}
_EXPECTED = "expected a first row with the columns id (or image) and age_months (or age_years)"


def read_ages(path: Path) -> dict[str, float]:
    """Id and age in months of each image.

    Raises:
        DataError: the file can't be read, a column is missing, an id is empty or there twice, or an age is not a
            number from 0 to 1440 months; says in which row.
    """
    rows = read_rows(path)
    name, age = _columns(next(rows, (str(path), []))[1], path)
    ages: dict[str, float] = {}
    for where, fields in rows:
        if len(fields) <= max(name.position, age.position):
            raise DataError(f"{where}: {len(fields)} fields; expected one for each column of the first row")
        key = fields[name.position]
        if name.title == "image":
            key = image_id(PurePath(key.replace("\\", "/")).name)
        if not key:
            raise DataError(f"{where}: no {name.title}; expected the name of an image")
        if key in ages:
            raise DataError(f"{where}: '{key}' has an age already; expected one row for each image")
        ages[key] = _months(fields[age.position], age.title, where)
    if not ages:
        raise DataError(f"{path}: no ages; expected a row for each image below the names of the columns")
    return ages


class _Column(NamedTuple):
    title: str
    position: int


def _columns(titles: list[str], path: Path) -> tuple[_Column, _Column]:
    """Those of the id and of the age."""
    titles = [title.lower() for title in titles]
    repeated = sorted({title for title in titles if title in (*_NAMES, *_AGES) and titles.count(title) > 1})
    names, ages = ([title for title in wanted if title in titles] for wanted in (_NAMES, _AGES))
    if not names or not ages:
        missing = "id" if not names else "age_months"
        raise DataError(f"{path}: no column '{missing}' among {listed(titles) or 'none'}; {_EXPECTED}")
    if repeated or len(ages) > 1:
        raise DataError(f"{path}: {listed(repeated or ages)}: one column too many; {_EXPECTED}")
    return _Column(names[0], titles.index(names[0])), _Column(ages[0], titles.index(ages[0]))


def _months(text: str, column: str, where: str) -> float:
    try:
        months = float(text) * _AGES[column]
    except ValueError:
        raise DataError(f"{where}: {column} is '{text[:40]}'; expected a number") from None
    if not (math.isfinite(months) and 0 <= months <= OLDEST_MONTHS):
        most = OLDEST_MONTHS / _AGES[column]
        raise DataError(f"{where}: {column} is {text[:40]}; expected a number from 0 to {most:g}")
    return months


@dataclass(frozen=True, eq=False)
class AgedImage:
    """An image whose age is known, with true landmarks, predicted ones, or both.

    Attributes:
        case: of the data set.
        months: age.
        true, predicted: (K, 2) in the unit of the :class:`AgedData`, NaN absent; None if there are none.
    """

    case: Case
    months: float
    true: Points | None
    predicted: Points | None

    @property
    def sources(self) -> tuple[Points, ...]:
        """The landmarks to train on: predicted and true ones, where they are there."""
        return tuple(points for points in (self.predicted, self.true) if points is not None)

    @property
    def tested(self) -> Points:
        """The landmarks to measure on: those predicted, as in use; the true ones where there are no others."""
        return self.sources[0]


@dataclass(frozen=True, eq=False)
class AgedData:
    """Images with ages.

    Attributes:
        protocol: the anatomy.
        images: with an age and landmarks.
        unit: of the landmarks.
        left_out: id and why, of images whose age is known.
        without_spacing: ids of images because of which the unit is not mm.
    """

    protocol: Protocol
    images: tuple[AgedImage, ...]
    unit: Unit
    left_out: Mapping[str, str] = field(default_factory=dict)
    without_spacing: tuple[str, ...] = ()


def join(ages: Mapping[str, float], dataset: LandmarkDataset, predictions: Path | None = None) -> AgedData:
    """The images of a data set that have an age, with their landmarks.

    Landmarks are in mm if the spacing of every such image is known, in pixels otherwise. Labels that look wrong are
    not used.

    Args:
        ages: in months, by id.
        predictions: a folder of ``ID.mrk.json``, as ``landmarklabel predict`` writes them.

    Raises:
        DataError: an id is not in the data set, no image has both an age and landmarks, or there is no such folder,
            or no prediction of these images in it.
        LabelError: a prediction can't be read.
        ImageError: an image can't be read.
    """
    known = {case.id for case in dataset.cases}
    unknown = [name for name in ages if name not in known]
    if unknown:
        raise DataError(f"{len(unknown)} ids with an age are not in the data ({listed(unknown)}); expected its ids")
    files = _predictions(predictions, ages) if predictions else {}
    trusted = {case.id for case in dataset.trustworthy() if case.has_landmarks}
    left_out: dict[str, str] = {}
    found: list[tuple[AgedImage, tuple[float, float] | None]] = []
    for case in dataset.cases:
        if case.id not in ages:
            continue
        predicted = _read_prediction(files[case.id], case, dataset.protocol) if case.id in files else None
        image = AgedImage(case, ages[case.id], case.points if case.id in trusted else None, predicted)
        if image.sources:
            found.append((image, _spacing(case)))
        else:
            left_out[case.id] = "its label looks wrong" if case.id in dataset.suspicious else "no landmarks"
    if not found:
        raise DataError(f"none of the {len(ages)} images with an age has landmarks that can be used")
    unscaled = tuple(image.case.id for image, spacing in found if spacing is None)
    images = tuple(image if unscaled or spacing is None else _scaled(image, spacing) for image, spacing in found)
    return AgedData(dataset.protocol, images, "px" if unscaled else "mm", left_out, unscaled)


def _predictions(folder: Path, ages: Mapping[str, float]) -> dict[str, Path]:
    """Id and file of the predictions of images with an age."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of ID{LABEL_SUFFIX}, predicted landmarks")
    files = {name: folder / f"{name}{LABEL_SUFFIX}" for name in ages}
    files = {name: path for name, path in files.items() if path.is_file()}
    if not files:
        raise DataError(f"{folder}: no ID{LABEL_SUFFIX} of an image with an age there, such as {next(iter(ages))}")
    return files


def _read_prediction(path: Path, case: Case, protocol: Protocol) -> Points | None:
    points = read_markups(path, protocol, read_geometry(case.image)).points
    return points if np.isfinite(points).any() else None


def _spacing(case: Case) -> tuple[float, float] | None:
    """(sx, sy) in mm a pixel; None if unknown."""
    if case.spacing is not None:
        return case.spacing
    radiograph = case.radiograph()
    return radiograph.spacing if radiograph.spacing_known else None


def _scaled(image: AgedImage, spacing: tuple[float, float]) -> AgedImage:
    true, predicted = (None if points is None else points * spacing for points in (image.true, image.predicted))
    return AgedImage(image.case, image.months, true, predicted)
