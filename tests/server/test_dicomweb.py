"""Studies that are a DICOM archive: a real Orthanc, a real server, over DICOMweb and HTTP."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dicom_files
import numpy as np
import pydicom
import pytest
from label_files import label_image
from orthanc import Orthanc
from servers import Server, prepare, publish

import tiny
from landmarklabel.io.dicom_sr import sr_to_landmarks
from landmarklabel.io.dicomweb import Archive
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

pytestmark = pytest.mark.slow

NAME, NUMBER = "Secret^Patient", "MRN-4711"
GEOMETRY = Geometry(tiny.SIZE, (0.25, 0.5))


def write_image(path: Path, seed: int, **attributes: Any) -> str:
    """A radiograph as a hospital has it; its SOPInstanceUID."""
    stored = tiny.triangle_image(seed)[0].astype(int)
    given = {
        "PatientName": NAME, "PatientID": NUMBER, "PatientBirthDate": "19700101", "PatientSex": "O",
        "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.1.{seed + 1}", "StudyDate": "20200102", "StudyTime": "1201",
        "SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.2.{seed + 1}", "StudyID": "s", "AccessionNumber": "A-77",
        "InstitutionName": "Secret Hospital", "ImagerPixelSpacing": [0.5, 0.25],
    }  # fmt: skip
    if attributes.get("PhotometricInterpretation") == "MONOCHROME1":
        stored = 255 - stored
    dicom_files.write(path, stored, 8, **{**given, **attributes})
    return str(pydicom.dcmread(path).SOPInstanceUID)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive of three radiographs, and of things that are none."""
    folder = tmp_path_factory.mktemp("orthanc")
    running = Orthanc(folder / "orthanc").start()
    try:
        images = [write_image(folder / "0.dcm", 0), write_image(folder / "1.dcm", 1, Modality="CR")]
        images += [write_image(folder / "2.dcm", 2, PhotometricInterpretation="MONOCHROME1")]
        bad = [
            write_image(folder / "none.dcm", 3, PixelData=None, Rows=None, Columns=None),
            write_image(folder / "frames.dcm", 4, NumberOfFrames=2),
            write_image(folder / "short.dcm", 5, Rows=4800),
        ]
        write_image(folder / "ct.dcm", 6, Modality="CT")
        for path in folder.glob("*.dcm"):
            running.put(path)
        running.images, running.bad = images, bad  # type: ignore[attr-defined]
        yield running
    finally:
        running.stop()


def served(folder: Path, archive: Orthanc, protocol: Protocol, **conf: str) -> Server:
    """A server, not started, whose studies are the archive."""
    running = prepare(folder, protocol, images=1, labelled=0)
    running.studies = archive.url  # type: ignore[assignment]
    running.conf = {**running.conf, "dicomweb_folder": str(folder / "mirror"), "dicomweb_refresh_s": "1", **conf}
    return running


def ready(server: Server, images: int = 4) -> Server:
    """Started, and once through the archive. What is too short is among the images until somebody asks for it."""
    server.start()
    server.wait_for(lambda: server.get("/info/")["dicomweb"]["looked"], 60)
    assert server.get("/datastore/")["total"] == images
    return server


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, archive: Orthanc, triangle: Protocol, trained: Path
) -> Iterator[Server]:
    running = served(tmp_path_factory.mktemp("dicomweb") / "s", archive, triangle)
    publish(running, trained)
    try:
        yield ready(running)
    finally:
        running.stop()


def markups(protocol: Protocol, points: Any) -> dict[str, Any]:
    landmarks = LandmarkSet.from_points(protocol, points, Status.CORRECTED)
    return markups_to_dict(landmarks, GEOMETRY)


def state(server: Server, image: str, tag: str = "final") -> str:
    return str(server.get(f"/datastore/label/info?label={image}&tag={tag}")["dicom"]["state"])


def test_images_are_found_and_read(server: Server, archive: Orthanc) -> None:
    """CR and DX by their UIDs, bright = dense whatever the file's sense, with the spacing of the file."""
    listed = server.get("/datastore/?output=all")["objects"]
    assert set(archive.images) < set(listed)
    for seed, image in enumerate(archive.images):
        answer = server.infer(image)
        assert answer["spacing"]["mm"] == [0.25, 0.5] if "mm" in answer["spacing"] else True
        pixels = np.array([landmark["pixel"] for landmark in answer["landmarks"]])
        assert np.linalg.norm(pixels - tiny.triangle_image(seed)[1], axis=1).max() < 4
        world = np.array([landmark["position"][:2] for landmark in answer["landmarks"]])
        assert np.allclose(world, pixels * (0.25, 0.5), atol=1e-3)


def test_what_is_no_radiograph_is_refused_in_a_sentence(server: Server, archive: Orthanc) -> None:
    none, frames, short = archive.bad
    for image, sentence in [
        (none, f"image {none}: DICOM without an image (DX); expected a CR or DX image"),
        (frames, f"image {frames} has 2 frames; expected one single 2D image"),
        (short, f"image {short}: damaged DICOM file"),
        ("1.2.3", "there is no image '1.2.3' in these studies"),
        ("../../etc/passwd", "there is no image '../../etc/passwd' in these studies"),
    ]:
        answer = server("POST", f"/infer/landmarks?image={image}")
        assert answer.status_code in (404, 422)
        assert answer.json()["detail"].startswith(sentence)
    assert server.get("/info/")["dicomweb"]["refused"] == 2


