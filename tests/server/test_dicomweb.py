"""Studies that are a DICOM archive: a real Orthanc, a real server, over DICOMweb and HTTP."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dicom_files
import numpy as np
import pydicom
import pytest
from orthanc import Orthanc
from servers import Server, prepare, publish

import tiny
from landmarklabel.errors import ImageError, LabelError, NotFoundError, RemoteError, StorageError
from landmarklabel.io import read_radiograph
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.dicom_documents import DocumentId, made_at
from landmarklabel.io.dicom_seg import seg_to_segmentation
from landmarklabel.io.dicom_sr import sr_to_landmarks
from landmarklabel.io.dicomweb import Archive, Limits
from landmarklabel.io.image_cache import ImageCache
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict, read_markups
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.resources import resource
from landmarklabel.segmentation import Segmentation

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import ConflictError
from dicomweb import DicomWebDatastore, DicomWebOptions
from ledger import Entry, State
from shapes import StudyShape
from templates import StudyTemplates

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
    """An archive of four radiographs, one of them compressed, and of things that are none."""
    folder = tmp_path_factory.mktemp("orthanc")
    running = Orthanc(folder / "orthanc").start()
    try:
        looks: list[dict[str, Any]] = [{}, {"Modality": "CR"}, {"PhotometricInterpretation": "MONOCHROME1"}, {}]
        running.images = [write_image(folder / f"{seed}.dcm", seed, **look) for seed, look in enumerate(looks)]
        compressed = pydicom.dcmread(folder / "3.dcm")
        compressed.compress(pydicom.uid.RLELossless)
        compressed.save_as(folder / "3.dcm")
        running.bad = [
            write_image(folder / "none.dcm", 10, PixelData=None, Rows=None, Columns=None),
            write_image(folder / "frames.dcm", 11, NumberOfFrames=2),
            write_image(folder / "short.dcm", 12, Rows=4800),
        ]
        write_image(folder / "ct.dcm", 13, Modality="CT")
        for path in sorted(folder.glob("*.dcm")):
            running.put(path)
        yield running
    finally:
        running.stop()


def serve(folder: Path, archive: Orthanc, protocol: Protocol) -> Server:
    """A server whose studies are the archive, started, and once through it."""
    running = prepare(folder, protocol, images=1, labelled=0)
    running.studies = archive.url
    running.conf = {**running.conf, "dicomweb_folder": str(folder / "mirror"), "dicomweb_refresh_s": "1"}
    model = tiny.untrained_model(folder / "model.safetensors", protocol, tiny.config())
    publish(running, model)
    try:
        running.start()
        running.wait_for(lambda: running.get("/info/")["dicomweb"]["looked"], 60)
    except BaseException:
        running.stop()
        raise
    return running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, archive: Orthanc, triangle: Protocol) -> Iterator[Server]:
    running = serve(tmp_path_factory.mktemp("dicomweb") / "s", archive, triangle)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def here(tmp_path: Path, archive: Orthanc, triangle: Protocol) -> DicomWebDatastore:
    """The store of such a server without the server, once through the archive."""
    return opened(tmp_path / "here", archive, triangle)


def opened(folder: Path, archive: Orthanc, protocol: Protocol, **conf: str) -> DicomWebDatastore:
    settings = {"dicomweb_folder": str(folder), **conf}
    store = DicomWebDatastore(DicomWebOptions.of(archive.url, settings), protocol, auto_reload=False)
    store.exchange.look()
    return store


def markups(protocol: Protocol, points: Any) -> dict[str, Any]:
    return markups_to_dict(LandmarkSet.from_points(protocol, points, Status.CORRECTED), GEOMETRY)


def save(store: DicomWebDatastore, image: str, points: Any, file: Path) -> None:
    file.write_text(json.dumps(markups(store.protocol, points)))
    store.save_label(image, str(file), "final", {})


def points_of(store: DicomWebDatastore, image: str) -> np.ndarray:
    path = Path(store.get_label_uri(image, "final"))
    return np.asarray(read_markups(path, store.protocol, GEOMETRY).points)


def state(server: Server, image: str, tag: str = "final") -> str:
    return str(server.get(f"/datastore/label/info?label={image}&tag={tag}")["dicom"]["state"])


def reports(archive: Orthanc, image: str, modality: str = "SR") -> list[pydicom.Dataset]:
    """Documents about an image, the oldest first."""
    found = [pydicom.dcmread(io.BytesIO(data)) for data in archive.instances(modality) if image.encode() in data]
    return sorted(found, key=made_at)


def test_images_are_found_and_read(server: Server, archive: Orthanc) -> None:
    """CR and DX by their UIDs, bright = dense whatever the file's sense, with the spacing of the file."""
    assert set(archive.images) < set(server.get("/datastore/?output=all")["objects"])
    for seed, image in enumerate(archive.images):
        file = server.folder / f"{seed}.dcm"
        file.write_bytes(server("GET", f"/datastore/image?image={image}").content)
        radiograph = read_radiograph(file)
        assert np.array_equal(radiograph.pixels, tiny.triangle_image(seed)[0])
        assert (radiograph.spacing, radiograph.geometry) == ((0.25, 0.5), GEOMETRY)
    landmarks = server.infer(archive.images[1])["landmarks"]
    for landmark in landmarks:
        assert landmark["position"] == pytest.approx(GEOMETRY.pixel_to_world(landmark["pixel"]), abs=1e-6)


