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

from servers_apart import SampleServer, prepare


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleServer]:
    """A running server over the sample cephalograms."""
    server = prepare(tmp_path_factory.mktemp("ceph") / "s", "cephalometric_19")
    try:
        yield server.start()
    finally:
        server.stop()
