"""Work off the main thread: threads of a queue each, whose results are fetched by whoever polls.

Nothing of Qt or MRML is touched here. A job is a plain function; what comes of it is handed over by
:meth:`Worker.poll`, in the thread that polls.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import Any, Callable

from .contract import ServerError

logger = logging.getLogger(__name__)

Work = Callable[[], Any]
Done = Callable[[Any], None]
Failed = Callable[[ServerError], None]


@dataclass
class Job:
    """A job that is queued, under way or done; its result is dropped once it is cancelled."""

    work: Work
    done: Done | None
    failed: Failed | None
    key: str
    cancelled: bool = False
    result: Any = None
    problem: ServerError | None = None

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self.cancelled = True


@dataclass(order=True)
class _Entry:
    order: int
    job: Job | None = field(compare=False)


class Worker:
    """One thread that does one job after the other.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.PriorityQueue[_Entry] = queue.PriorityQueue()
        self._finished: queue.Queue[Job] = queue.Queue()
        self._count = itertools.count()
        self._latest: dict[str, Job] = {}
        self._pending = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work, done: Done | None = None, failed: Failed | None = None, key: str = "") -> Job:
        """Queue a job.

        Args:
            work: called in the worker's thread; may raise ServerError.
            done: called with its result by :meth:`poll`.
            failed: called by :meth:`poll` with what went wrong.
            key: of all jobs with one key only the newest counts; older ones are cancelled.
        """
        job = Job(work, done, failed, key)
        if key:
            self.cancel(key)
            self._latest[key] = job
        self._pending += 1
        self._queue.put(_Entry(next(self._count), job))
        return job

    def cancel(self, key: str) -> None:
        """Drop the newest job of this key."""
        job = self._latest.pop(key, None)
        if job is not None:
            job.cancel()

    @property
    def busy(self) -> bool:
        """Whether results are still to come."""
        return self._pending > 0

    def waits_for(self, key: str) -> bool:
        """Whether a result of this key is still to come."""
        return key in self._latest

    def poll(self) -> int:
        """Hand over what is done; how many jobs that were. Never waits."""
        handed: list[Job] = []
        while True:
            try:
                handed.append(self._finished.get_nowait())
            except queue.Empty:
                break
        for job in handed:
            self._pending -= 1
            if self._latest.get(job.key) is job:
                del self._latest[job.key]
            if not job.cancelled:
                _hand_over(job)
        return len(handed)

    def stop(self, wait_s: float = 0.0) -> None:
        """End the thread once the job under way is done; queued jobs are dropped."""
        for job in list(self._latest.values()):
            job.cancel()
        self._queue.put(_Entry(-1, None))
        if wait_s:
            self._thread.join(wait_s)

    def finish(self, wait_s: float) -> bool:
        """Do what is queued, then end the thread; whether that was done in time."""
        self._queue.put(_Entry(next(self._count), None))
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            job = self._queue.get().job
            if job is None:
                return
            if not job.cancelled:
                _do(job)
            self._finished.put(job)


def _do(job: Job) -> None:
    try:
        job.result = job.work()
    except ServerError as problem:
        job.problem = problem
    except Exception as problem:
        logger.exception("a job failed")
        job.problem = ServerError("defect", f"This went wrong: {type(problem).__name__}: {problem}")


def _hand_over(job: Job) -> None:
    try:
        if job.problem is None:
            if job.done is not None:
                job.done(job.result)
        elif job.failed is not None:
            job.failed(job.problem)
    except Exception:
        logger.exception("the result of a job could not be used")
