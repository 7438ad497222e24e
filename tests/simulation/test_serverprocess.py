"""A simulation talks to the server that it has started, and to no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from landmarklabel.simulation.serverprocess import listens


def test_who_listens_at_a_port() -> None:
    """A process, or one that it has started; not another one that was there first."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert listens(os.getpid(), port)
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            assert not listens(other.pid, port)
        finally:
            other.communicate(b"\n")
        assert not listens(other.pid, port)
    assert not listens(os.getpid(), port)
    code = (
        "import socket; it = socket.socket(); it.bind(('127.0.0.1', 0)); it.listen(); "
        "print(it.getsockname()[1], flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert listens(os.getpid(), int(child.stdout.readline()))
    finally:
        child.communicate(b"\n")
