"""Work off the main thread, and drafts on the disk."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from waiting import wait_until

from LandmarkLabelLib import loop as loop_module
from LandmarkLabelLib.contract import Definition, Protocol, ServerError, ServerInfo
from LandmarkLabelLib.drafts import Draft, DraftStore
from LandmarkLabelLib.loop import ReadingLoop
from LandmarkLabelLib.state import Reading
from LandmarkLabelLib.worker import Worker

SERVER = "http://127.0.0.1:8000"


@pytest.fixture
def worker():  # type: ignore[no-untyped-def]
    made = Worker("test")
    yield made
    made.stop()


def test_work_is_done_elsewhere_and_handed_over_here(worker: Worker) -> None:
    threads: list[int] = []
    worker.submit(threading.get_ident, lambda there: threads.extend([there, threading.get_ident()]))
    wait_until(worker.poll, lambda: threads)
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()
    assert not worker.busy


def test_of_one_key_only_the_newest_is_handed_over_and_what_waited_is_not_even_done(worker: Worker) -> None:
    gate, done, handed = threading.Event(), [], []

    def job(number: int) -> int:
        gate.wait(10)
        done.append(number)
        return number

    for number in range(5):
        worker.submit(lambda number=number: job(number), handed.append, key="refine")
        time.sleep(0.02)  # the first is under way by now
    assert worker.waits_for("refine")
    gate.set()
    wait_until(worker.poll, lambda: not worker.busy)
    assert handed == [4]
    assert done == [0, 4]
    assert not worker.waits_for("refine")


def test_what_is_cancelled_is_not_handed_over(worker: Worker) -> None:
    gate, handed = threading.Event(), []
    worker.submit(lambda: gate.wait(10), handed.append, handed.append, key="x")
    worker.cancel("x")
    gate.set()
    wait_until(worker.poll, lambda: not worker.busy)
    assert handed == []


def test_failures_are_handed_over_as_sentences_and_the_thread_lives_on(worker: Worker) -> None:
    problems: list[ServerError] = []
    expected = ServerError("refused", "Nothing answers.")

    def fail(problem: Exception) -> None:
        raise problem

    worker.submit(lambda: fail(expected), None, problems.append)
    worker.submit(lambda: fail(ZeroDivisionError("by zero")), None, problems.append)
    worker.submit(lambda: 1, lambda _: fail(ValueError("in the hand-over")))
    handed: list[int] = []
    worker.submit(lambda: 2, handed.append)
    wait_until(worker.poll, lambda: handed)
    assert problems[0] is expected
    assert "ZeroDivisionError" in problems[1].sentence


def test_finish_does_what_is_queued_and_stop_does_not() -> None:
    done: list[int] = []
    worker = Worker("finish")
    for number in range(3):
        worker.submit(lambda number=number: done.append(number))
    assert worker.finish(10)
    assert done == [0, 1, 2]
    gate, stopped = threading.Event(), Worker("stop")
    stopped.submit(lambda: gate.wait(10))
    stopped.submit(lambda: done.append(9))
    stopped.stop()
    gate.set()
    stopped.stop(10)
    assert done == [0, 1, 2]


# Drafts -------------------------------------------------------------------------------------------------------


def draft(image: str = "image", **values) -> Draft:  # type: ignore[no-untyped-def]
    return Draft(**{"server": SERVER, "image": image, "protocol": "p", "reading": {"points": []}, **values})


def test_a_draft_comes_back_as_it_was(tmp_path: Path) -> None:
    store, saved = DraftStore(tmp_path / "made" / "when needed"), draft(info={"reader": "Ü"}, wanted="final")
    assert store.all() == []
    store.save(saved)
    assert DraftStore(store.folder).load(SERVER, "image") == saved
    assert store.load("http://other", "image") is None
    store.remove(SERVER, "image")
    store.remove(SERVER, "image")
    assert store.load(SERVER, "image") is None


def test_images_and_servers_have_files_of_their_own(tmp_path: Path) -> None:
    store = DraftStore(tmp_path)
    names = ["a b", "a_b", "ä b", "../a", "a" * 190, "a" * 189 + "b"]
    for order, name in enumerate(names):
        store.save(draft(name, saved=float(order)))
    store.save(draft("a b", server="http://other", saved=99.0))
    assert [each.image for each in store.all()] == [*names, "a b"]
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "server": "x"}', b"\xff\xfe", b'{"format": 1}']
)
def test_a_damaged_draft_stops_nothing_and_is_not_deleted(tmp_path: Path, content: bytes) -> None:
    store = DraftStore(tmp_path)
    store.save(draft("good"))
    store.save(draft("bad"))
    path = store.path(SERVER, "bad")
    path.write_bytes(content)
    assert [each.image for each in store.all()] == ["good"]
    assert store.load(SERVER, "bad") is None
    assert path.with_suffix(".damaged").read_bytes() == content


def test_half_a_write_leaves_the_draft_before(tmp_path: Path) -> None:
    store = DraftStore(tmp_path)
    store.save(draft(info={"number": 1}))
    with pytest.raises(ValueError, match="JSON"):
        store.save(draft(info={"number": float("nan")}))
    loaded = store.load(SERVER, "image")
    assert loaded is not None and loaded.info == {"number": 1}
    assert [json.loads(path.read_text())["image"] for path in tmp_path.iterdir()] == ["image"]


# What is under way ----------------------------------------------------------------------------------------------


class SlowServer:
    """A server, and its clients in one: it answers a save when the test lets it, and is away when the test says so."""

    def __init__(self) -> None:
        self.address, self.token, self.away, self.protocol = SERVER, "", False, "p"
        self.asked, self.saved, self.gate = threading.Event(), [], threading.Event()  # type: ignore[var-annotated]

    def client(self, address: str, token: str = "") -> SlowServer:
        self.address, self.token = address, token
        return self

    def info(self) -> ServerInfo:
        protocol = Protocol(self.protocol, "P", (Definition("a", "a", ""),))
        return ServerInfo(protocol, "1", {}, (), {}, {}, 1, 0)

    def worklist(self) -> list:
        return []

    def leases(self) -> dict:
        return {}

    def save(self, image: str, markups: dict, info: dict, final: bool) -> None:
        self.asked.set()
        self.gate.wait(10)
        if self.away:
            raise ServerError("refused", "Nothing answers.")
        self.saved.append((info["number"], final))


@pytest.fixture
def slow_server(monkeypatch: pytest.MonkeyPatch) -> SlowServer:
    made = SlowServer()
    monkeypatch.setattr(loop_module, "Client", made.client)
    return made


@pytest.fixture
def loop(slow_server: SlowServer, tmp_path: Path):  # type: ignore[no-untyped-def]
    made = ReadingLoop(DraftStore(tmp_path / "drafts"), tmp_path / "images", lambda what: None)
    connect(made)
    yield made
    slow_server.gate.set()
    made.stop()


def connect(loop: ReadingLoop, address: str = SERVER) -> None:
    before = loop.server
    loop.connect(address)
    wait_until(loop.poll, lambda: loop.server is not before, "connected")


@pytest.mark.parametrize("final", [False, True])
def test_an_answer_to_an_earlier_draft_leaves_a_newer_one_after_connecting_anew(
    loop: ReadingLoop, slow_server: SlowServer, final: bool
) -> None:
    """Whether Slicer is killed then or goes on."""
    reading = Reading("image", ("a",))
    loop.outbox.put(reading, {"number": 1}, final)
    loop.outbox.hurry()
    assert slow_server.asked.wait(10)
    connect(loop)
    reading.place("a", (1, 2, 0))
    loop.outbox.put(reading, {"number": 2}, final=False)
    wait_until(loop.disk.poll, lambda: not loop.disk.busy, "on the disk")
    slow_server.gate.set()
    wait_until(loop.back.poll, lambda: not loop.back.busy, "the answer to the first")
    wait_until(loop.disk.poll, lambda: not loop.disk.busy, "on the disk")
    left = loop.drafts.load(SERVER, "image")
    assert left is not None, "the newer draft is not deleted"
    assert (left.wanted, left.info, left.reading["points"][0]["status"]) == ("draft", {"number": 2}, "corrected")
    loop.outbox.hurry()
    wait_until(loop.poll, lambda: not loop.busy, "sent")
    assert slow_server.saved == [(1, final), (2, False)]
    left = loop.drafts.load(SERVER, "image")
    assert left is not None and left.wanted == ""


def submit_in_vain(loop: ReadingLoop, slow_server: SlowServer) -> None:
    """A final label, while the server is away; it is back then."""
    slow_server.away = True
    slow_server.gate.set()
    loop.outbox.put(Reading("image", ("a",)), {"number": 1}, final=True)
    loop.outbox.hurry()
    wait_until(loop.poll, lambda: loop.is_problem, "away")
    slow_server.away = False


def test_what_one_server_lacks_is_sent_when_it_is_connected_again(loop: ReadingLoop, slow_server: SlowServer) -> None:
    submit_in_vain(loop, slow_server)
    connect(loop, "http://127.0.0.1:8001")
    assert loop.outbox.waiting == ()
    connect(loop)
    wait_until(loop.poll, lambda: not loop.outbox.waiting and not loop.busy, "sent")
    assert slow_server.saved == [(1, True)]
    assert loop.drafts.load(SERVER, "image") is None


def test_what_is_sent_while_drafts_are_read_is_not_sent_again(
    loop: ReadingLoop, slow_server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_in_vain(loop, slow_server)
    read = loop.drafts.all

    def slowly() -> list[Draft]:
        found = read()
        wait_until(lambda: None, lambda: not loop.outbox.waiting, "sent")
        return found

    monkeypatch.setattr(loop.drafts, "all", slowly)
    connect(loop)
    wait_until(loop.poll, lambda: not loop.busy, "read")
    assert (slow_server.saved, loop.outbox.waiting) == ([(1, True)], ())


def test_what_waits_for_another_protocol_stays_on_the_disk(loop: ReadingLoop, slow_server: SlowServer) -> None:
    loop.outbox.put(Reading("image", ("a",)), {"number": 1}, final=False)
    slow_server.protocol = "q"
    slow_server.gate.set()
    connect(loop)
    wait_until(loop.poll, lambda: not loop.busy, "taken up")
    assert (loop.outbox.waiting, slow_server.saved) == ((), [])
    left = loop.drafts.load(SERVER, "image")
    assert left is not None and (left.wanted, left.refused) == ("draft", "")
