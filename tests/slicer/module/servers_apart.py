"""The real server as a process of its own environment: what a viewer has to do with, and nothing else of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[3]
_START_S = 300


def server_python() -> Path:
    """The Python of the server's environment; skips the test where there is none."""
    given = os.environ.get("LANDMARKLABEL_SERVER_PYTHON")
    candidates = [Path(given)] if given else [ROOT / ".venv/bin/python", ROOT.parent / "main/.venv/bin/python"]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    pytest.skip(f"no environment of the server at {candidates[0]}; `make install` makes it")


@dataclass
class SampleServer:
    """A server over a copy of the sample data of a protocol.

    Args:
        folder: of its studies, models and log.
        protocol: of sample_data.
        port: of this machine.
    """

    folder: Path
    protocol: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def studies(self) -> Path:
        return self.folder / "studies"

    def start(self) -> SampleServer:
        models = self.folder / "models"
        command = [server_python(), "-m", "landmarklabel.cli", "serve", self.studies, "--protocol", self.protocol]
        command += ["--models", models, "--port", str(self.port), "--no-auto-train"]
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT / "lib"), "HOME": str(self.folder), "OMP_NUM_THREADS": "1",
            "MONAI_LABEL_TRACKING_ENABLED": "false", "OMP_WAIT_POLICY": "passive", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        return self

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/info/", timeout=5).ok
        except requests.RequestException:
            return False

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, protocol: str) -> SampleServer:
    """A copy of the sample data and its models, not yet served."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "sample_data" / protocol, folder / "studies")
    shutil.copytree(ROOT / "sample_data/models" / protocol, folder / "models" / protocol)
    return SampleServer(folder, protocol, free_port())
