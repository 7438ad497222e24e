"""Files appear whole or not at all, whatever writes them."""

import errno
import json
import os
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from landmarklabel.engine.checkpoint import save_state
from landmarklabel.errors import StorageError
from landmarklabel.files import atomic_path, atomic_write, storage_errors, to_json
from landmarklabel.io.writing import write_dicom, write_nrrd
from landmarklabel.radiograph import Radiograph

NOISE = Radiograph.from_array(np.random.default_rng(0).integers(0, 4096, (300, 300)).astype(np.uint16))

WRITERS = {
    "bytes": lambda path: atomic_write(path, bytes(100_000)),
    "nrrd": lambda path: write_nrrd(NOISE, path),
    "dicom": lambda path: write_dicom(NOISE, path, "PHANTOM"),
    "state": lambda path: save_state(path, {"weights": torch.zeros(50_000)}),
}
SUFFIXES = {"bytes": ".bin", "nrrd": ".nrrd", "dicom": ".dcm", "state": ".safetensors"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(full_disk: Path, name: str) -> None:
    path = full_disk / f"x{SUFFIXES[name]}"
    with pytest.raises(StorageError, match=f"the disk is full: .* could not be written to {full_disk}"):
        WRITERS[name](path)
    assert [p.name for p in full_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_without_permission(read_only_folder: Path, name: str) -> None:
    with pytest.raises(StorageError, match="no permission to write"):
        WRITERS[name](read_only_folder / f"x{SUFFIXES[name]}")


@pytest.mark.parametrize("name", WRITERS)
def test_an_old_file_survives_a_failure(full_disk: Path, name: str) -> None:
    path = full_disk / f"x{SUFFIXES[name]}"
    (full_disk / "filler").rename(path)
    old = path.read_bytes()
    with pytest.raises(StorageError):
        WRITERS[name](path)
    assert path.read_bytes() == old


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("database or disk is full", "the disk is full: the notes could not be written to /studies"),
        ("database is locked", r"the notes could not be written to /studies \(Resource temporarily unavailable\)"),
        ("attempt to write a readonly database", "no permission to write the notes to /studies"),
        ("disk I/O error", r"the notes could not be written to /studies \(Input/output error\)"),
    ],
)
def test_a_database_that_can_not_be_written_is_said_as_a_file_is(said: str, sentence: str) -> None:
    with pytest.raises(StorageError, match=f"^{sentence}$"), storage_errors(Path("/studies/notes.sqlite"), "the notes"):
        raise sqlite3.OperationalError(said)
    with pytest.raises(sqlite3.OperationalError), storage_errors(Path("/studies/notes.sqlite")):
        raise sqlite3.OperationalError("no such table: notes")


def test_nothing_is_left_when_the_writer_stops_halfway(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_gets_the_permissions_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "x", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(StorageError, match="is no file that could be replaced"):
            atomic_write(path, b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_json_has_no_nan() -> None:
    content = {"a": [1.5, float("nan")], "b": (float("inf"), {"c": "NaN"}), "d": None, "e": True}
    expected = {"a": [1.5, None], "b": [None, {"c": "NaN"}], "d": None, "e": True}
    assert json.loads(to_json(content), parse_constant=pytest.fail) == expected


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="busy"), storage_errors(tmp_path / "x"):
        raise OSError(errno.EBUSY, "busy")
