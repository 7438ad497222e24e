"""A real DICOM archive: Orthanc with its DICOMweb plugin, as Debian has them, with a database of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass
class Orthanc:
    """An archive that runs, and what is needed to start it again.

    Attributes:
        images: SOPInstanceUIDs of radiographs that a test has put there.
        bad: the same of what is none.
    """

    folder: Path
    images: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Orthanc:
        program = shutil.which("Orthanc")
        if program is None or not PLUGIN.is_file():
            pytest.skip("Orthanc with its DICOMweb plugin is not here: apt-get install orthanc orthanc-dicomweb")
        self.port = self.port or free_port()
        database = str(self.folder / "database")
        configuration = {
            "Name": "test", "StorageDirectory": database, "IndexDirectory": database, "HttpPort": self.port,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomServerEnabled": False,
            "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(configuration))
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen([program, str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, (self.folder / "orthanc.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            try:
                if requests.get(f"http://127.0.0.1:{self.port}/system", timeout=5).ok:
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def get(self, path: str) -> Any:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=30).json()

    def put(self, path: Path) -> str:
        """Store a file by Orthanc's own interface; its id there."""
        answer = requests.post(f"http://127.0.0.1:{self.port}/instances", data=path.read_bytes(), timeout=30)
        assert answer.ok, answer.text
        identifier: str = answer.json()["ID"]
        return identifier

    def instances(self, modality: str) -> list[bytes]:
        """The files of a modality."""
        query = {"Level": "Instance", "Query": {"Modality": modality}}
        found = requests.post(f"http://127.0.0.1:{self.port}/tools/find", json=query, timeout=30).json()
        return [
            requests.get(f"http://127.0.0.1:{self.port}/instances/{each}/file", timeout=30).content for each in found
        ]
