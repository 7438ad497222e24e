"""Work that nobody waits for: one thread of low priority, an image at a time, which stops for every click."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import torch

from landmarklabel.errors import RemoteError

logger = logging.getLogger(__name__)

#: By how much lower its priority is, as of Unix: it goes before training, and behind threads that answer.
NICENESS = 10

# After a click the next one is likely: this long nothing begins. After so long of clicks only, one piece is done, so
# that nothing stands still for good.
_QUIET_S, _PATIENCE_S = 1.0, 60.0

# How often to look for something to do where nobody says that there is, and how long to leave what has failed.
_LOOK_S, _AFTER_FAILURE_S = 5.0, 30.0


class Clicks:
    """Knows whether somebody waits for an answer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._serving = 0
        self._last = float("-inf")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Somebody waits while the block lasts."""
        with self._changed:
            self._serving += 1
        try:
            yield
        finally:
            with self._changed:
                self._serving -= 1
                self._last = time.monotonic()
                self._changed.notify_all()

    @property
    def quiet(self) -> bool:
        """Whether nobody waits, and nobody has for a moment."""
        with self._changed:
            return self._left() <= 0

    def _left(self) -> float:
        return float("inf") if self._serving else self._last + _QUIET_S - time.monotonic()

    def wait(self, most: float) -> None:
        """Return when nobody waits, or after ``most`` seconds."""
        end = time.monotonic() + most
        with self._changed:
            while (left := min(self._left(), end - time.monotonic())) > 0:
                self._changed.wait(left)


class Task(Protocol):
    """Work in small pieces."""

    def step(self) -> bool:
        """Do a piece, of about a second at most; False if there is nothing to do.

        Raises:
            RemoteError: it waits for another server.
        """


class Background:
    """Does tasks piece by piece while nobody waits for an answer; of several, the first that has something to do.

    Args:
        clicks: which go first.
        tasks: the more urgent first.
        lowered: whether they yield to others. Threads and processes that they start would, too.
    """

    def __init__(self, clicks: Clicks, tasks: Sequence[Task], lowered: bool = True) -> None:
        self._clicks, self._tasks, self._lowered = clicks, tuple(tasks), lowered
        self._called, self._ended = threading.Event(), threading.Event()
        self._resting: dict[int, float] = {}
        self._thread = threading.Thread(target=self._work, daemon=True, name="background")

    def start(self) -> None:
        """Begin; ends with the process."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End after the piece that is being done."""
        self._ended.set()
        self._called.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def wake(self) -> None:
        """There is something to do, or may be."""
        self._called.set()

    def _work(self) -> None:
        if self._lowered:
            lower_this_thread()
        while not self._ended.is_set():
            self._wait_for_clicks()
            self._called.clear()
            if not any(self._step(number, task) for number, task in enumerate(self._tasks)):
                self._called.wait(_LOOK_S)

    def _wait_for_clicks(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not self._clicks.quiet and time.monotonic() < end and not self._ended.is_set():
            self._clicks.wait(_QUIET_S)

    def _step(self, number: int, task: Task) -> bool:
        if self._ended.is_set() or self._resting.get(number, 0.0) > time.monotonic():
            return False
        try:
            return task.step()
        except RemoteError:  # down for a weekend, it fills no log
            pass
        except Exception:  # whatever it was, the thread goes on
            logger.exception("background work failed; it is tried again in %.0f s", _AFTER_FAILURE_S)
        self._resting[number] = time.monotonic() + _AFTER_FAILURE_S
        return False


def lower_this_thread() -> None:
    """From now on this thread yields to others, and computes in one thread."""
    for_all = torch.get_num_threads()
    torch.set_num_threads(1)
    # PyTorch gives threads that begin later the number that was set last by anyone: that must be theirs, not ours.
    restoring = threading.Thread(target=torch.set_num_threads, args=(for_all,))
    restoring.start()
    restoring.join()
    with suppress(OSError, AttributeError):  # where threads have no priority of their own, the process keeps its own
        if threading.get_native_id() != os.getpid():
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
