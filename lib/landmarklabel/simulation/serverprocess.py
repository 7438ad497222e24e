"""A server of its own for a simulation: ``landmarklabel serve`` in a process that ends with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from ..errors import RemoteError
from .client import Client

#: Where its log goes, and which process it is, in the simulation's folder.
LOG, PROCESS = "server.log", "server.pid"

_START_S, _STOP_S = 300.0, 20.0


@contextmanager
def serving(folder: Path, studies: Path, protocol: str, models: Path, options: Sequence[str]) -> Iterator[Client]:
    """A server on a studies folder, while the block lasts.

    Args:
        folder: of the simulation.
        protocol: name or file.
        options: further ones of ``landmarklabel serve``.

    Raises:
        RemoteError: it does not start; says what it said last.
    """
    _end_earlier(folder, studies)
    port = _free_port()
    command = [sys.executable, "-m", "landmarklabel.cli", "serve", str(studies), "--protocol", protocol]
    command += ["--models", str(models), "--port", str(port), *options]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    (folder / PROCESS).write_text(str(process.pid))
    try:
        client = Client(f"http://127.0.0.1:{port}")
        _wait_until_it_answers(client, process, folder / LOG)
        yield client
    finally:
        _end(process.pid)
        process.wait()
        (folder / PROCESS).unlink(missing_ok=True)


def _wait_until_it_answers(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while not client.alive():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise RemoteError(f"the server did not start: {' '.join(said) or 'it said nothing'} (see {log})")
        time.sleep(0.2)


def _end_earlier(folder: Path, studies: Path) -> None:
    """End the server of a simulation that was killed, which could not end it."""
    try:
        pid = int((folder / PROCESS).read_text())
        ours = str(studies) in psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return
    if ours:
        _end(pid)


def _end(pid: int) -> None:
    """End a process and all that it started: trainings are processes of their own."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        psutil.Process(pid).wait(_STOP_S)
        return
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