def test_what_is_no_radiograph_is_refused_in_a_sentence(server: Server, archive: Orthanc) -> None:
    none, frames, short = archive.bad
    for image, status, sentence in [
        (none, 422, f"image {none}: DICOM without an image (DX); expected a CR or DX image"),
        (frames, 422, f"image {frames} has 2 frames; expected one single 2D image"),
        (short, 422, f"image {short}: damaged DICOM file"),
        ("1.2.3", 404, "there is no image '1.2.3' in these studies"),
        ("../../etc/passwd", 404, "there is no image '../../etc/passwd' in these studies"),
    ]:
        answer = server("POST", f"/infer/landmarks?image={image}")
        assert answer.status_code == status
        assert answer.json()["detail"].startswith(sentence)
    assert server.get("/info/")["dicomweb"]["refused"] == 2


def test_final_labels_are_stored_as_documents(
    server: Server, archive: Orthanc, triangle: Protocol, tmp_path: Path
) -> None:
    """Landmarks as SR with the points, structures as SEG, in the study of their image, which name nobody."""
    image, points = archive.images[0], np.array([[10.25, 30.5], [50.125, 33.0], [np.nan, np.nan]])
    label, mask = markups(triangle, points), np.zeros((1, 48, 64), bool)
    mask[0, 20:23, 10:14] = True
    assert server.put_label(image, label).status_code == 200
    write_segmentation(Segmentation(("outline",), ("Outline",), mask, GEOMETRY), tmp_path / "x.seg.nrrd")
    files = {"label": ("x.seg.nrrd", (tmp_path / "x.seg.nrrd").read_bytes())}
    assert server("PUT", f"/datastore/label?image={image}&tag=final", files=files).status_code == 200
    for tag in ("final", "final_segmentation"):
        server.wait_for(lambda tag=tag: state(server, image, tag) == "stored", 30)
    assert server("GET", f"/datastore/label?label={image}&tag=final").json() == label
    (report,), (structures,) = reports(archive, image), reports(archive, image, "SEG")
    where, landmarks = sr_to_landmarks(report, triangle)
    assert where == image
    assert np.allclose(landmarks.points, points, atol=1e-3, equal_nan=True)
    assert landmarks.status == (Status.CORRECTED, Status.CORRECTED, Status.MISSING)
    where, segmentation = seg_to_segmentation(structures, GEOMETRY, ["outline"])
    assert (where, np.array_equal(segmentation.masks, mask)) == (image, True)
    for document in (report, structures):
        assert document.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.1.1"
        assert (document.PatientName, document.PatientID, document.PatientBirthDate) == ("", "", "")


def test_nothing_of_the_server_says_who_the_patient_is(server: Server, archive: Orthanc) -> None:
    """Neither what it answers nor what it keeps or logs."""
    sent = server("GET", f"/datastore/image?image={archive.images[0]}").content
    header = pydicom.dcmread(io.BytesIO(sent))
    assert (header.SOPInstanceUID, header.PatientName, header.PatientIdentityRemoved) == (archive.images[0], "", "YES")
    everything = [sent, server("GET", "/datastore/?output=all").content, server("GET", "/info/").content]
    everything += [path.read_bytes() for path in [*(server.folder / "mirror").rglob("*"), server.log] if path.is_file()]
    everything += archive.instances("SR") + archive.instances("SEG")
    assert len(everything) > 12
    for secret in ("Secret", NUMBER, "A-77", "19700101"):
        assert not any(secret.encode() in content for content in everything)
    log = server.log.read_text()
    assert "landmarks stored in the DICOM server" in log
    assert not [image for image in [*archive.images, *archive.bad] if image in log]


