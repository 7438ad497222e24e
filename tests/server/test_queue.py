"""The order of inference: clicks first, clients in turn, only the newest correction, and no more than there is room."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from gateway.queue import BusyError, FairQueue, GreedyError, Job, Lane, SupersededError

SOON = 20


class Held:
    """A queue whose workers are all held up by jobs that wait for :meth:`release`."""

    def __init__(self, workers: int = 2, waiting: int = 100) -> None:
        self.queue, self.order = FairQueue(workers, waiting), list[Any]()
        self._gates = [threading.Event() for _ in range(workers)]
        begun = [threading.Event() for _ in range(workers)]
        holders = map(holder, begun, self._gates)
        self._held = [self.queue.submit(Job(work, Lane.CLICK, "holder")) for work in holders]
        for event in begun:
            assert event.wait(SOON)

    def job(self, name: Any, lane: Lane = Lane.CLICK, client: str = "a", subject: Any = None) -> Job:
        return Job(lambda: self.order.append(name), lane, client, subject)

    def release_one(self) -> None:
        self._gates[0].set()

    def release(self) -> None:
        for gate in self._gates:
            gate.set()
        for held in self._held:
            held.result(SOON)


def holder(begun: threading.Event, gate: threading.Event) -> Callable[[], None]:
    def work() -> None:
        begun.set()
        gate.wait(SOON)

    return work


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.release()
    made.queue.close()


def one_by_one(jobs: list[tuple[Any, Lane, str]]) -> list[Any]:
    """In which order they are done by one worker, when they have all come and the other worker is busy for good."""
    held = Held(workers=3)  # one is freed; of the two others one stays, so that whole images may begin
    answers = [held.queue.submit(held.job(*job)) for job in jobs]
    held.release_one()
    for answer in answers:
        answer.result(SOON)
    held.release()
    held.queue.close()
    return held.order


@given(st.lists(st.tuples(st.sampled_from([Lane.CLICK, Lane.IMAGE]), st.sampled_from("abc")), max_size=20))
def test_lanes_in_order_and_clients_in_turn(asked: list[tuple[Lane, str]]) -> None:
    """Within a lane, nobody is served for the n-th time before everybody who asked so often was for the n-1st."""
    jobs = [((lane, client, number), lane, client) for number, (lane, client) in enumerate(asked)]
    order = one_by_one(jobs)
    assert sorted(order) == sorted(name for name, *_ in jobs)
    assert [lane for lane, *_ in order] == sorted(lane for lane, *_ in order)
    for lane in (Lane.CLICK, Lane.IMAGE):
        served = [(client, number) for each, client, number in order if each is lane]
        for client in "abc":
            mine = [number for who, number in served if who == client]
            assert mine == sorted(mine)
        turns = [sum(who == client for who, _ in served[:at]) for at, (client, _) in enumerate(served)]
        assert turns == sorted(turns)


def test_a_click_finds_a_worker_that_whole_images_leave_free() -> None:
    queue, gate, begun = FairQueue(2), threading.Event(), threading.Event()
    images = [queue.submit(Job(lambda: (begun.set(), gate.wait(SOON)), Lane.IMAGE, "a")) for _ in range(3)]
    assert begun.wait(SOON)
    assert queue.submit(Job(lambda: "clicked", Lane.CLICK, "c")).result(SOON) == "clicked"
    assert queue.running()[Lane.IMAGE] == 1
    gate.set()
    for answer in images:
        answer.result(SOON)
    queue.close()


def test_only_the_newest_correction_is_answered(held: Held) -> None:
    old = [held.queue.submit(held.job(number, subject="image")) for number in range(5)]
    other = held.queue.submit(held.job("other", subject="another image"))
    newest = held.queue.submit(held.job("newest", subject="image"))
    for answer in old:
        with pytest.raises(SupersededError, match="a newer correction of this image has come"):
            answer.result(SOON)
    held.release()
    newest.result(SOON), other.result(SOON)
    assert sorted(held.order) == ["newest", "other"]


def test_one_that_is_being_done_is_given_up_and_its_result_put_away() -> None:
    """And the newer one begins only when it is done: two of one session at once would spoil each other."""
    queue, gate, begun, order = FairQueue(2), threading.Event(), threading.Event(), list[str]()

    def slow() -> str:
        begun.set()
        gate.wait(SOON)
        order.append("old")
        return "result"

    put_away: list[str] = []
    old = queue.submit(Job(slow, Lane.CLICK, "a", "image", dispose=put_away.append))
    assert begun.wait(SOON)
    new = queue.submit(Job(lambda: order.append("new"), Lane.CLICK, "a", "image"))
    with pytest.raises(SupersededError):
        old.result(SOON)
    assert queue.submit(Job(lambda: "another", Lane.CLICK, "a", "other image")).result(SOON) == "another"
    gate.set()
    new.result(SOON)
    assert (order, put_away) == (["old", "new"], ["result"])
    queue.close()


def test_what_nobody_waits_for_is_not_done(held: Held) -> None:
    gone = held.job("gone")
    held.queue.submit(gone)
    gone.abandon()
    last = held.queue.submit(held.job("last"))
    held.release()
    last.result(SOON)
    assert held.order == ["last"]


def test_an_answer_that_comes_when_nobody_waits_is_put_away() -> None:
    queue, put_away = FairQueue(), list[str]()
    job = Job(lambda: "result", Lane.CLICK, "a", dispose=put_away.append)
    assert queue.submit(job).result(SOON) == "result"
    job.abandon()
    assert put_away == ["result"]
    queue.close()


def test_a_full_queue_says_when_to_ask_again() -> None:
    held = Held(waiting=4)
    for _ in range(2):
        held.queue.submit(held.job(0, client="greedy"))
    with pytest.raises(GreedyError, match=r"2 of your requests are waiting; ask again in \d+ s") as greedy:
        held.queue.submit(held.job(0, client="greedy"))
    held.queue.submit(held.job(0, client="b"))
    cancelled = held.queue.submit(held.job(0, client="c"))
    with pytest.raises(BusyError, match=r"the server is busy: 4 requests are waiting; ask again in \d+ s") as busy:
        held.queue.submit(held.job(0, client="d"))
    assert (greedy.value.http_status, busy.value.http_status) == (429, 503)
    assert 1 <= busy.value.retry_after <= 60
    cancelled.cancel()
    held.queue.submit(held.job(0, client="d"))
    held.release()
    held.queue.close()


def test_errors_reach_who_asked() -> None:
    queue = FairQueue()

    def fail() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        queue.submit(Job(fail, Lane.CLICK, "a")).result(SOON)
    assert queue.submit(Job(lambda: 3, Lane.CLICK, "a")).result(SOON) == 3
    queue.close()
    with pytest.raises(BusyError):
        queue.submit(Job(lambda: 3, Lane.CLICK, "a"))
