"""Work in the background stops for clicks, takes one thread of low priority, and outlives its own failures."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from landmarklabel.errors import RemoteError
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

import background as module
from background import NICENESS, Background, Clicks
from gateway.queue import FairQueue, Job, Lane


class Counting:
    """A task with so many pieces."""

    def __init__(self, pieces: int, clicks: Clicks | None = None) -> None:
        self.left, self.done, self.clicks = pieces, threading.Event(), clicks
        self.disturbed = 0
        self.seen: tuple[int, int] = (0, 0)

    def step(self) -> bool:
        if self.clicks is not None and not self.clicks.quiet:
            self.disturbed += 1
        self.seen = torch.get_num_threads(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.left -= 1
        if self.left <= 0:
            self.done.set()
        return self.left > 0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next click is waited for no longer than these tests need."""
    monkeypatch.setattr(module, "_QUIET_S", 0.2)


@contextmanager
def running(background: Background) -> Iterator[Background]:
    background.start()
    try:
        yield background
    finally:
        background.stop()


def test_nothing_is_done_while_somebody_waits() -> None:
    clicks = Clicks()
    task = Counting(5, clicks)
    with clicks.serving(), running(Background(clicks, [task])) as background:
        background.wake()
        assert not task.done.wait(0.3)
        assert task.left == 5
    clicks = Clicks()
    task = Counting(5, clicks)
    with running(Background(clicks, [task])):
        with clicks.serving():
            pass
        assert task.done.wait(20)
    assert task.disturbed == 0


def test_a_click_waits_for_no_image_of_a_batch_and_the_next_image_waits_for_it() -> None:
    """The click is answered while an image is being looked at, which can't end before; the other begins after it."""
    clicks, queue, order = Clicks(), FairQueue(2), list[str]()
    begun, clicked, done = threading.Event(), threading.Event(), threading.Event()

    class Batch:
        def step(self) -> bool:
            if "second image" in order:
                return False
            if begun.is_set():
                order.append("second image")
                return True
            begun.set()
            assert clicked.wait(20)
            order.append("first image")
            done.set()
            return True

    def click() -> None:
        with clicks.serving():
            order.append("click")
            clicked.set()
            assert done.wait(20)
            time.sleep(0.1)  # a chance for what must not begin
            order.append("answer")

    with running(Background(clicks, [Batch()])):
        assert begun.wait(20)
        queue.submit(Job(click, Lane.CLICK, "reader")).result(20)
        deadline = time.monotonic() + 20
        while "second image" not in order and time.monotonic() < deadline:
            time.sleep(0.01)
    queue.close()
    assert order == ["click", "first image", "answer", "second image"]


def test_even_clicks_without_end_do_not_stop_it_for_good() -> None:
    clicks = Clicks()
    with clicks.serving():
        assert not clicks.quiet
        clicks.wait(most=0.05)  # returns


def test_it_takes_one_thread_of_low_priority_and_leaves_others_theirs() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        task = Counting(1)
        with running(Background(Clicks(), [task])):
            assert task.done.wait(20)
        assert task.seen == (1, NICENESS)
        found: list[int] = []
        later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert (torch.get_num_threads(), found) == (2, [2])
        assert os.getpriority(os.PRIO_PROCESS, os.getpid()) != NICENESS
    finally:
        torch.set_num_threads(before)


def test_the_more_urgent_goes_first_and_a_failure_stops_nothing() -> None:
    order: list[str] = []

    class Named(Counting):
        def __init__(self, name: str, pieces: int) -> None:
            super().__init__(pieces)
            self.name = name

        def step(self) -> bool:
            order.append(self.name)
            return super().step()

    class Failing:
        def step(self) -> bool:
            order.append("failing")
            raise RuntimeError("for the test")

    first, second = Named("first", 3), Named("second", 2)
    with running(Background(Clicks(), [Failing(), first, second])):
        assert second.done.wait(20)
    assert order[:7] == ["failing", "first", "first", "first", "second", "first", "second"]
    assert order.count("failing") == 1


def test_what_waits_for_another_server_rests_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    class Far:
        def step(self) -> bool:
            asked.append("far")
            raise RemoteError("the DICOM server can't be reached")

    here = Counting(3)
    with running(Background(Clicks(), [Far(), here])):
        assert here.done.wait(20)
    assert (len(asked), caplog.records) == (1, [])