def test_nothing_that_leaves_the_server_says_who_the_patient_is(server: Server, archive: Orthanc) -> None:
    image = archive.images[0]
    sent = server("GET", f"/datastore/image?image={image}").content
    header = pydicom.dcmread(io.BytesIO(sent))
    assert (header.SOPInstanceUID, header.PatientName, header.PatientIdentityRemoved) == (image, "", "YES")
    everything = [sent, server("GET", "/datastore/?output=all").content, server("GET", "/info/").content]
    everything += [
        path.read_bytes() for path in server.folder.rglob("*") if path.is_file() and "/app/" not in str(path)
    ]
    for secret in (NAME, "Secret", NUMBER, "A-77", "19700101"):
        assert not any(secret.encode() in content for content in everything)


def test_images_can_be_neither_put_nor_deleted(server: Server, archive: Orthanc, tmp_path: Path) -> None:
    write_image(tmp_path / "x.dcm", 9)
    answer = server("PUT", "/datastore/image?image=x", files={"file": ("x.dcm", (tmp_path / "x.dcm").read_bytes())})
    assert (answer.status_code, "store this one there" in answer.json()["detail"]) == (409, True)
    assert server("DELETE", f"/datastore/image?id={archive.images[0]}").status_code == 409


def test_final_labels_are_stored_as_documents(
    server: Server, archive: Orthanc, triangle: Protocol, tmp_path: Path
) -> None:
    """Landmarks as SR with the points, structures as SEG, in the study of their image, naming nobody."""
    image, points = archive.images[0], np.array([[10.25, 30.5], [50.125, 33.0], [np.nan, np.nan]])
    label = markups(triangle, points)
    assert server.put_label(image, label).status_code == 200
    server.wait_for(lambda: state(server, image) == "stored", 30)
    assert server("GET", f"/datastore/label?label={image}&tag=final").json() == label
    (report,) = (pydicom.dcmread(io.BytesIO(data)) for data in archive.instances("SR"))
    where, landmarks = sr_to_landmarks(report, triangle)
    assert where == image
    assert np.allclose(landmarks.points, points, atol=1e-3, equal_nan=True)
    assert landmarks.status == (Status.CORRECTED, Status.CORRECTED, Status.MISSING)
    segmentation = label_image(tmp_path / "x.seg.nrrd", segment="outline")
    files = {"label": (segmentation.name, segmentation.read_bytes())}
    assert server("PUT", f"/datastore/label?image={image}&tag=final", files=files).status_code in (200, 422)
    for document in (report,):
        assert (document.StudyInstanceUID, document.PatientName, document.PatientID) == (
            "1.2.826.0.1.3680043.8.498.1.1", "", "",
        )  # fmt: skip
        assert document.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID == document.StudyInstanceUID


def test_a_label_outlives_an_archive_that_is_down(server: Server, archive: Orthanc, triangle: Protocol) -> None:
    """It is kept, the server says so, and it is stored once the archive is back, also by a server started again."""
    image = archive.images[1]
    server.infer(image)
    archive.stop()
    label = markups(triangle, tiny.triangle_image(1)[1])
    assert server.put_label(image, label).status_code == 200
    server.wait_for(lambda: server.get(f"/datastore/label/info?label={image}&tag=final")["dicom"]["problem"], 30)
    info = server.get("/info/")["dicomweb"]
    assert info["labels"]["pending"] == 1
    assert f"the DICOM server {archive.url} can't be reached" in info["problem"]
    assert server("GET", f"/datastore/label?label={image}&tag=final").json() == label
    server.stop()
    server.start()
    assert state(server, image) == "pending"
    before = time.monotonic()
    archive.start()
    server.wait_for(lambda: state(server, image) == "stored", 60)
    assert time.monotonic() - before < 60
    assert len(archive.instances("SR")) == 2


def test_a_fresh_server_sees_the_labels(archive: Orthanc, server: Server, triangle: Protocol, tmp_path: Path) -> None:
    """What one server stored, and what another one stored later."""
    fresh = served(tmp_path / "fresh", archive, triangle)
    try:
        ready(fresh)
        fresh.wait_for(lambda: fresh.get("/datastore/")["completed"] == 2, 30)
        for image in archive.images[:2]:
            ours, theirs = (each("GET", f"/datastore/label?label={image}&tag=final").json() for each in (server, fresh))
            for mine, other in zip(
                ours["markups"][0]["controlPoints"], theirs["markups"][0]["controlPoints"], strict=True
            ):
                assert (mine["label"], mine["description"]) == (other["label"], other["description"])
                assert mine.get("position", []) == pytest.approx(other.get("position", []), abs=1e-3)
            assert state(fresh, image) == "read"
        moved = markups(triangle, tiny.triangle_image(1)[1] + 1)
        assert fresh.put_label(archive.images[1], moved).status_code == 200
        server.wait_for(lambda: state(server, archive.images[1]) == "read", 30)
        seen = server("GET", f"/datastore/label?label={archive.images[1]}&tag=final").json()
        assert json.dumps(seen)[:50] == json.dumps(moved)[:50]
    finally:
        fresh.stop()


def test_the_cache_has_a_bound(archive: Orthanc) -> None:
    assert len(list(Archive(archive.url).series("DX"))) == 5
