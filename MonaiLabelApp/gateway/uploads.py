"""Files that come with a request: put down where the server alone decides, under a name of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from landmarklabel.errors import ImageError
from landmarklabel.files import storage_errors
from landmarklabel.io.images import sniff

# Of the name that a client gave, only an ending counts, and only one that looks like one.
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}$")


class PutDown(type(Path())):  # type: ignore[misc]
    """The path of a file that the server itself has put down; what a client sends is never one."""


@contextmanager
def put_down(file: BinaryIO, ending: str) -> Iterator[Path]:
    """A temporary file with what was sent, for as long as the block lasts.

    Raises:
        StorageError: the disk is full.
    """
    with tempfile.NamedTemporaryFile(prefix="received_", suffix=ending) as target:
        with storage_errors(Path(target.name), "the file sent"):
            file.seek(0)
            shutil.copyfileobj(file, target)
            target.flush()
        yield PutDown(target.name)


def base_name(name: str | None) -> str:
    """The name that a client gave its file, without folders of any system."""
    return PurePosixPath((name or "").replace("\\", "/")).name


def ending_of(name: str | None) -> str:
    """The ending of a file's name, as two parts (``.nii.gz``) or one; "" if it has none."""
    found = _ENDING.search(base_name(name))
    return found[0] if found else ""


@contextmanager
def called(path: Path, name: str) -> Iterator[None]:
    """Name the file in errors as its sender knows it."""
    try:
        yield
    except ImageError as problem:
        raise type(problem)(str(problem).replace(str(path), name).replace(path.name, name)) from None


def require_image(path: Path, name: str) -> str:
    """The format of an image, by its content.

    Args:
        name: of the file, in a sentence.

    Raises:
        FormatError: it is of none that is read.
        ImageError: it is empty.
    """
    with called(path, name):
        return sniff(path)
