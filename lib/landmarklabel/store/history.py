"""The history of an image's labels, as files: for each version a record, and its content as it was sent.

A version is there once its record is; content without one is what a process left that died, and is written over.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import NotFoundError, StorageError
from ..files import atomic_write, storage_errors
from . import durable
from .versions import Version

logger = logging.getLogger(__name__)

_RECORD = re.compile(r"(.+)\.(\d{6,})\.json")

#: Under this tag, which no label can have, lies what is known of the image itself, and those that were deleted.
IMAGE = "@image"

_DELETED_IMAGE = re.compile(rf"{IMAGE}\.(\d{{6,}})\.(?!json$).+")


class History:
    """Of one image.

    Args:
        folder: of its versions, which may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # Reading ------------------------------------------------------------------------------------------------

    def numbers(self) -> dict[str, list[int]]:
        """The versions that there are, by tag, in order."""
        found: dict[str, list[int]] = {}
        for name in self._names():
            if match := _RECORD.fullmatch(name):
                found.setdefault(match[1], []).append(int(match[2]))
        return {tag: sorted(numbers) for tag, numbers in found.items()}

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.folder) as entries:
                return [entry.name for entry in entries]
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return []
            raise

    def versions(self, tag: str) -> list[Version]:
        """Those of a tag, in order. A record that is damaged is left out, and said in the log."""
        found = []
        for number in self.numbers().get(tag, []):
            with suppress(NotFoundError):
                found.append(self.version(tag, number))
        return found

    def version(self, tag: str, number: int) -> Version:
        """One version.

        Raises:
            NotFoundError: there is none, or its record is damaged.
        """
        known, path = self.numbers().get(tag, []), self._record(tag, number)
        if number not in known:  # and a tag that is no file's name leads nowhere
            raise NotFoundError(
                f"there is no version {number} of the label '{tag}' of {self.folder.name}; there are "
                f"{', '.join(map(str, known)) or 'none'}"
            )
        try:
            return Version.from_json(path.read_bytes())
        except (OSError, ValueError) as problem:
            logger.error(
                "version %d of a label '%s' is damaged (%s): landmarklabel labels check says which",
                number, tag, type(problem).__name__,
            )  # fmt: skip
            raise NotFoundError(f"the record {path.name} of {self.folder.name} is damaged ({problem})") from None

    def content(self, tag: str, version: Version) -> bytes:
        """What a version holds.

        Raises:
            NotFoundError: it is a tombstone.
            StorageError: the file is gone, or is not what was saved.
        """
        if not version.has_content:
            raise NotFoundError(f"version {version.number} of '{tag}' of {self.folder.name} says that it was deleted")
        path = self.path(tag, version)
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise StorageError(f"{path} can't be read ({problem.strerror})") from None
        if digest(data) != version.sha256:
            raise StorageError(f"{path} is not what was saved (its checksum differs); put it back from a backup")
        return data

    def path(self, tag: str, version: Version) -> Path:
        """Of a version's content."""
        return self.folder / f"{tag}.{version.number:06d}{version.suffix}"

    def deleted_images(self) -> list[int]:
        """Numbers of the images of this id that were deleted and lie here, in order."""
        return sorted(int(match[1]) for match in map(_DELETED_IMAGE.fullmatch, self._names()) if match)

    def deleted_image(self) -> tuple[int, Path] | None:
        """The one that was deleted last: its number and file."""
        found = [(int(match[1]), match.string) for match in map(_DELETED_IMAGE.fullmatch, self._names()) if match]
        return (max(found)[0], self.folder / max(found)[1]) if found else None

    # Writing: the caller holds the lock, and makes durable what is not said to be ---------------------------

    def next_number(self, tag: str) -> int:
        return max(self.numbers().get(tag, [0])) + 1

    def write(self, tag: str, version: Version, data: bytes = b"", label: Path | None = None) -> None:
        """Add a version; what has been added counts at once, and its name is not durable yet.

        Args:
            data: its content, if it has any.
            label: a file that becomes durable with it.
        """
        self.folder.mkdir(exist_ok=True)
        record = self.folder / f".{tag}.saving"
        durable.write(record, version.to_json())
        files = [record] if label is None else [record, label]
        if version.has_content:
            durable.write(self.path(tag, version), data)
            files.append(self.path(tag, version))
        durable.sync(files)
        record.replace(self._record(tag, version.number))

    def drop(self, tag: str, version: Version) -> None:
        """Take a version back, as far as it has been written."""
        (self.folder / f".{tag}.saving").unlink(missing_ok=True)
        self.drop_record(tag, version.number)
        if version.has_content:
            self.path(tag, version).unlink(missing_ok=True)

    def drop_record(self, tag: str, number: int) -> None:
        """Take a version's record back."""
        self._record(tag, number).unlink(missing_ok=True)

    def rewrite(self, tag: str, version: Version) -> None:
        """Replace a record, durably."""
        atomic_write(self._record(tag, version.number), version.to_json(), f"what is known of {self.folder.name}")

    def prune(self, tag: str, keep: int) -> None:
        """Drop all but the last versions of a tag."""
        for number in self.numbers().get(tag, [])[:-keep]:
            with suppress(NotFoundError):
                self.drop(tag, self.version(tag, number))

    def _record(self, tag: str, number: int) -> Path:
        return self.folder / f"{tag}.{number:06d}.json"

    # What is noted of the image -----------------------------------------------------------------------------

    def image_info(self) -> dict[str, Any] | None:
        """What is noted of the image; None if nothing is."""
        try:
            content = json.loads((self.folder / f"{IMAGE}.json").read_bytes())
        except OSError:
            return None
        except ValueError as problem:
            logger.error("what is noted of an image is damaged (%s)", type(problem).__name__)
            return None
        return content if isinstance(content, dict) else None

    def note_image(self, info: dict[str, Any]) -> None:
        """Note something of the image, durably."""
        path = self.folder / f"{IMAGE}.json"
        with storage_errors(path, f"what is known of {self.folder.name}"):
            self.folder.mkdir(exist_ok=True)
        atomic_write(path, json.dumps(info).encode(), f"what is known of {self.folder.name}")

    def forget_image(self) -> None:
        """Take back what is noted of the image."""
        (self.folder / f"{IMAGE}.json").unlink(missing_ok=True)


def digest(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()
