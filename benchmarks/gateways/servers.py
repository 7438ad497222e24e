"""MONAI Label's own server and ours, with the same tasks behind them: the sample spines, and one of three seconds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from latency.served import PROTOCOL, SAMPLES

from landmarklabel.resources import resource

INSTALL = "install(self, self._gateway)"

_SLOW = '''
"""A task that computes for three seconds, as a large network does: PyTorch, all its threads."""

import time

import torch
from monailabel.interfaces.tasks.infer_v2 import InferTask


class SlowTask(InferTask):
    def __init__(self):
        super().__init__(type="others", labels=[], dimension=2, description="slow")

    def is_valid(self):
        return True

    def __call__(self, request):
        end, image = time.perf_counter() + 3.0, torch.rand(1, 32, 256, 256)
        network = torch.nn.Conv2d(32, 32, 3, padding=1)
        with torch.no_grad():
            while time.perf_counter() < end:
                image = network(image)
        return None, {"mean": float(image.mean())}
'''

_WITH_IT = """

from slow import SlowTask

_tasks = LandmarkApp.init_infers
LandmarkApp.init_infers = lambda self: {**_tasks(self), "slow": SlowTask()}
"""


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        address: of it.
        process: its id.
    """

    address: str
    process: int

    def memory_mb(self) -> float:
        """What it holds now."""
        return psutil.Process(self.process).memory_info().rss / (1 << 20)


@contextmanager
def server(folder: Path, stock: bool) -> Iterator[Running]:
    """MONAI Label's start_server on the app; ``stock`` leaves out the gateway, so that its own routes answer."""
    shutil.copytree(SAMPLES / PROTOCOL, folder / "studies")
    shutil.copytree(SAMPLES / "models" / PROTOCOL, folder / "models" / PROTOCOL)
    made = shutil.ignore_patterns("model", "logs", "bin", "__pycache__")
    app = shutil.copytree(resource("MonaiLabelApp"), folder / "app", ignore=made)
    text = (app / "main.py").read_text()
    assert INSTALL in text
    (app / "main.py").write_text(text.replace(INSTALL, "pass" if stock else INSTALL) + _WITH_IT)
    (app / "slow.py").write_text(_SLOW)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--port", str(port)]
    command += ["--studies", str(folder / "studies"), "--host", "127.0.0.1", "--conf", "protocol", PROTOCOL]
    command += ["--conf", "models", str(folder / "models")]
    environment = {**os.environ, "MONAI_LABEL_TRACKING_ENABLED": "false", "OMP_WAIT_POLICY": "passive"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address):
            if process.poll() is not None:
                raise SystemExit((folder / "server.log").read_text()[-2000:])
            time.sleep(0.5)
        yield Running(address, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/info/", timeout=20).ok
    except requests.ConnectionError:
        return False
