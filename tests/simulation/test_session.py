"""What a session logs, at a server of these tests: by its clock each answer takes a known time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tiny
from landmarklabel.errors import RemoteError
from landmarklabel.io.cases import Case
from landmarklabel.io.dataset import read_dataset
from landmarklabel.protocol import Protocol
from landmarklabel.simulation import session, training
from landmarklabel.simulation.journal import Journal, read_journal
from landmarklabel.simulation.session import Session
from landmarklabel.simulation.settings import Habits, Settings

SAVE, NEXT, LOAD, ANSWER, INFO, LEARN, CLICK = 1.0, 10.0, 100.0, 1000.0, 0.5, 5000.0, 0.25


class Clock:
    """Time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


class Server:
    """Has no prediction; whoever asks first after a save waits until it has learned from the label."""

    def __init__(self, clock: Clock, images: list[str], rests: int = 0) -> None:
        self._clock, self._images, self._rests, self._learned = clock, images, rests, True

    def info(self) -> dict[str, Any]:
        self._learn(INFO)
        return {"training_policy": {"state": "waiting"}}

    def begun(self) -> list[str]:
        return []

    def next_image(self, strategy: str, seed: int) -> str:
        if not self._images:
            raise RemoteError("the server is gone")
        self._clock.sleep(NEXT)
        return self._images.pop(0)

    def image(self, name: str) -> bytes:
        self._clock.sleep(LOAD)
        return b""

    def refine(self, image: str, params: Mapping[str, Any]) -> None:
        self._learn(ANSWER)

    def save(self, image: str, markups: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        self._clock.sleep(SAVE)
        self._learned = False

    def trains(self) -> bool:
        self._rests -= 1
        return self._rests >= 0

    def runs(self) -> list[dict[str, Any]]:
        return []

    def _learn(self, seconds: float) -> None:
        self._clock.sleep(seconds + (0 if self._learned else LEARN))
        self._learned = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (session, training):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def cases(tmp_path: Path, triangle: Protocol) -> dict[str, Case]:
    tiny.write_studies(tmp_path / "studies", triangle, 3)
    return {case.id: case for case in read_dataset(f"studies:{tmp_path / 'studies'}", triangle).cases}


def label(folder: Path, protocol: Protocol, cases: Mapping[str, Case], server: Any, **more: Any) -> Journal:
    settings = Settings(habits=Habits(tolerance=2, click_s=CLICK), **more)
    journal = Journal(folder / "log.jsonl", {"settings": settings.model_dump(mode="json")})
    Session(server, protocol, settings, cases, folder / "studies", journal).run()
    return journal


@pytest.mark.parametrize("more", [{}, {"wait_for_training": True}])
def test_a_wait_is_all_from_saving_to_the_answer_but_no_rest(
    clock: Clock, tmp_path: Path, triangle: Protocol, cases: dict[str, Case], more: dict[str, Any]
) -> None:
    server = Server(clock, list(cases), rests=40)
    waits = [event["wait_s"] for event in label(tmp_path, triangle, cases, server, **more).of("done")]
    learned = 0 if more else LEARN  # while the reader rests, the server goes on
    assert waits == [NEXT + LOAD + ANSWER] + [SAVE + NEXT + LOAD + learned + ANSWER] * 2


def test_seconds_and_acts_are_logged_also_of_what_was_interrupted(
    clock: Clock, tmp_path: Path, triangle: Protocol, cases: dict[str, Case]
) -> None:
    names, log = list(cases), tmp_path / "log.jsonl"
    beside = INFO + SAVE  # before the session, and after its last image
    with pytest.raises(RemoteError, match="the server is gone"):
        label(tmp_path, triangle, cases, Server(clock, names[:2]))
    assert sum(event["seconds"] for event in read_journal(log) if event["event"] == "done") == clock.now - beside
    clock.sleep(1e6)  # meanwhile nobody worked
    before = clock.now
    journal = label(tmp_path, triangle, cases, Server(clock, names[2:]))
    assert journal.of("done")[-1]["seconds"] == clock.now - before - beside
    assert [event["at_s"] for event in journal.of("click")] == [CLICK, 2 * CLICK, 3 * CLICK] * 3
