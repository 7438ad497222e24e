"""A click as a viewer sends it: a real server on this machine, the sample model, HTTP request to parsed answer."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from landmarklabel.io.writing import write_nrrd
from landmarklabel.phantoms import generate

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
PROTOCOL, IMAGE = "spine_68", "spine_0000"
_SEED = 55_000


@contextmanager
def sample_server(folder: Path, more: int = 0) -> Iterator[str]:
    """``landmarklabel serve`` on a copy of the sample spines and their model; gives its address.

    Args:
        folder: for the copy.
        more: further unlabelled images.
    """
    shutil.copytree(SAMPLES / PROTOCOL, folder / "studies")
    for index in range(more):
        write_nrrd(generate(PROTOCOL, _SEED + index)[0], folder / "studies" / f"more_{index:03d}.nrrd")
    shutil.copytree(SAMPLES / "models" / PROTOCOL, folder / "models" / PROTOCOL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "landmarklabel.cli", "serve", str(folder / "studies"), "--protocol", PROTOCOL]
    command += ["--models", str(folder / "models"), "--port", str(port), "--no-auto-train"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address):
            if process.poll() is not None:
                raise SystemExit((folder / "server.log").read_text()[-2000:])
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def served_click(address: str) -> tuple[Callable[[], object], dict[str, Any]]:
    """A second click, elsewhere each time, and the first answer's timings by the server.

    Each click is a connection of its own, as MONAI Label's client makes it.
    """
    first = _ask(f"{address}/infer/landmarks?image={IMAGE}&output=json")
    positions = {landmark["label"]: landmark["position"] for landmark in first["landmarks"]}
    fixed, moving = sorted(positions)[len(positions) // 3], sorted(positions)[2 * len(positions) // 3]
    url = f"{address}/infer/refine?image={IMAGE}&output=json"
    _ask(url, {fixed: positions[fixed]})
    step = itertools.count(1)

    def click() -> object:
        x, y, z = positions[moving]
        return _ask(url, {fixed: positions[fixed], moving: [x + 0.1 * (next(step) % 50), y, z]})

    return click, first["timings"]


def _ask(url: str, corrections: dict[str, list[float]] | None = None) -> dict[str, Any]:
    response = requests.post(url, data={"params": json.dumps({"corrections": corrections or {}})}, timeout=60)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/info/", timeout=5).ok
    except requests.ConnectionError:
        return False
