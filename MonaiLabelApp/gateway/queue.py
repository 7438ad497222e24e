"""The order in which inference is done that somebody waits for: clicks before whole images, and clients in turn.

A worker is a thread. All but one may be busy with whole images, so that a click finds one that is not. Of what one
client corrects in one image only the newest counts: an older one is given up as soon as a newer comes.

Batches and scores, for which nobody waits, come after all that, outside this queue: in the one thread of
``background.py``, which has a lower priority than these, and begins with no image before they have nothing to do.
"""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from landmarklabel.errors import LandmarkLabelError

logger = logging.getLogger(__name__)


class Lane(IntEnum):
    """What kind of work this is; the lower goes first."""

    CLICK = 0
    IMAGE = 1


class SupersededError(LandmarkLabelError):
    """A newer correction of the same image by the same client has come."""

    http_status = 409


class BusyError(LandmarkLabelError):
    """The server has too much to do.

    Attributes:
        retry_after: seconds after which to ask again.
    """

    http_status = 503

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class GreedyError(BusyError):
    """One client has too much waiting."""

    http_status = 429


@dataclass(eq=False)
class Job:
    """A piece of work that waits, or is being done.

    Attributes:
        work: what is to be done.
        lane, client: by which it is put in order.
        subject: what the newest counts of; None if all count.
        answer: of the work.
        dispose: is given the result if nobody waits any more.
        asked, begun: monotonic seconds.
    """

    work: Callable[[], Any]
    lane: Lane
    client: Hashable
    subject: Hashable | None = None
    dispose: Callable[[Any], None] = lambda result: None
    answer: Future[Any] = field(default_factory=Future)
    asked: float = field(default_factory=time.monotonic)
    begun: float | None = None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def abandon(self) -> None:
        """Nobody waits for the answer any more: it is not worked out, or it is put away."""
        if not self.answer.cancel() and self.answer.exception() is None:
            self.dispose(self.answer.result())


