"""What a training run says of itself while it goes, and what is known of one that has gone without a word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from ..errors import LandmarkLabelError

#: In a run's folder.
RECORD = "run.json"

_FULL = 1 << 20


class MemoryShortError(LandmarkLabelError):
    """There is less memory than a run needs."""

    http_status = 507


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn "out of memory", of the computer or of a GPU, into one sentence.

    Raises:
        MemoryShortError: there was too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        text = str(problem).lower()
        gpu = isinstance(problem, torch.OutOfMemoryError)
        short = gpu or isinstance(problem, MemoryError) or "can't allocate memory" in text or "out of memory" in text
        if not short:
            raise
        whose = "the GPU's memory" if gpu else "memory"
        raise MemoryShortError(
            f"{whose} is too small for this run; a smaller batch_size or input needs less"
        ) from problem


def process_mark() -> dict[str, Any]:
    """What tells later whether this process still runs, and why not."""
    process = psutil.Process()
    return {"pid": process.pid, "started": process.create_time(), "oom_kills": _oom_kills()}


def memory_mb() -> int:
    """What this process holds now."""
    return int(psutil.Process().memory_info().rss / 2**20)


def read_record(path: Path) -> dict[str, Any]:
    """The state of a run; empty if there is none, or it is damaged.

    One that says that it is running, and whose process has gone, was stopped from outside: ``reason`` says what is
    known of that.
    """
    try:
        state: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict):
        return {}
    process = state.pop("process", None)
    if state.get("state") == "running" and not is_alive(process):
        state |= _gone(state, process if isinstance(process, dict) else {}, path)
    return state


def is_alive(process: Any) -> bool:
    """Whether a marked process still runs; one that has ended, or another of its number since, does not count."""
    try:
        found = psutil.Process(process["pid"])
        same = abs(found.create_time() - process["started"]) < 1
        return bool(same and found.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, TypeError, KeyError, ValueError):
        return False


def _gone(state: dict[str, Any], process: dict[str, Any], path: Path) -> dict[str, Any]:
    held = f" (it held {state['memory_mb']} MB after its last epoch)" if state.get("memory_mb") else ""
    before, after = process.get("oom_kills"), _oom_kills()
    as_it_was = "the published model is as it was"
    if isinstance(before, int) and after is not None and after > before:
        reason = (
            f"the system ran out of memory and ended a process since this run began, most likely this one{held}; "
            f"a smaller batch_size or input needs less; {as_it_was}"
        )
        return {"state": "failed", "reason": reason}
    reason = f"ended from outside: it was stopped (DELETE /train/), killed, or its server ended; {as_it_was}"
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < _FULL:
            reason = f"ended without a word, and the disk is full; {as_it_was}"
    return {"state": "stopped", "reason": reason}


def _oom_kills() -> int | None:
    """How many processes Linux has ended so far for want of memory, of this computer or container."""
    counts = []
    for file in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"):
        with suppress(OSError, ValueError):
            lines = Path(file).read_text().splitlines()
            counts += [int(line.split()[1]) for line in lines if line.startswith("oom_kill ")]
    return sum(counts) if counts else None


def give_way(threads: int, niceness: int = 15) -> None:
    """From now on this process computes in so many threads, and yields to others.

    Args:
        threads: for PyTorch, and for reading images; at least 1.
        niceness: as of Unix: how much lower its priority is; by default lower than that of a server's other work in the
            background.
    """
    torch.set_num_threads(threads)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of processes that it starts
        os.environ[variable] = str(threads)
    with suppress(OSError, AttributeError):
        os.nice(max(0, niceness - os.nice(0)))
