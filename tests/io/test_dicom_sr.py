"""Landmarks as DICOM SR: points come back to a thousandth of a pixel, names and states exactly."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dicom_files
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from landmarklabel.errors import ImageError, LabelError
from landmarklabel.io.dicom_documents import DocumentId, made_at
from landmarklabel.io.dicom_sr import landmarks_to_sr, read_sr, sr_to_landmarks, write_sr
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.protocol import Protocol

WIDTH, HEIGHT = 4001, 3003
LABELS = ("Pog'", "rechte Lunge ß", "Ω \\ | ^ =", "L" * 64)
WHOSE = {
    "PatientName": "Secret^Patient", "PatientID": "MRN-1", "PatientBirthDate": "19700101", "PatientSex": "O",
    "StudyDate": "20200102", "StudyTime": "1201", "StudyID": "S1", "AccessionNumber": "A-77",
    "ReferringPhysicianName": "Secret^Doctor",
}  # fmt: skip


def protocol(labels: tuple[str, ...] = LABELS) -> Protocol:
    landmarks = [{"label": label, "name": f"Name of {index}"} for index, label in enumerate(labels)]
    return Protocol.model_validate({"name": "odd_names", "title": "Odd names, ÄÖÜ", "landmarks": landmarks})


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The header of a radiograph."""
    path = tmp_path_factory.mktemp("sr") / "x.dcm"
    uids = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}
    header = pydicom.dcmread(dicom_files.write(path, np.zeros((3, 4), int), **uids, **WHOSE))
    header.Rows, header.Columns = HEIGHT, WIDTH
    return header


def landmark_set(points: Any, status: Status = Status.CONFIRMED) -> LandmarkSet:
    return LandmarkSet.from_points(protocol(), points, status)


POINTS = np.array([[0.0, 0.0], [WIDTH - 1, HEIGHT - 1], [1234.5678, 2345.6789], [np.nan, np.nan]])


@settings(max_examples=8)
@given(data=st.data())
def test_a_round_trip_through_a_file(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, image: Dataset
) -> None:
    states = data.draw(st.lists(st.sampled_from(list(Status)), min_size=4, max_size=4))
    points = np.full((4, 2), np.nan)
    confidence = np.full(4, np.nan)
    for index, status in enumerate(states):
        if status.placed:
            points[index] = data.draw(st.tuples(st.floats(-0.5, WIDTH - 0.5), st.floats(-0.5, HEIGHT - 0.5)))
            confidence[index] = data.draw(st.one_of(st.just(np.nan), st.floats(0, 1)))
    given_set = LandmarkSet(protocol(), points, tuple(states), confidence)
    path = tmp_path_factory.mktemp("trip") / "x.sr.dcm"
    write_sr(landmarks_to_sr(given_set, image), path)
    uid, read = read_sr(path, protocol())
    assert uid == image.SOPInstanceUID
    assert read.status == given_set.status
    assert np.allclose(read.points, points, rtol=0, atol=1e-3, equal_nan=True)
    assert np.allclose(read.confidence, confidence, atol=1e-5, equal_nan=True)


def test_points_are_where_the_standard_has_them(image: Dataset) -> None:
    """Counted from the corner of the first pixel, whose centre is (0.5, 0.5): PS3.3 C.18.6.1.2."""
    document = landmarks_to_sr(landmark_set(POINTS), image)
    found = _items(document, "SCOORD")
    assert [list(item.GraphicData) for item in found][:2] == [[0.5, 0.5], [WIDTH - 0.5, HEIGHT - 0.5]]
    for item in found:
        (reference,) = item.ContentSequence[0].ReferencedSOPSequence
        assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def _items(dataset: Dataset, kind: str) -> list[Dataset]:
    found = [dataset] if dataset.get("ValueType") == kind else []
    return found + [item for child in dataset.get("ContentSequence", ()) for item in _items(child, kind)]


