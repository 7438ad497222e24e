"""A model comes into use while people click: nobody waits for it but who finds it, and nobody gets half of one."""

import sys
import threading
from pathlib import Path

import pytest

import tiny
from landmarklabel.engine.publishing import publish
from landmarklabel.errors import ModelError
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from models import PublishedModel


@pytest.fixture
def files(tmp_path: Path, triangle: Protocol) -> list[Path]:
    return [tiny.untrained_model(tmp_path / f"{seed}.safetensors", triangle, tiny.config(), seed) for seed in (1, 2)]


def test_while_one_loads_the_others_are_answered_by_the_one_before(
    tmp_path: Path, triangle: Protocol, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (read_header(file).version for file in files)
    model = PublishedModel(tmp_path / "models", triangle, "landmarks")
    publish(files[0], model.path)
    assert model.predictor()[1].version == old
    begun, go_on, load = threading.Event(), threading.Event(), Predictor.load

    def held_up(*arguments: object, **named: object) -> Predictor:
        begun.set()
        assert go_on.wait(30)
        return load(*arguments, **named)

    monkeypatch.setattr(Predictor, "load", held_up)
    publish(files[1], model.path)
    found: list[str] = []
    finder = threading.Thread(target=lambda: found.append(model.predictor()[1].version))
    finder.start()
    assert begun.wait(30)
    assert model.predictor()[1].version == old  # at once, or this test would never end
    go_on.set()
    finder.join()
    assert found == [new]
    assert model.predictor()[1].version == new


def test_the_first_one_is_waited_for_by_all(tmp_path: Path, triangle: Protocol, files: list[Path]) -> None:
    model = PublishedModel(tmp_path / "models", triangle, "landmarks")
    publish(files[0], model.path)
    found: list[Predictor] = []
    threads = [threading.Thread(target=lambda: found.append(model.predictor()[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_damaged_one_is_an_error_until_it_is_replaced(tmp_path: Path, triangle: Protocol, files: list[Path]) -> None:
    model = PublishedModel(tmp_path / "models", triangle, "landmarks")
    publish(files[0], model.path)
    model.predictor()
    data = bytearray(files[1].read_bytes())
    data[-100] ^= 4
    model.path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(ModelError, match="is damaged"):
            model.predictor()
    publish(files[1], model.path)
    assert model.predictor()[1].version == read_header(files[1]).version


def test_a_model_that_is_published_while_another_is_read_is_not_mixed_with_it(
    tmp_path: Path, triangle: Protocol, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the weights of one see would be kept as what the other has seen."""
    model = PublishedModel(tmp_path / "models", triangle, "landmarks")
    publish(files[0], model.path)
    load, loads = Predictor.load, []

    def overtaken(*arguments: object, **named: object) -> Predictor:
        loads.append(load(*arguments, **named))
        if len(loads) == 1:
            publish(files[1], model.path)
        return loads[-1]

    monkeypatch.setattr(Predictor, "load", overtaken)
    for _ in range(2):
        predictor, header = model.predictor()
        assert predictor.provenance["version"] == header.version == read_header(files[1]).version
