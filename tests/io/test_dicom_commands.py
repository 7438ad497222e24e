"""``landmarklabel to-dicom`` and ``from-dicom``, and the commands of docs/dicom.md."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from landmarklabel import cli
from landmarklabel.io.headers import read_geometry
from landmarklabel.io.segmentations import read_segmentation, write_segmentation
from landmarklabel.markups import read_markups
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource
from landmarklabel.segmentation import Segmentation

STUDIES = resource("sample_data") / "cephalometric_19"
IMAGE = STUDIES / "cephalometric_0000.dcm"


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    assert not ended.value.code


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cephalometric: Protocol) -> None:
    """Its commands give the landmarks back."""
    page = (resource("sample_data").parent / "docs" / "dicom.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for line in block.replace("\\\n", " ").replace("$STUDIES", os.fspath(STUDIES)).splitlines():
        run(*shlex.split(line)[1:])
    geometry = read_geometry(IMAGE)
    label = STUDIES / "labels" / "final" / "cephalometric_0000.mrk.json"
    before, after = (read_markups(path, cephalometric, geometry) for path in (label, tmp_path / "landmarks.mrk.json"))
    assert np.allclose(before.points, after.points, atol=1e-3)
    assert before.status == after.status


def test_structures(tmp_path: Path, triangle_file: Path) -> None:
    geometry = read_geometry(IMAGE)
    mask = np.zeros((1, *reversed(geometry.size)), bool)
    mask[0, 10:20, 30:70] = True
    write_segmentation(Segmentation(("outline",), ("outline",), mask, geometry), tmp_path / "x.seg.nrrd")
    options = ("--protocol", triangle_file, "--out")
    run("to-dicom", tmp_path / "x.seg.nrrd", IMAGE, *options, tmp_path / "x.dcm")
    run("from-dicom", tmp_path / "x.dcm", IMAGE, *options, tmp_path / "y.seg.nrrd")
    assert np.array_equal(read_segmentation(tmp_path / "y.seg.nrrd", geometry, ["outline"]).masks, mask)


def test_what_does_not_belong_together_is_refused(tmp_path: Path, fails: Callable[..., str]) -> None:
    label = STUDIES / "labels" / "final" / "cephalometric_0000.mrk.json"
    options = ("--protocol", "cephalometric_19", "--out")
    run("to-dicom", label, IMAGE, *options, tmp_path / "x.dcm")
    other = STUDIES / "cephalometric_0001.dcm"
    assert "x.dcm is about the image 1.2" in fails("from-dicom", tmp_path / "x.dcm", other, *options, tmp_path / "y")
    picture = STUDIES / "cephalometric_0003.nrrd"
    assert "expected a DICOM file" in fails("to-dicom", label, picture, *options, tmp_path / "y")
    assert "no structured report" in fails("from-dicom", IMAGE, IMAGE, *options, tmp_path / "y")


@pytest.mark.parametrize("command", ["to-dicom", "from-dicom"])
@pytest.mark.parametrize("number", [0, 1])
def test_an_input_is_never_replaced(tmp_path: Path, fails: Callable[..., str], command: str, number: int) -> None:
    """Nor with --overwrite, whatever it is called: by its path, another one to it, a link of either kind."""
    (tmp_path / "below").mkdir()
    inputs = (_label_in(tmp_path, command), Path(shutil.copy(IMAGE, tmp_path / "image.dcm")))
    given, before = inputs[number], inputs[number].read_bytes()
    (tmp_path / "soft").symlink_to(given)
    (tmp_path / "hard").hardlink_to(given)
    other = tmp_path / "below" / ".." / given.name
    for out in (given, other, tmp_path / "soft", tmp_path / "hard"):
        sentence = fails(command, *inputs, "--protocol", "cephalometric_19", "--overwrite", "--out", out)
        assert f"--out {out} is {given.name} itself, which is only read" in sentence
    assert given.read_bytes() == before


@pytest.mark.parametrize("command", ["to-dicom", "from-dicom"])
def test_a_file_that_is_there_is_replaced_on_request_only(
    tmp_path: Path, fails: Callable[..., str], command: str
) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    arguments = (command, _label_in(tmp_path, command), IMAGE, "--protocol", "cephalometric_19", "--out", out)
    assert f"--out {out} is there already; name another file" in fails(*arguments)
    assert out.read_text() == "mine"
    run(*arguments, "--overwrite")
    assert out.read_bytes() != b"mine"
    assert "is a folder" in fails(*arguments[:-1], tmp_path)
    assert "there is no folder" in fails(*arguments[:-1], tmp_path / "none" / "x")


def _label_in(folder: Path, command: str) -> Path:
    """What a command reads, in a folder of its own."""
    label = Path(shutil.copy(STUDIES / "labels" / "final" / "cephalometric_0000.mrk.json", folder / "label.mrk.json"))
    if command == "to-dicom":
        return label
    run("to-dicom", label, IMAGE, "--protocol", "cephalometric_19", "--out", folder / "label.dcm")
    return folder / "label.dcm"


@pytest.mark.parametrize(
    ("studies", "setting", "sentence"),
    [
        ("http://u:p@host/dicom-web", "a=b", "the URL of host holds a user name"),
        ("http://host/dicom-web", "folder", "--dicomweb folder: expected NAME=VALUE"),
        ("folder", "folder=x", "--dicomweb is for studies that are a DICOMweb server"),
    ],
)
def test_serve_refuses_what_it_can_not_mean(
    fails: Callable[..., str], studies: str, setting: str, sentence: str
) -> None:
    assert sentence in fails("serve", studies, "--protocol", "cephalometric_19", "--dicomweb", setting)
