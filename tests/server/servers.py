"""Real MONAI Label servers in processes of their own, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

import tiny
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

START_S = 300
TRAIN_S = 240


@dataclass
class Server:
    """A server that runs, and what is needed to start it again."""

    folder: Path
    studies: Path | str
    conf: dict[str, str]
    port: int = 0
    token: str = ""
    certificate: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"

    @property
    def models(self) -> Path:
        return Path(self.conf["models"])

    def command(self) -> list[str]:
        app = self.folder / "app"
        if not app.exists():  # MONAI Label makes folders in its app: a copy keeps the project clean
            made = shutil.ignore_patterns("model", "logs", "bin", "__pycache__")
            shutil.copytree(resource("MonaiLabelApp"), app, ignore=made)
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
        command += ["--studies", str(self.studies), "--host", "127.0.0.1", "--port", str(self.port)]
        return command + [part for key, value in self.conf.items() for part in ("--conf", key, value)]

    def launch(self) -> subprocess.Popen[bytes]:
        self.port = self.port or free_port()
        environment = {
            **os.environ, "HOME": str(self.folder), "MONAI_LABEL_TRACKING_ENABLED": "false",
            "OMP_WAIT_POLICY": "passive", "CUDA_VISIBLE_DEVICES": "",
            "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "landmarklabel_matplotlib"),  # fonts are listed once
            **self.environment,
        }  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )
        return self.process

    def start(self) -> Server:
        process, deadline = self.launch(), time.monotonic() + START_S
        while True:
            assert process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            try:
                if self("GET", "/healthz").ok:
                    return self
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.2)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @property
    def address(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def __call__(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        token = self.token if token is None else token
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        trusted = str(self.certificate) if self.certificate else True
        sent = {"timeout": 120, "headers": headers, "verify": trusted, **options}
        return requests.request(method, f"{self.address}{path}", **sent)

    def get(self, path: str) -> Any:
        response = self("GET", path)
        assert response.ok, response.text
        return response.json()

    def infer(self, image: str, **params: Any) -> Any:
        """JSON of the landmarks of an image."""
        response = self("POST", f"/infer/landmarks?image={image}&output=json", data={"params": json.dumps(params)})
        assert response.status_code == 200, response.text
        return response.json()

    def put_label(self, image: str, markups: Any, tag: str = "final", **info: Any) -> requests.Response:
        data = markups if isinstance(markups, (bytes, str)) else json.dumps(markups)
        files = {"label": ("label.mrk.json", data)}
        return self("PUT", f"/datastore/label?image={image}&tag={tag}", files=files, data={"params": json.dumps(info)})

    def refine(self, image: str, **params: Any) -> Any:
        """JSON of the landmarks of an image after corrections."""
        response = self("POST", f"/infer/refine?image={image}&output=json", data={"params": json.dumps(params)})
        assert response.status_code == 200, response.text
        return response.json()

    def segment(self, image: str, **params: Any) -> Any:
        """JSON of the structures and landmarks of an image."""
        response = self("POST", f"/infer/segmentation?image={image}&output=json", data={"params": json.dumps(params)})
        assert response.status_code == 200, response.text
        return response.json()

    def train(self, task: str = "farnet", **params: Any) -> dict[str, Any]:
        """Train, wait until the task has ended, and give the statistics of /info/."""
        submitted = self("POST", f"/train/{task}", json=params)
        assert submitted.status_code == 200, submitted.text
        self.wait_for(lambda: self.get("/train/")["status"] not in ("SUBMITTED", "RUNNING"), TRAIN_S)
        stats: dict[str, Any] = self.get("/info/")["train_stats"][task]
        return stats

    def wait_until_looked_at(self, image: str, labels: int) -> None:
        """Until so many labels say how landmarks look; asked so rarely that it goes on looking."""

        def looked_at() -> bool:
            time.sleep(3)
            return bool(self.refine(image)["model"].get("look_of_labels") == labels)

        self.wait_for(looked_at, 120)

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(folder: Path, protocol: Protocol, images: int = 26, labelled: int | None = 24, **conf: str) -> Server:
    """A server, not started, over images of the small protocol, whose training takes seconds."""
    folder.mkdir(exist_ok=True)
    configs = {
        "tiny": tiny.config(),
        "interactive": tiny.interactive_config(),
        "denseseg": tiny.denseseg_config(),
    }
    for name, config in configs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    definition = protocol.model_dump(mode="json")
    (folder / "triangle.yaml").write_text(yaml.safe_dump(definition))
    studies = tiny.write_studies(folder / "studies", protocol, images, labelled)
    files = {
        "protocol": "triangle.yaml", "models": "models",
        "experiment": "tiny.yaml", "interactive_experiment": "interactive.yaml",
        "segmentation_experiment": "denseseg.yaml",
    }  # fmt: skip
    settings = {name: str(folder / file) for name, file in files.items()}
    return Server(folder, studies, {**settings, **conf})


def publish(server: Server, model: Path, task: str = "landmarks") -> Path:
    """Put a model where the server looks for it."""
    target = server.models / "triangle" / f"{task}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, target)
    return target
