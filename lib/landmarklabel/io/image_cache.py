"""Images of a far archive, kept on disk up to a bound: the one that was not used for longest goes first."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..files import atomic_path, storage_errors

logger = logging.getLogger(__name__)

_SUFFIX = ".dcm"
_ABANDONED_S = 3600  # a part that nobody has written to for so long is one that was left by a killed process


class ImageCache:
    """Files by UID in a folder. Several processes may share it.

    Args:
        folder: for them alone.
        most_bytes: that they may take in all; the image fetched last stays even if it alone is larger.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._mutex = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        with storage_errors(folder / "image", "images"):
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()

    def path(self, uid: str, fetch: Callable[[Path], None]) -> Path:
        """The file of an image, which is the most recently used now.

        Args:
            fetch: writes it to a path, if it is not there. Of several that want it at once, one fetches.

        Raises:
            StorageError: the disk is full, or the folder can't be written.
        """
        file = self._folder / f"{uid}{_SUFFIX}"
        if self._used(file):
            return file
        with self._alone(uid):
            if not self._used(file):
                with atomic_path(file, f"the image {uid}") as temporary:
                    fetch(temporary)
                self._evict(keep=file)
        return file

    def __contains__(self, uid: str) -> bool:
        return (self._folder / f"{uid}{_SUFFIX}").is_file()

    def bytes(self) -> int:
        """What all files take."""
        return sum(size for _, size, _ in self._entries())

    @contextmanager
    def _alone(self, uid: str) -> Iterator[None]:
        """Keep others from fetching the same image."""
        with self._mutex:
            lock = self._fetching.setdefault(uid, threading.Lock())
        with lock:
            try:
                yield
            finally:
                with self._mutex:
                    self._fetching.pop(uid, None)

    def _used(self, file: Path) -> bool:
        """Note the use of a file, if it is there. When it was written stays: whether it is the same is seen by that."""
        with suppress(FileNotFoundError):
            os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))
            return True
        return False

    def _evict(self, keep: Path) -> None:
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, file in entries:
            if total <= self._most_bytes:
                return
            if file != keep:
                file.unlink(missing_ok=True)
                total -= size
                logger.info("an image of %d bytes left the cache", size)

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Time of last use (ns), size and path of each file."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        found.append((status.st_atime_ns, status.st_size, Path(entry.path)))
        return found

    def _remove_abandoned(self) -> None:
        for part in self._folder.glob(".*.part"):
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink()
