"""The log of a simulation: whatever is cut off, what is left is whole, and the simulation goes on from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landmarklabel.errors import ConfigError, DataError, StorageError
from landmarklabel.simulation.journal import Journal, read_journal

ABOUT = {"data": {"name": "phantoms"}, "settings": {"seed": 1}}


def block(number: int) -> list[dict[str, object]]:
    image = f"image_{number}"
    return [{"event": "look", "image": image}, {"event": "click", "image": image}, {"event": "done", "image": image}]


def written(path: Path, images: int = 4) -> list[dict[str, object]]:
    path.unlink(missing_ok=True)
    journal = Journal(path, ABOUT)
    for number in range(images):
        journal.append(block(number))
    return journal.events


def test_what_was_written_is_read(tmp_path: Path) -> None:
    events = written(tmp_path / "log.jsonl")
    assert read_journal(tmp_path / "log.jsonl") == events
    assert [event["event"] for event in events] == ["begun", *["look", "click", "done"] * 4]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == events


@given(st.integers(min_value=0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_a_kill_at_any_byte_whole_images_are_left(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.jsonl"
    events = written(path)
    content = path.read_bytes()
    path.write_bytes(content[: cut % (len(content) + 1)])
    journal = Journal(path, ABOUT)
    kept = len(journal.of("done"))
    assert journal.events == events[: 1 + 3 * kept]
    journal.append(block(9))
    assert read_journal(path) == [*events[: 1 + 3 * kept], *block(9)]


def test_of_another_simulation_nothing_is_continued(tmp_path: Path) -> None:
    written(tmp_path / "log.jsonl")
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="holds a simulation of another settings; continue it with the same options"):
        Journal(tmp_path / "log.jsonl", {**ABOUT, "settings": {"seed": 2}})
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_of_what_never_happened_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Journal(path, ABOUT)
    assert not path.exists()
    other = {**ABOUT, "settings": {"seed": 2}}
    journal = Journal(path, other)
    journal.append(block(0))
    assert read_journal(path) == journal.events == [{"event": "begun", **other}, *block(0)]


@pytest.mark.parametrize("content", [b"no json\n{}\n", b'{"event": "done"}\n', b"[1]\n[2]\n"])
def test_what_is_no_log_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="log.jsonl"):
        Journal(path, ABOUT)
    assert path.read_bytes() == content


def test_without_a_log_nothing_was_simulated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no simulation has begun here"):
        read_journal(tmp_path / "log.jsonl")


def test_a_full_disk_is_a_sentence(full_disk: Path) -> None:
    with pytest.raises(StorageError, match="the disk is full: the log could not be written"):
        Journal(full_disk / "log.jsonl", ABOUT).append(block(0))
