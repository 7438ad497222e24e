"""Phantoms in a studies folder where something is already: it stays, and what is the same is not made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from landmarklabel.errors import DataError
from landmarklabel.io.headers import read_geometry
from landmarklabel.landmarks import Status
from landmarklabel.markups import read_markups, write_markups
from landmarklabel.phantoms.studies import write_studies
from landmarklabel.protocol import load_protocol

NAME, SIZE = "spine_68", (96, 224)


def write(folder: Path, number: int, seed: int = 1, size: tuple[int, int] = SIZE, **more: int) -> list[str]:
    return [path.name for path in write_studies(NAME, number, seed, folder, size, **more)]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """When each file was written, and what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def label_of(folder: Path, name: str) -> Path:
    return folder / "labels" / "final" / f"{name}.mrk.json"


def test_the_same_again_changes_nothing_and_more_come_beside_it(tmp_path: Path) -> None:
    """DICOM of both kinds, NRRD, and one without a label, which then gets its own."""
    first = write(tmp_path, 3, dicom=2, unlabelled=1)
    assert first == ["spine_0001.dcm", "spine_0002.dcm", "spine_0003.nrrd"]
    before = contents(tmp_path)
    assert write(tmp_path, 3, dicom=2, unlabelled=1) == first
    assert contents(tmp_path) == before
    assert write(tmp_path, 4, dicom=2) == [*first, "spine_0004.nrrd"]
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    labels = {f"labels/final/{name}.mrk.json" for name in ("spine_0003", "spine_0004")}
    assert set(after) - set(before) == {"spine_0004.nrrd", *labels}


def test_a_label_that_was_corrected_is_never_replaced(tmp_path: Path, fails: Callable[..., str]) -> None:
    write(tmp_path, 2)
    path, protocol = label_of(tmp_path, "spine_0002"), load_protocol(NAME)
    geometry = read_geometry(tmp_path / "spine_0002.nrrd")
    landmarks = read_markups(path, protocol, geometry)
    write_markups(landmarks.with_point("L1-UL", landmarks["L1-UL"] + 1, Status.CORRECTED), geometry, path)
    before = contents(tmp_path)
    command = ("phantom", NAME, "-n", 2, "--seed", 1, "--size", "96x224", "--out", tmp_path)
    assert f"{path}: a different final label is there already; it is not overwritten" in fails(*command)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", [".png", ".nrrd"])
def test_another_image_of_the_id_is_never_replaced_and_gets_no_label(tmp_path: Path, suffix: str) -> None:
    Image.new("L", SIZE).save(tmp_path / f"spine_0001{suffix}", format="PNG")
    before = contents(tmp_path)
    with pytest.raises(DataError, match=f"spine_0001{suffix}: another image with the id 'spine_0001' is there"):
        write(tmp_path, 1)
    assert contents(tmp_path) == before


def test_the_same_patient_at_another_size_is_another_image(tmp_path: Path) -> None:
    write(tmp_path, 1)
    before = contents(tmp_path)
    with pytest.raises(DataError, match="another image with the id"):
        write(tmp_path, 1, size=(128, 256))
    assert contents(tmp_path) == before


def test_no_image_is_put_beside_a_label_that_is_not_its_own(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "spine_0001.nrrd").unlink()
    before = contents(tmp_path)
    with pytest.raises(DataError, match="a different final label"):
        write(tmp_path, 1, size=(128, 256))
    assert contents(tmp_path) == before
    write(tmp_path, 1)  # its own comes back
    assert contents(tmp_path).keys() == {*before, "spine_0001.nrrd"}
