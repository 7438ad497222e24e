"""Digital Hand Atlas: radiographs of left hands, 37 landmarks in one table.

::

    all.csv                         a row an image: id,x1,y1,...,x37,y37, in pixels; any name, if it is the only one
    (anywhere below)/ID.jpg         or another format
    cv/set1/{train,test}.txt, ...   ids, one a line: folds of a cross-validation; beside the table, may be absent

The data set gives no spacing. As in the literature (Payer et al., Medical Image Analysis 54, 2019), the width of the
wrist, from point 1 to point 5, is taken as 50 mm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import DataError, listed
from ...landmarks import Points
from ...protocol import Protocol
from ..cases import Case
from .common import (
    Contents,
    absent_as_nan,
    by_id,
    image_id,
    is_image,
    numbers,
    read_lines,
    read_rows,
    require_count,
    require_images,
)

#: Distance of the first point from the fifth, by definition.
WRIST_MM = 50.0

_EXPECTED = "the Digital Hand Atlas has a row id,x1,y1,...,x37,y37 for each image"


def read(root: Path, protocol: Protocol, fold: int | None = None) -> Contents:
    """Read the data set.

    Args:
        root: holds the table, and the images anywhere below.
        fold: number of a cross-validation set, whose lists give the splits ``train`` and ``test``; None: no splits.

    Raises:
        DataError: the table or the fold is missing, a row is not an id and 37 points, or has no image.
    """
    table = _table(root)
    labels = _labels(table, protocol)
    files = by_id(path for path in root.rglob("*") if image_id(path.name) in labels and is_image(path))
    require_images(labels, files, root)
    splits = {} if fold is None else _fold(table.parent, fold, labels)
    cases = [
        Case(name, files[name], points, patient=name, split=splits.get(name, ""), spacing=_spacing(points))
        for name, points in labels.items()
    ]
    return cases, {}


def _table(root: Path) -> Path:
    """``all.csv`` at the top, else the only one below, else the only CSV file of any name."""
    if (root / "all.csv").is_file():
        return root / "all.csv"
    tables = sorted(root.rglob("*.csv"))
    chosen = [path for path in tables if path.name == "all.csv"] or tables
    if len(chosen) != 1:
        names = listed((str(path.relative_to(root)) for path in chosen), 3) or "none"
        raise DataError(f"{root}: expected one table all.csv there, found {len(chosen)} ({names}); {_EXPECTED}")
    return chosen[0]


def _labels(table: Path, protocol: Protocol) -> dict[str, Points]:
    labels: dict[str, Points] = {}
    for index, (where, (name, *fields)) in enumerate(read_rows(table)):
        if index == 0 and fields and not any(_is_number(field) for field in fields):
            continue  # names of the columns
        values = numbers(fields, where)
        if len(values) % 2:
            raise DataError(
                f"{where}: {len(values)} numbers after the id; expected x and y of each point ({_EXPECTED})"
            )
        require_count(len(values) // 2, protocol, where)
        if image_id(name) in labels:
            raise DataError(f"{where}: the id '{name}' is in the table twice")
        labels[image_id(name)] = absent_as_nan(np.reshape(values, (-1, 2)))
    if not labels:
        raise DataError(f"{table}: no rows ({_EXPECTED})")
    return labels


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _spacing(points: Points) -> tuple[float, float] | None:
    """50 mm by the width of the wrist in pixels; None where that can't be measured."""
    width = float(np.hypot(*(points[4] - points[0]))) if len(points) > 4 else 0.0
    return (WRIST_MM / width, WRIST_MM / width) if width > 0 else None  # NaN > 0 is False


def _fold(folder: Path, fold: int, labels: dict[str, Points]) -> dict[str, str]:
    lists = folder / "cv" / f"set{fold}"
    if not lists.is_dir():
        known = sorted(path.name for path in folder.glob("cv/set*"))
        raise DataError(f"{folder}: expected the folder cv/set{fold} there; it has {listed(known) or 'no cv folder'}")
    splits: dict[str, str] = {}
    for split in ("train", "test"):
        names = [image_id(line) for line in read_lines(lists / f"{split}.txt")]
        unknown = [name for name in names if name not in labels]
        if unknown:
            raise DataError(f"{lists / split}.txt: {listed(unknown, 5)}: no such id in the table")
        twice = [name for name in names if splits.get(name, split) != split]
        if twice:
            raise DataError(f"{lists / split}.txt: {listed(twice, 5)} also in train.txt; an image is in one split")
        splits.update(dict.fromkeys(names, split))
    return splits
