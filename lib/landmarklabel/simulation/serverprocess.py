"""A server of its own for a simulation: ``landmarklabel serve`` in a process that ends with it."""

from __future__ import annotations

import ctypes
import inspect
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

from ..admission import TOKENS
from ..errors import RemoteError
from .client import Client
from .settings import Settings

#: Where its log goes, in the simulation's folder.
LOG = "server.log"

# What speaks of the servers in use: their tokens would keep the simulation out, their index is not for its labels.
_OF_OTHERS = (TOKENS, "LANDMARKLABEL_INDEX")

_START_S, _STOP_S = 300.0, 20.0
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


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
    port = _free_port()
    command = [sys.executable, "-m", "landmarklabel.cli", "serve", str(studies), "--protocol", protocol]
    command += ["--models", str(models), "--port", str(port), *options]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=_environment(),
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip
    try:
        client = Client(f"http://127.0.0.1:{port}")
        _wait_until_it_answers(client, process, port, folder / LOG)
        yield client
    finally:
        _end(process)


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    return {**own, "COLUMNS": "1000"}  # so that what it says in its last line is all of it


def policies(settings: Settings) -> list[str]:
    """What the server is to do by itself, as options; nothing of what it can't."""
    from ..cli_serve import serve

    wanted = {
        "auto_train": ["--auto-train" if settings.train == "auto" else "--no-auto-train"],
        "trust": ["--trust", f"{settings.habits.trust:g}"] if settings.habits.trust else [],
    }
    known = inspect.signature(serve).parameters
    return [part for name, parts in wanted.items() if name in known for part in parts]


def _wait_until_it_answers(client: Client, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_S
    while not (listens(process.pid, port) and client.alive()):
        if process.poll() is not None or time.monotonic() > end:
            raise RemoteError(f"the server did not start: {_last_words(log) or 'it said nothing'} (see {log})")
        time.sleep(0.2)


def _last_words(log: Path) -> str:
    """The last line that says something: the command line's own errors are in a box."""
    lines = [line.strip("│ ") for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if any(map(str.isalnum, line))), "")


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one that it has started, is what listens at a port: another may have been faster."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in each.net_connections("tcp")):
                    return True
    return False


def _end_with_parent() -> None:
    """Let Linux end this process, the server, when the simulation is killed, which then can't do so itself."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and all that it started: trainings are processes of their own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
