"""Writing files so that nobody ever sees half of one, and so that a full disk is said in words."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import StorageError

_OTHER_ERRORS = (
    errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EFBIG, errno.ELOOP, errno.EAGAIN,
)  # fmt: skip

# What SQLite says, which gives Python 3.10 no number.
_OF_SQLITE = {
    "disk is full": errno.ENOSPC,
    "is locked": errno.EAGAIN,
    "readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
}


@contextmanager
def storage_errors(path: Path, what: str = "") -> Iterator[None]:
    """Turn a full disk or a folder without permission into one sentence.

    Args:
        path: the file or folder that is being written.
        what: what is lost if it can't be, for the sentence.
    """
    what = what or path.name
    try:
        yield
    except Exception as problem:
        code = _error_number(problem)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"the disk is full: {what} could not be written to {path.parent}") from problem
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(f"no permission to write {what} to {path.parent}") from problem
        if code == errno.ENOENT:
            raise StorageError(f"there is no folder {path.parent} to write {what} to") from problem
        if code in _OTHER_ERRORS:
            reason = os.strerror(code) if code else str(problem)
            raise StorageError(f"{what} could not be written to {path.parent} ({reason})") from problem
        raise


def _error_number(problem: Exception) -> int | None:
    """The system's number of an error; libraries that are not written in Python give it in their text."""
    if isinstance(problem, OSError):
        return problem.errno
    if isinstance(problem, sqlite3.Error):
        return next((number for said, number in _OF_SQLITE.items() if said in str(problem)), None)
    named = re.search(r"os error (\d+)", str(problem))
    if named:
        return int(named[1])
    return errno.ENOSPC if "No space left on device" in str(problem) else None


def require_place(path: Path) -> None:
    """Check, before long work, that a file can be written there.

    Raises:
        StorageError: its folder is not there or can't be written, or ``path`` is a folder.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder; expected the name of a file to write")
    with storage_errors(path), tempfile.TemporaryFile(dir=path.parent):
        pass


@contextmanager
def atomic_path(path: Path, what: str = "") -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place, durably, when the block ends without an error.

    A link is followed: what it leads to is replaced.

    Raises:
        StorageError: the disk is full, the folder can't be written, or ``path`` is a folder or a device; it is as it
            was.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise StorageError(f"{path} is no file that could be replaced by {what or 'the result'}; name another")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    with storage_errors(path, what):
        try:
            temporary.touch()
            mode = temporary.stat().st_mode  # as the umask says; some writers make their files private
            yield temporary
            temporary.chmod(mode)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes, what: str = "") -> None:
    """Write ``data`` to ``path``: all of it or nothing, and durable once this returns."""
    with atomic_path(path, what) as temporary:
        temporary.write_bytes(data)


@contextmanager
def temporary_file(prefix: str, suffix: str) -> Iterator[Path]:
    """A file to be filled in the block, which stays once that ends without an error: whoever sends it deletes it."""
    with tempfile.NamedTemporaryFile(prefix=prefix, suffix=suffix, delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def to_json(content: Any) -> bytes:
    """JSON of nested dicts, lists, numbers and text; a number that is not finite becomes null: JSON has none."""
    return json.dumps(_finite(content), indent=1, allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Some file systems can't, and say so: then the rename alone must do."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
