"""What the layouts share: finding folders and images, reading numbers, and saying what is wrong with them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ...errors import DataError, listed
from ...landmarks import Points
from ...protocol import Protocol
from ..cases import Case
from ..images import IMAGE_SUFFIXES

#: The cases of a layout, and what is suspicious beyond the geometry of their points: id, and why.
Contents: TypeAlias = tuple[list[Case], dict[str, tuple[str, ...]]]


def image_id(name: str) -> str:
    """The id of an image in a folder: its file name without the ending of its format, in upper or lower case.

    >>> image_id("left.hand.NII.GZ"), image_id("A 1.PNG"), image_id("001")
    ('left.hand', 'A 1', '001')
    """
    for suffix in IMAGE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def is_image(path: Path) -> bool:
    """Whether a file counts as an image by its name. Hidden files don't: they may be half-written."""
    return not path.name.startswith(".") and image_id(path.name) != path.name and path.is_file()


def require_folder(root: Path, *names: str, layout: str) -> Path:
    """The folder ``root/names...``.

    Raises:
        DataError: it is not there; says what the layout holds.
    """
    folder = root.joinpath(*names)
    if not folder.is_dir():
        raise DataError(f"{root}: expected the folder {'/'.join(names)} there ({layout})")
    return folder


def images_in(folder: Path) -> dict[str, Path]:
    """Id and file of every image directly in a folder, sorted by id.

    Raises:
        DataError: two files have the same id.
    """
    return by_id(path for path in folder.iterdir() if is_image(path))


def by_id(paths: Iterable[Path]) -> dict[str, Path]:
    """Id and file of images, sorted by id.

    Raises:
        DataError: two files have the same id.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        other = found.setdefault(image_id(path.name), path)
        if other != path:
            raise DataError(f"two images have the id '{image_id(path.name)}': {other} and {path}; keep one of them")
    return dict(sorted(found.items()))


def require_images(labels: Iterable[str], images: Iterable[str], where: Path) -> None:
    """Check that every label has an image.

    Raises:
        DataError: names the labels that have none.
    """
    present = set(images)
    absent = [name for name in labels if name not in present]
    if absent:
        raise DataError(f"{where}: {len(absent)} labels have no image there ({listed(absent, 5)})")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that hold something, without the blanks around them.

    Raises:
        DataError: it is not there, or is not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path}: can't be read as text ({problem})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The rows of a comma-separated file: where it is, for messages, and its fields.

    Raises:
        DataError: it is not there, or is not text.
    """
    number = 0
    try:
        for number, fields in enumerate(csv.reader(read_lines(path), skipinitialspace=True), start=1):
            yield f"{path}, row {number}", [field.strip() for field in fields]
    except csv.Error as problem:
        raise DataError(f"{path}, row {number + 1}: not comma-separated text ({problem})") from None


def numbers(fields: Iterable[str], where: str) -> list[float]:
    """Fields of a text file as numbers; ``nan`` is one: an absent landmark.

    Raises:
        DataError: a field is not a number, or is infinite.
    """
    values = []
    for field in fields:
        try:
            value = float(field)
        except ValueError:
            raise DataError(f"{where}: '{field[:40]}' is not a number") from None
        if math.isinf(value):
            raise DataError(f"{where}: '{field}' is not a coordinate")
        values.append(value)
    return values


def require_count(count: int, protocol: Protocol, where: str, hint: str = "") -> None:
    """Check that there are as many points as the protocol has landmarks.

    Raises:
        DataError: there are more or fewer.
    """
    if count != len(protocol):
        raise DataError(f"{where}: {count} points; expected the {len(protocol)} of {protocol.name}{hint}")


def absent_as_nan(points: Points) -> Points:
    """Points (K, 2) in which a landmark with one coordinate has none."""
    points = np.array(points, dtype=np.float64)
    points[~np.isfinite(points).all(axis=1)] = np.nan
    return points