def test_images_can_be_neither_put_nor_deleted(server: Server, archive: Orthanc, tmp_path: Path) -> None:
    write_image(tmp_path / "x.dcm", 20)
    answer = server("PUT", "/datastore/image?image=x", files={"file": ("x.dcm", (tmp_path / "x.dcm").read_bytes())})
    assert (answer.status_code, "store this one there" in answer.json()["detail"]) == (409, True)
    assert server("DELETE", f"/datastore/image?id={archive.images[0]}").status_code == 409


def test_a_label_outlives_an_archive_and_a_server_that_go_down(
    server: Server, archive: Orthanc, triangle: Protocol
) -> None:
    """It is kept, the server says so, and stores it once the archive is back, though it was killed meanwhile."""
    image, label = archive.images[1], markups(triangle, tiny.triangle_image(1)[1])
    archive.stop()
    try:
        assert server.put_label(image, label).status_code == 200
        server.wait_for(lambda: server.get(f"/datastore/label/info?label={image}&tag=final")["dicom"]["problem"], 30)
        server.wait_for(lambda: server.get("/info/")["dicomweb"]["problem"], 30)
        info = server.get("/info/")["dicomweb"]
        assert (info["labels"]["pending"], info["problem"]) == (1, f"the DICOM server {archive.url} can't be reached")
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.start()
        assert server("GET", f"/datastore/label?label={image}&tag=final").json() == label
        assert state(server, image) == "pending"
    finally:
        archive.start()
    server.wait_for(lambda: state(server, image) == "stored", 60)
    assert len(reports(archive, image)) == 1


def test_a_fresh_server_sees_the_labels_and_others_see_its(
    archive: Orthanc, server: Server, triangle: Protocol, tmp_path: Path
) -> None:
    fresh = serve(tmp_path / "fresh", archive, triangle)
    try:
        fresh.wait_for(lambda: fresh.get("/datastore/")["completed"] == 2, 30)
        for image in archive.images[:2]:
            ours, theirs = (
                each("GET", f"/datastore/label?label={image}&tag=final").json()["markups"][0]["controlPoints"]
                for each in (server, fresh)
            )
            for mine, other in zip(ours, theirs, strict=True):
                assert (mine["label"], mine["description"]) == (other["label"], other["description"])
                assert mine.get("position", []) == pytest.approx(other.get("position", []), abs=1e-3 * 0.25)
            assert state(fresh, image) == "read"
        assert state(fresh, archive.images[0], "final_segmentation") == "read"
        moved = markups(triangle, tiny.triangle_image(1)[1] + 1)
        assert fresh.put_label(archive.images[1], moved).status_code == 200
        server.wait_for(lambda: state(server, archive.images[1]) == "read", 30)
        seen = server("GET", f"/datastore/label?label={archive.images[1]}&tag=final").json()
        for there, here in zip(moved["markups"][0]["controlPoints"], seen["markups"][0]["controlPoints"], strict=True):
            assert here["position"] == pytest.approx(there["position"], abs=1e-3)
    finally:
        fresh.stop()


# Without the server -----------------------------------------------------------------------------------------