class FairQueue:
    """Does work in a fair order, in threads of its own.

    Args:
        workers: threads, at least two.
        waiting: how many jobs may wait, and half as many of one client.
    """

    def __init__(self, workers: int = 2, waiting: int = 256) -> None:
        self._workers, self._most = max(2, workers), waiting
        self._changed = threading.Condition()
        self._lanes: dict[Lane, OrderedDict[Hashable, deque[Job]]] = {lane: OrderedDict() for lane in Lane}
        self._newest: dict[Hashable, Job] = {}
        self._running: set[Job] = set()
        self._closed = False
        self._mean_s = 1.0
        for number in range(self._workers):
            threading.Thread(target=self._serve, name=f"infer-{number}", daemon=True).start()

    def submit(self, job: Job) -> Future[Any]:
        """Have a job done.

        Returns:
            its answer, which raises what the work raises; SupersededError once a newer one of its subject is here.

        Raises:
            GreedyError: its client has too many waiting.
            BusyError: too many are waiting.
        """
        with self._changed:
            old = self._newest.get(job.subject) if job.subject is not None else None
            if old is None or not self._replace(old, job):
                self._require_room(job)
                self._lanes[job.lane].setdefault(job.client, deque()).append(job)
            if job.subject is not None:
                self._newest[job.subject] = job
            self._changed.notify_all()
        if old is not None:
            _settle(old, error=SupersededError("a newer correction of this image has come; this one is not answered"))
        return job.answer

    def waiting(self) -> dict[Lane, int]:
        """How many jobs wait, by lane."""
        with self._changed:
            return {lane: self._count(lane) for lane in Lane}

    def running(self) -> dict[Lane, int]:
        """How many jobs are being done, by lane."""
        with self._changed:
            counts = Counter(job.lane for job in self._running)
            return {lane: counts[lane] for lane in Lane}

    def close(self) -> None:
        """Let the workers end once they are done with what they do; what waits is refused."""
        with self._changed:
            self._closed = True
            left = [job for lane in self._lanes.values() for jobs in lane.values() for job in jobs]
            for lane in self._lanes.values():
                lane.clear()
            self._changed.notify_all()
        for job in left:
            _settle(job, error=BusyError("the server starts anew; ask again", 5))

    # What follows is called with the lock held.

    def _replace(self, old: Job, new: Job) -> bool:
        """Put a job in the place of one that waits; False if that does not wait any more."""
        jobs = self._lanes[old.lane].get(old.client, deque())
        if old not in jobs or (old.lane, old.client) != (new.lane, new.client):
            return False
        jobs[jobs.index(old)] = new
        return True

    def _require_room(self, job: Job) -> None:
        self._forget_the_cancelled()
        total = sum(self._count(lane) for lane in Lane)
        of_client = sum(len(lane.get(job.client, ())) for lane in self._lanes.values())
        if self._closed or total >= self._most:
            wait = self._retry_after(total)
            raise BusyError(f"the server is busy: {total} requests are waiting; ask again in {wait} s", wait)
        if of_client >= max(1, self._most // 2):
            wait = self._retry_after(of_client)
            raise GreedyError(f"{of_client} of your requests are waiting; ask again in {wait} s", wait)

    def _forget_the_cancelled(self) -> None:
        for lane in self._lanes.values():
            for client, jobs in list(lane.items()):
                for job in [job for job in jobs if job.answer.done()]:
                    jobs.remove(job)
                    self._forget_subject(job)
                if not jobs:
                    del lane[client]

    def _forget_subject(self, job: Job) -> None:
        if job.subject is not None and self._newest.get(job.subject) is job:
            del self._newest[job.subject]

    def _retry_after(self, jobs: int) -> int:
        return min(60, max(1, math.ceil(jobs * self._mean_s / self._workers)))

    def _count(self, lane: Lane) -> int:
        return sum(map(len, self._lanes[lane].values()))

    def _next(self) -> Job | None:
        """Take out the job to be done next; None if there is none, or it has to wait for others."""
        busy = {job.subject for job in self._running if job.subject is not None}
        for lane in Lane:
            if not self._may_begin(lane):
                continue
            for client, jobs in self._lanes[lane].items():
                job = next((job for job in jobs if job.subject not in busy), None)
                if job is None:
                    continue
                jobs.remove(job)
                self._lanes[lane].move_to_end(client)
                if not jobs:
                    del self._lanes[lane][client]
                return job
        return None

    def _may_begin(self, lane: Lane) -> bool:
        whole = sum(job.lane is Lane.IMAGE for job in self._running)
        return lane is Lane.CLICK or whole < self._workers - 1

    # The workers.

    def _serve(self) -> None:
        while (job := self._take()) is not None:
            try:
                if not job.answer.done():
                    job.context.run(_do, job)
            finally:
                self._put_away(job)

    def _take(self) -> Job | None:
        with self._changed:
            while (job := self._next()) is None:
                if self._closed:
                    return None
                self._changed.wait()
            job.begun = time.monotonic()
            self._running.add(job)
            return job

    def _put_away(self, job: Job) -> None:
        assert job.begun is not None
        with self._changed:
            self._running.discard(job)
            self._mean_s += 0.1 * (time.monotonic() - job.begun - self._mean_s)
            self._forget_subject(job)
            self._changed.notify_all()


def _do(job: Job) -> None:
    try:
        result = job.work()
    except BaseException as problem:
        _settle(job, error=problem)
        return
    if not _settle(job, result):
        try:
            job.dispose(result)
        except Exception:
            logger.exception("a result that nobody waits for could not be put away")


def _settle(job: Job, result: Any = None, error: BaseException | None = None) -> bool:
    """Give a job its answer; False if it has one, or nobody waits for it."""
    try:
        if error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(result)
    except InvalidStateError:
        return False
    return True
