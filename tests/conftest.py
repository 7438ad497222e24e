"""Shared fixtures. Every test runs without a network and without any file outside the project."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from landmarklabel.protocol import Protocol, load_protocol

# Machines here are slow and noisy: examples have no deadline, and the same ones are tried each time.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")


@pytest.fixture(scope="session")
def triangle() -> Protocol:
    """A small protocol: left and right mirror each other, top is on the midline."""
    return Protocol.model_validate(
        {
            "name": "triangle",
            "title": "A triangle",
            "landmarks": [
                {"label": "left", "name": "Left corner"},
                {"label": "right", "name": "Right corner"},
                {"label": "top", "name": "Top"},
            ],
            "structures": [{"name": "outline", "landmarks": ["left", "right", "top"]}],
            "symmetry": {"pairs": [["left", "right"]], "midline": ["top"]},
            "rules": [{"left_of": ["left", "right"]}, {"above": ["top", "left"]}],
            "radii": [1, 2, 4],
        }
    )


@pytest.fixture(scope="session")
def cephalometric() -> Protocol:
    return load_protocol("cephalometric_19")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def triangle_file(tmp_path: Path, triangle: Protocol) -> Path:
    """The small protocol as a user's own file."""
    path = tmp_path / "triangle.yaml"
    path.write_text(
        "name: triangle\ntitle: A triangle\nradii: [1, 2, 4]\n"
        "landmarks:\n"
        "  - {label: left, name: Left corner}\n  - {label: right, name: Right corner}\n  - {label: top, name: Top}\n"
        "structures:\n  - {name: outline, landmarks: [left, right, top]}\n"
        "symmetry: {pairs: [[left, right]], midline: [top]}\n"
        "rules:\n  - {left_of: [left, right]}\n  - {above: [top, left]}\n"
    )
    return path


def _mount(folder: Path, options: str) -> bool:
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode
        == 0
    )


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with no room left."""
    folder = tmp_path / "full"
    folder.mkdir()
    if not _mount(folder, "size=64k"):
        pytest.skip("mounting a file system needs root")
    try:
        filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
        with pytest.raises(OSError, match="No space left"):
            while True:
                os.write(filler, bytes(4096))
        os.close(filler)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that can't be written: by its mode, and for root, whom no mode stops, by its mount."""
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        return
    if not _mount(folder, "ro,size=64k"):
        pytest.skip("mounting a file system needs more than this root may do")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one sentence with which a command ends that can't do what it is asked; its status is 2."""

    from landmarklabel import cli

    def sentence(*arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        assert caught.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, lines
        return lines[0].removeprefix("error: ")

    return sentence
