"""A replay: the images of another simulation in their order, each with the model that it had there."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from landmarklabel.errors import ConfigError, DataError
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol
from landmarklabel.simulation.journal import Journal
from landmarklabel.simulation.replay import Replay


@pytest.fixture
def earlier(tmp_path: Path, triangle: Protocol) -> Path:
    """A simulation of four images: no model, the first, none on screen, the second."""
    folder = tmp_path / "earlier"
    versions = [""]
    for number in range(2):
        run = folder / "models" / "triangle" / "runs" / f"farnet-{number}"
        run.mkdir(parents=True)
        model = tiny.untrained_model(run / "model.safetensors", triangle, tiny.config(), seed=number)
        versions.append(read_header(model).version)
    journal = Journal(folder / "log.jsonl", {})
    for name, version in zip("dbca", (0, 1, 0, 2), strict=True):
        journal.append([{"event": "done", "image": name, "version": versions[version]}])
    journal.append([{"event": "ended"}])
    return folder


def test_images_and_models_come_in_their_order(earlier: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "triangle" / "landmarks.safetensors"
    runs = [earlier / "models" / "triangle" / "runs" / f"farnet-{number}" / "model.safetensors" for number in range(2)]
    replay = Replay(earlier, "triangle", "abcd", tmp_path / "models")
    assert (replay.image(0), target.exists()) == ("d", False)
    for number, name, run in ((1, "b", runs[0]), (2, "c", runs[0]), (3, "a", runs[1])):
        assert replay.image(number) == name
        assert target.read_bytes() == run.read_bytes()


def test_other_images_are_refused(earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a simulation on other images"):
        Replay(earlier, "triangle", "abce", tmp_path / "models")


def test_what_is_not_over_can_t_be_replayed(earlier: Path, tmp_path: Path) -> None:
    log = earlier / "log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="this simulation is not over"):
        Replay(earlier, "triangle", "abcd", tmp_path / "models")


def test_a_model_that_is_gone_is_missed_before_anything_begins(earlier: Path, tmp_path: Path) -> None:
    (earlier / "models" / "triangle" / "runs" / "farnet-1" / "model.safetensors").unlink()
    with pytest.raises(DataError, match="the model .* of this simulation is gone"):
        Replay(earlier, "triangle", "abcd", tmp_path / "models")
