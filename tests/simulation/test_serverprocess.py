"""A simulation talks to the server that it has started, and to no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from landmarklabel.errors import RemoteError
from landmarklabel.simulation.serverprocess import listens, serving


def test_tokens_and_index_of_other_servers_are_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of Python, something that says what it was given."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "given: [$LANDMARKLABEL_TOKENS] [$LANDMARKLABEL_INDEX] [$HOME]"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    for name, value in {"TOKENS": "admin anna secret", "INDEX": "postgresql://clinic/labels"}.items():
        monkeypatch.setenv(f"LANDMARKLABEL_{name}", value)
    monkeypatch.setenv("HOME", "/here")
    with (
        pytest.raises(RemoteError, match=r"given: \[\] \[\] \[/here\]"),
        serving(tmp_path, tmp_path, "p", tmp_path, []),
    ):
        pass


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
