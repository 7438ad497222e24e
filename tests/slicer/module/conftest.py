"""Fixtures of the tests of the Slicer module.

They lie in a folder of their own: 3D Slicer's package imports every file of every folder ``slicer`` on the path.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "SlicerModule" / "LandmarkLabel"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import requests
from panel import Panel
from reader import Reader
from servers_apart import SampleServer, prepare
from trouble import Trouble

from LandmarkLabelLib.client import Client

IMAGES = (*tuple(f"cephalometric_002{number}" for number in range(4)), "oriented")


@pytest.fixture(autouse=True)
def quick_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests submit sooner than a person can have looked."""
    monkeypatch.setattr("LandmarkLabelLib.loop.UNREAD_S", 0.0)


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleServer]:
    """A running server over the sample cephalograms."""
    server = prepare(tmp_path_factory.mktemp("ceph") / "s", "cephalometric_19")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def trouble(ceph_server: SampleServer) -> Iterator[Trouble]:
    """A way to the server that the test may put into disorder; nobody has looked at IMAGES, or is to do so next.

    Its address is new, so that whoever is connected through it knows nothing of earlier tests.
    """
    for image in IMAGES:
        for tag in ("draft", "final"):
            requests.delete(f"{ceph_server.address}/datastore/label", params={"id": image, "tag": tag}, timeout=30)
        Client(ceph_server.address).give_back(image, "tester")
    proxy = Trouble(ceph_server.address)
    yield proxy
    proxy.vanish()


@pytest.fixture(scope="session")
def shared_panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    """One panel for all tests: a slice view takes its time to make."""
    made = Panel(tmp_path_factory.mktemp("panel"))
    yield made
    made.close()


@pytest.fixture
def reading(shared_panel: Panel, trouble: Trouble) -> Panel:
    """The first of IMAGES is open."""
    shared_panel.connect(trouble.address)
    shared_panel.open(IMAGES[0])
    return shared_panel


@pytest.fixture(scope="session")
def shared_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One for all tests: a slice view takes its time to make."""
    made = Reader(tmp_path_factory.mktemp("reader"))
    yield made
    made.desk.close()


@pytest.fixture
def reader(shared_reader: Reader, trouble: Trouble) -> Reader:
    """Connected to the server."""
    shared_reader.connect(trouble.address)
    return shared_reader
