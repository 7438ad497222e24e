"""Making several files durable at once: each by itself would wait for a turn of the disk of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path

from ..files import sync_folder


def write(path: Path, data: bytes) -> tuple[int, int]:
    """Write a file that is not durable yet. Returns its time of change (ns) and its size, which stay."""
    path.write_bytes(data)
    now = time.time_ns()
    os.utime(path, ns=(now, now))  # a file server would set its own time when the data gets there
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def sync(files: Iterable[Path] = (), folders: Iterable[Path] = ()) -> None:
    """Return once files, and the names in folders, are on the disk. What waits together shares the journal's turn."""
    work = [_threads().submit(_sync_file, file) for file in files]
    work += [_threads().submit(sync_folder, folder) for folder in folders]
    wait(work)
    for each in work:
        each.result()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """They only wait; to start some for each save would take longer than the save."""
    return ThreadPoolExecutor(8, "durable")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