def test_a_report_names_nobody_unless_asked(image: Dataset, tmp_path: Path) -> None:
    """It belongs to the study of its image, and says neither patient nor study otherwise."""
    write_sr(landmarks_to_sr(landmark_set(POINTS), image), tmp_path / "x.dcm")
    report = pydicom.dcmread(tmp_path / "x.dcm")
    assert {str(report[keyword].value) for keyword in WHOSE} == {""}
    assert (report.StudyInstanceUID, report.SeriesInstanceUID != image.SeriesInstanceUID) == ("1.2.3.4", True)
    for secret in set(WHOSE.values()) - {"O", "1201"}:
        assert secret.encode() not in (tmp_path / "x.dcm").read_bytes()
    naming = landmarks_to_sr(landmark_set(POINTS), image, patient_module=True)
    assert {keyword: str(naming.get(keyword)) for keyword in WHOSE} == WHOSE


def test_the_same_identity_gives_the_same_report(image: Dataset) -> None:
    """So that one that is sent again is the same instance; its time survives the file's time zone."""
    identity = DocumentId(made=datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=timezone.utc))
    header = pydicom.dataset.Dataset(image)
    header.TimezoneOffsetFromUTC = "-0330"
    reports = [landmarks_to_sr(landmark_set(POINTS), each, identity) for each in (image, header, header)]
    assert reports[1] == reports[2]
    for report in reports:
        assert (report.SOPInstanceUID, made_at(report)) == (identity.sop_uid, identity.made)
    assert (reports[1].ContentDate, reports[1].TimezoneOffsetFromUTC) == ("20260328", "-0330")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not here: apt-get install dicom3tools")
@pytest.mark.parametrize("patient_module", [False, True])
def test_dciodvfy_finds_no_error(image: Dataset, tmp_path: Path, patient_module: bool) -> None:
    write_sr(landmarks_to_sr(landmark_set(POINTS), image, patient_module=patient_module), tmp_path / "x.dcm")
    said = subprocess.run(["dciodvfy", str(tmp_path / "x.dcm")], capture_output=True, text=True).stderr
    assert "ComprehensiveSR" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def damaged(document: Dataset, change: str) -> Dataset:
    """A report with one thing wrong."""
    (groups,) = (item for item in document.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    first = groups.ContentSequence[0]
    if change == "twice":
        groups.ContentSequence.append(first)
    elif change == "unknown":
        first.ContentSequence[0].TextValue = "nose"
    elif change == "circle":
        _items(first, "SCOORD")[0].GraphicType = "CIRCLE"
    elif change == "two images":
        _items(first, "SCOORD")[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.9"
    elif change == "no tree":
        del document.ContentSequence
    return document


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("twice", "x: Pog': given more than once"),
        ("unknown", "x: nose: not a landmark of odd_names"),
        ("circle", "a CIRCLE; expected a POINT"),
        ("two images", "x: landmarks on 2 images; expected one"),
        ("no tree", "x: no structured report; expected one of landmarks"),
    ],
)
def test_what_is_no_such_report_is_refused(image: Dataset, tmp_path: Path, change: str, sentence: str) -> None:
    document = landmarks_to_sr(landmark_set(np.array([[1, 2], [3, 4], [5, 6], [7, 8]])), image)
    write_sr(document, tmp_path / "x.dcm")
    plain = pydicom.dcmread(tmp_path / "x.dcm")
    with pytest.raises(LabelError, match=sentence):
        sr_to_landmarks(damaged(plain, change), protocol(), "x")


def test_another_protocol_is_refused(image: Dataset, triangle: Protocol) -> None:
    with pytest.raises(LabelError, match="SR: landmarks of odd_names; expected triangle"):
        sr_to_landmarks(landmarks_to_sr(landmark_set(POINTS), image), triangle)


def test_points_beside_the_image_and_images_without_uids_are_refused(image: Dataset) -> None:
    beside = POINTS.copy()
    beside[0, 0] = -1.1
    with pytest.raises(LabelError, match=f"Pog': beside the image of {WIDTH} x {HEIGHT} pixels"):
        landmarks_to_sr(landmark_set(beside), image)
    header = pydicom.dataset.Dataset(image)
    header.StudyInstanceUID = "x"
    with pytest.raises(ImageError, match="StudyInstanceUID 'x'; expected a valid UID"):
        landmarks_to_sr(landmark_set(POINTS), header)


@pytest.mark.parametrize("content", [b"", b"x" * 500, None])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.dcm").write_bytes(content)
    with pytest.raises(LabelError, match=r"x\.dcm"):
        read_sr(tmp_path / "x.dcm", protocol())