def test_a_label_that_was_sent_without_an_answer_is_stored_once(
    here: DicomWebDatastore, archive: Orthanc, tmp_path: Path
) -> None:
    image = archive.images[2]
    save(here, image, tiny.triangle_image(2)[1], tmp_path / "x.mrk.json")
    here.exchange.send()
    (entry,) = (entry for entry in here.ledger.entries() if entry.image == image)
    assert entry.state is State.STORED
    here.ledger.settle(entry, State.PENDING)  # as after a power failure before the answer came
    here.exchange.send()
    assert [report.SOPInstanceUID for report in reports(archive, image)] == [entry.document.sop_uid]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), State.PENDING),
        (OSError(errno.EMFILE, "Too many open files"), State.PENDING),
        (StorageError("the disk is full"), State.PENDING),
        (MemoryError(), State.PENDING),
        (LabelError("the label has no points"), State.FAILED),
        (OSError("image file is truncated"), State.FAILED),
        (ValueError("a name is too long"), State.FAILED),
    ],
)
def test_a_label_that_this_machine_could_not_send_is_sent_later(
    tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch, problem: Exception, expected: State
) -> None:
    """Only what the label itself is the reason of is given up."""
    options = DicomWebOptions.of("http://127.0.0.1:9/dicom-web", {"dicomweb_folder": str(tmp_path)})
    exchange = DicomWebDatastore(options, triangle, auto_reload=False).exchange
    exchange._ledger.put(Entry("1.2.3", "landmarks", "", DocumentId(), State.PENDING))

    def fail(_: Entry) -> None:
        raise problem

    monkeypatch.setattr(exchange, "_document", fail)
    with suppress(RemoteError):  # which has it tried again
        exchange.send()
    assert exchange._ledger.counts()[expected.value] == 1


def test_the_label_made_last_counts(
    here: DicomWebDatastore, archive: Orthanc, triangle: Protocol, tmp_path: Path
) -> None:
    """Whoever made it, and whichever was sent first; one that is deleted here does not come back."""
    image, points, file = archive.images[3], tiny.triangle_image(3)[1], tmp_path / "x.mrk.json"
    other = opened(tmp_path / "other", archive, triangle)
    save(here, image, points, file)
    save(other, image, points + 1, file)
    other.exchange.send()
    here.exchange.look()
    assert np.allclose(points_of(here, image), points)  # made here, and not sent yet
    here.exchange.send()
    for store in (here, other):
        store.exchange.look()
        assert np.allclose(points_of(store, image), points + 1, atol=1e-3)
    here.remove_label(image, "final")
    here.exchange.look()
    assert here.get_label_uri(image, "final") == ""
    save(other, image, points + 2, file)
    other.exchange.send()
    here.exchange.look()
    assert np.allclose(points_of(here, image), points + 2, atol=1e-3)


