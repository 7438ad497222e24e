"""Structures as DICOM SEG: the same pixels, the same names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import dicom_files
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from landmarklabel.errors import LabelError
from landmarklabel.io.dicom_seg import read_seg, seg_to_segmentation, segmentation_to_seg, write_seg
from landmarklabel.radiograph import Geometry
from landmarklabel.segmentation import Segmentation

NAMES, TITLES = ("heart", "rechte Lunge ß", "x" * 64), ("Heart", "Ω, größer", "y" * 80)


def header(folder: Path, width: int, height: int) -> Dataset:
    uids = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5", "PatientName": "Secret^Patient"}
    return pydicom.dcmread(dicom_files.write(folder / "x.dcm", np.zeros((height, width), int), **uids))


def segmentation(width: int, height: int, seed: int = 0) -> Segmentation:
    masks = np.random.default_rng(seed).random((3, height, width)) < 0.4
    return Segmentation(NAMES, TITLES, masks, Geometry((width, height), (0.2, 0.3)))


@settings(max_examples=15)
@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99), empty=st.sets(st.integers(0, 1)))
def test_a_round_trip_through_a_file(
    width: int, height: int, seed: int, empty: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Structures overlap, are empty, and their pixels do not fill bytes."""
    folder = tmp_path_factory.mktemp("seg")
    image, structures = header(folder, width, height), segmentation(width, height, seed)
    structures.masks[2, 0, 0] = True  # not all empty
    structures.masks[sorted(empty)] = False
    write_seg(segmentation_to_seg(structures, image, "odd"), folder / "x.seg.dcm")
    uid, read = read_seg(folder / "x.seg.dcm", structures.geometry, NAMES, TITLES)
    assert uid == image.SOPInstanceUID
    assert (read.names, read.titles) == (NAMES, TITLES)
    assert np.array_equal(read.masks, structures.masks)
    assert b"Secret" not in (folder / "x.seg.dcm").read_bytes()


def test_all_empty(tmp_path: Path) -> None:
    structures = segmentation(5, 4)
    structures.masks[:] = False
    document = segmentation_to_seg(structures, header(tmp_path, 5, 4), "odd")
    assert not seg_to_segmentation(document, structures.geometry, NAMES)[1].masks.any()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not here: apt-get install dicom3tools")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    write_seg(segmentation_to_seg(segmentation(9, 7), header(tmp_path, 9, 7), "odd"), tmp_path / "x.seg.dcm")
    said = subprocess.run(["dciodvfy", str(tmp_path / "x.seg.dcm")], capture_output=True, text=True).stderr
    assert "Segmentation" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    image, structures = header(tmp_path, 9, 7), segmentation(9, 7)
    document = segmentation_to_seg(structures, image, "odd")
    with pytest.raises(LabelError, match="SEG has 9 x 7 pixels, its image 7 x 9"):
        seg_to_segmentation(document, Geometry((7, 9)), NAMES)
    with pytest.raises(LabelError, match="the segment 'heart' is no structure of the protocol: liver"):
        seg_to_segmentation(document, structures.geometry, ["liver"])
    with pytest.raises(LabelError, match="structures on 5 x 4 pixels, the image has 9 x 7"):
        segmentation_to_seg(segmentation(5, 4), image, "odd")
    with pytest.raises(LabelError, match="SEG: no DICOM segmentation"):
        seg_to_segmentation(image, structures.geometry, NAMES)
    with pytest.raises(LabelError, match="x.dcm: no DICOM segmentation"):
        read_seg(tmp_path / "x.dcm", structures.geometry, NAMES)
    with pytest.raises(LabelError, match="nothing.dcm: can't be read"):
        read_seg(tmp_path / "nothing.dcm", structures.geometry, NAMES)
