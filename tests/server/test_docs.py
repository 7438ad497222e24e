"""Every command in README and docs works: the shell blocks are run as they stand, on the sample data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import layout_folders
import numpy as np
import pytest
import requests
from servers import Server, free_port

from landmarklabel.io.dataset import read_dataset
from landmarklabel.resources import resource

pytestmark = pytest.mark.slow

ROOT = resource("sample_data").parent
ADDRESS = "http://127.0.0.1:8000"


def blocks(page: str, language: str = "sh") -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A block as a person types it: stops at the first command that fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(["bash", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


def works(script: str, folder: Path) -> str:
    result = run(script, folder)
    assert result.returncode == 0, f"{script}\n{result.stdout[-1500:]}\n{result.stderr[-1500:]}"
    return result.stdout


@pytest.fixture(scope="module")
def sample_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What ``make serve`` starts: the sample cephalograms and their model."""
    folder = tmp_path_factory.mktemp("samples")
    studies = shutil.copytree(ROOT / "sample_data" / "cephalometric_19", folder / "studies")
    shutil.copytree(ROOT / "sample_data" / "models", folder / "models")
    running = Server(folder, studies, {"protocol": "cephalometric_19", "models": str(folder / "models")})
    try:
        yield running.start()
    finally:
        running.stop()


def test_the_readme(sample_server: Server, tmp_path: Path) -> None:
    """List, infer, correct, put a label, train, infer again: with curl only, as the page tells it."""
    version = sample_server.infer("cephalometric_0021")["model"]["version"]
    outputs = []
    for block in blocks("README.md"):
        if not block.startswith("curl"):
            continue
        outputs.append(works(block.replace(ADDRESS, f"http://127.0.0.1:{sample_server.port}"), tmp_path))
        if "/train/farnet" in block:
            sample_server.wait_for(lambda: sample_server.get("/train/")["status"] in ("DONE", "ERROR"), 400)
    assert len(outputs) == 6
    (refined,) = json.loads((tmp_path / "refined.mrk.json").read_bytes())["markups"]
    places = {point["label"]: point["position"] for point in refined["controlPoints"]}
    assert places["S"] == [75.5, 82.25, 0]
    label = sample_server("GET", "/datastore/label?label=cephalometric_0020&tag=final").content
    assert label == (tmp_path / "answer.mrk.json").read_bytes()
    stats = sample_server.get("/info/")["train_stats"]["farnet"]
    assert (stats["state"], stats["labels"]) == ("done", 21)
    after = sample_server.infer("cephalometric_0021")["model"]["version"]
    assert (after != version) is stats["published"]


def test_the_sample_model_finds_the_landmarks_of_the_sample_images(sample_server: Server) -> None:
    """All 19, on images that it has never been trained on."""
    errors = []
    for case in read_dataset(f"studies:{sample_server.studies}", "cephalometric_19").labelled()[:20]:
        landmarks = sample_server.infer(case.id)["landmarks"]
        pixels = np.array([landmark["pixel"] for landmark in landmarks])
        errors.append(np.linalg.norm((pixels - case.points) * case.radiograph().spacing, axis=1))
    assert np.mean(errors) < 2.0
    assert np.mean(np.array(errors) < 4.0) > 0.95


def test_the_page_on_the_server(sample_server: Server, tmp_path: Path) -> None:
    for block in blocks("docs/server.md"):
        works(block.replace(ADDRESS, f"http://127.0.0.1:{sample_server.port}"), tmp_path)
    assert (tmp_path / "label.mrk.json").stat().st_size > 1000


def test_the_page_on_hospitals(tmp_path: Path) -> None:
    for block in blocks("docs/hospital.md"):
        works(block, tmp_path)
    lines = (tmp_path / "tokens").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["admin", "anna"], ["annotator", "room2"], ["reader", "monitor"]]
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o600


def test_the_page_on_active_learning(sample_server: Server, tmp_path: Path) -> None:
    for block in blocks("docs/active-learning.md"):
        works(block.replace(ADDRESS, f"http://127.0.0.1:{sample_server.port}"), tmp_path)
    (script,) = blocks("docs/active-learning.md", "python")
    chosen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert chosen == "['b', 'a']\n"
    assert list((sample_server.studies / "labels" / "original").glob("*.mrk.json"))


def test_the_page_on_training(tmp_path: Path) -> None:
    points = layout_folders.plausible_points("cephalometric_19", (60, 72))
    readers = {"senior": {"001": points}, "junior": {"001": points}}
    layout_folders.write_isbi2015(tmp_path / "data" / "isbi2015", {"TrainingData": ["001.bmp"]}, readers)
    for block in blocks("docs/training.md"):
        works(block, tmp_path)
    assert (tmp_path / "runs" / "spine" / "evaluation.json").exists()
    assert len(list((tmp_path / "predictions").glob("*.mrk.json"))) == 40
    assert list((tmp_path / "studies" / "cephalograms" / "labels" / "final").glob("*.mrk.json"))


def test_the_page_on_protocols(tmp_path: Path) -> None:
    for text in blocks("docs/protocols.md", "yaml"):
        name = re.match(r"name: (\w+)", text)
        assert name is not None
        (tmp_path / f"{name[1]}.yaml").write_text(text)
    outputs = [works(block, tmp_path) for block in blocks("docs/protocols.md")]
    assert "Medial femoral condyle" in outputs[-1]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for block in blocks(page) for name in re.findall(r"^make ([\w-]+)", block, re.MULTILINE)}
    assert named
    assert named <= targets


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_serve() -> None:
    """The newcomer's first command. Under ``make test`` its environment is there already."""
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("there is no .venv; `make test` makes it")
    port = free_port()
    process = subprocess.Popen(
        ["make", "serve", f"PORT={port}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if f"Uvicorn running on http://127.0.0.1:{port}" in line:
                break
        text = "".join(lines)
        assert f"cephalometric_19 at http://127.0.0.1:{port}" in text, text[-2000:]
        command = next(line for line in lines if line.strip().startswith("landmarks:"))
        answer = requests.post(re.findall(r"'(http[^']+)'", command)[0], timeout=60)
        assert len(answer.json()["landmarks"]) == 19
    finally:
        os.killpg(process.pid, 15)
        process.wait()