def test_a_document_that_there_is_no_room_for_is_read_later(
    here: DicomWebDatastore, archive: Orthanc, triangle: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, other = archive.images[2], opened(tmp_path / "other", archive, triangle)
    save(other, image, tiny.triangle_image(2)[1] + 4, tmp_path / "x.mrk.json")
    other.exchange.send()

    def full(*_: Any) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(here, "take_label", full)
        with pytest.raises(StorageError):
            here.exchange.look()
    here.exchange.look()
    assert np.allclose(points_of(here, image), tiny.triangle_image(2)[1] + 4, atol=1e-3)


def test_a_label_that_changes_by_hand_is_sent(here: DicomWebDatastore, archive: Orthanc, tmp_path: Path) -> None:
    image = archive.images[2]
    before = len(reports(archive, image))
    label = here.options.studies / "labels" / "final" / f"{image}.mrk.json"
    label.write_text(json.dumps(markups(here.protocol, tiny.triangle_image(2)[1] + 3)))
    here.refresh()
    here.exchange.look()
    here.exchange.send()
    assert len(reports(archive, image)) == before + 1


def test_documents_name_the_patient_if_that_is_asked_for(archive: Orthanc, triangle: Protocol, tmp_path: Path) -> None:
    store = opened(tmp_path / "naming", archive, triangle, dicomweb_patient_module="true")
    image = archive.images[0]
    save(store, image, tiny.triangle_image(0)[1], tmp_path / "x.mrk.json")
    store.exchange.send()
    report = reports(archive, image)[-1]
    assert (report.PatientName, report.PatientID, report.StudyDate) == (NAME, NUMBER, "20200102")


def test_fetched_images_are_bounded(here: DicomWebDatastore, archive: Orthanc, tmp_path: Path) -> None:
    """The one that was not used for longest goes; it is fetched again when it is asked for."""
    size = here.require_image(archive.images[0]).stat().st_size
    cache = ImageCache(tmp_path / "images", 2 * size + size // 2)
    fetched: list[str] = []

    def fetch(name: str, path: Path) -> None:
        fetched.append(name)
        path.write_bytes(bytes(size))

    for name in ("a", "b", "a", "c", "a", "b"):
        assert cache.path(name, lambda path, name=name: fetch(name, path)).is_file()
        assert cache.bytes() <= 2 * size + size // 2
        time.sleep(0.01)  # a file system's clock has steps
    assert fetched == ["a", "b", "c", "b"]


def test_what_is_too_large_or_interrupted_leaves_nothing(archive: Orthanc, triangle: Protocol, tmp_path: Path) -> None:
    store = opened(tmp_path / "bounded", archive, triangle)
    for path in tmp_path.rglob("images/*"):
        path.unlink()
    store.archive = Archive(archive.url, limits=Limits(bytes=2000))
    with pytest.raises(RemoteError, match="sends more than the 2000 bytes that are taken"):
        store.require_image(archive.images[0])
    with pytest.raises(ImageError, match=f"image {archive.bad[2]}: damaged DICOM"):
        opened(tmp_path / "second", archive, triangle).require_image(archive.bad[2])
    left = [path.name for path in tmp_path.rglob("images/*")]
    assert not any(archive.bad[2] in name or name.endswith(".part") for name in left)
    assert not list((tmp_path / "bounded").rglob("images/*"))


def test_a_data_set_has_the_pixels(here: DicomWebDatastore, archive: Orthanc, tmp_path: Path) -> None:
    """Not the headers, which are all that lies here of images that nobody has asked for."""
    image = archive.images[2]
    save(here, image, tiny.triangle_image(2)[1], tmp_path / "x.mrk.json")
    file = Path(here.get_dataset_archive(None))
    with zipfile.ZipFile(file) as data_set:
        data_set.extract(f"image/{image}.dcm", tmp_path)
    file.unlink()
    assert np.array_equal(read_radiograph(tmp_path / f"image/{image}.dcm").pixels, tiny.triangle_image(2)[0])


def test_what_is_known_of_a_label_needs_no_archive(
    here: DicomWebDatastore, archive: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch asks it of every image before it begins."""
    image = archive.images[2]
    save(here, image, tiny.triangle_image(2)[1], tmp_path / "x.mrk.json")

    def down(*_: Any) -> None:
        raise RemoteError("the DICOM server can't be reached")

    monkeypatch.setattr(here.archive, "instance", down)
    assert here.get_label_info(image, "final")["dicom"]["state"] == "pending"
    with pytest.raises(NotFoundError, match="there is no image '1.2.3'"):
        here.get_label_info("1.2.3", "final")


def test_training_sees_the_labelled_images(here: DicomWebDatastore, archive: Orthanc, triangle: Protocol) -> None:
    """With their pixels, of one patient under a name that is not the patient's; and nothing stays behind."""
    labelled = here.labelled_images()
    assert labelled
    with here.for_training():
        dataset = read_dataset(f"studies:{here.options.training}", triangle)
        assert [case.id for case in dataset.labelled()] == labelled
        for case in dataset.labelled():
            seed = archive.images.index(case.id)
            assert np.array_equal(case.radiograph().pixels, tiny.triangle_image(seed)[0])
        patients = {case.patient for case in dataset.labelled()}
        assert len(patients) == 1
        assert NUMBER not in patients
    assert not here.options.training.exists()
    assert here.labelled_images() == labelled


def test_images_of_an_archive_are_not_uploaded(here: DicomWebDatastore, tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="the images are those of http://127.0.0.1"):
        here.add_image("x", str(tmp_path / "x.dcm"), {})
    with pytest.raises(NotFoundError, match="the id is its SOPInstanceUID"):
        here.require_image("x")


def test_how_labels_look_is_learned_from_what_the_archive_sends(
    here: DicomWebDatastore, archive: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image is looked at once, however often it is used; nobody who waits fetches one; an outage is no verdict."""
    for seed, image in enumerate(archive.images[:3]):
        save(here, image, tiny.triangle_image(seed)[1], tmp_path / "label.mrk.json")
    with monkeypatch.context() as away:
        away.setattr(here, "archive", Archive("http://127.0.0.1:9/dicom-web"))
        found = StudyTemplates(here, StudyShape(here))
        with pytest.raises(RemoteError):
            found.step()
        assert found.labels() == 0
    while found.step():
        pass
    assert found.labels() == len(StudyShape(here).placed()) >= 3  # those of tests before lie in the archive, too
    image = here.require_image(archive.images[3])
    first = found.say(image, None).evidence
    assert first is not None
    assert found.say(here.require_image(archive.images[3]), None).evidence is first
