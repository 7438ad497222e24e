"""Fixtures of the tests of the Slicer module."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SlicerModule" / "LandmarkLabel"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from servers_apart import SampleServer, prepare


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleServer]:
    """A running server over the sample cephalograms."""
    server = prepare(tmp_path_factory.mktemp("ceph") / "s", "cephalometric_19")
    try:
        yield server.start()
    finally:
        server.stop()


def wait_until(poll: Callable[[], Any], condition: Callable[[], Any], what: str = "", seconds: float = 60) -> None:
    """Poll as a timer would, until something has come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain{': ' * bool(what)}{what}"
        poll()
        time.sleep(0.002)
