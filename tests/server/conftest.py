"""Fixtures of the server tests: a model of the small protocol, and a server that answers with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, prepare, publish

import tiny
from landmarklabel.engine.trainer import train
from landmarklabel.protocol import Protocol


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    """A model of the small protocol."""
    folder = tmp_path_factory.mktemp("trained")
    data = tiny.dataset(folder / "images", triangle, 24)
    return train(tiny.config(), data, folder / "run", device="cpu", quiet=True).model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol, trained: Path) -> Iterator[Server]:
    """A running server with a model."""
    running = prepare(tmp_path_factory.mktemp("server") / "s", triangle)
    publish(running, trained)
    try:
        yield running.start()
    finally:
        running.stop()
