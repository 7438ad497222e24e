"""What goes to and fro between a label store and an archive while people work; the archive itself is not asked."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dicom_files
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from servers import prepare

import tiny
from landmarklabel.errors import StorageError
from landmarklabel.io.dicom_documents import LANDMARKS, DocumentId
from landmarklabel.io.dicom_sr import landmarks_to_sr
from landmarklabel.io.dicomweb import Series
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict, read_markups
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

import dicomweb
from datastore import ConflictError, LandmarkDatastore
from dicomweb import DicomWebDatastore, DicomWebOptions
from ledger import Entry, State

ANNAS, ARCHIVES = (
    np.array([[10.0, 30.0], [50.0, 33.0], [30.0, 8.0]]),
    np.array([[12.0, 31.0], [48.0, 30.0], [33.0, 9.0]]),
)


def opened(folder: Path, protocol: Protocol) -> DicomWebDatastore:
    """Studies of an archive that can't be reached."""
    options = DicomWebOptions.of("http://127.0.0.1:9/dicom-web", {"dicomweb_folder": str(folder / "mirror")})
    return DicomWebDatastore(options, protocol, auto_reload=False)


@pytest.fixture
def store(tmp_path: Path, triangle: Protocol) -> DicomWebDatastore:
    return opened(tmp_path, triangle)


@pytest.fixture
def image(store: DicomWebDatastore, tmp_path: Path) -> str:
    """One that was found in the archive."""
    uids = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}
    header = pydicom.dcmread(dicom_files.write(tmp_path / "x.dcm", tiny.triangle_image(0)[0].astype(int), 8, **uids))
    store.add_header(header)
    store.refresh()
    return str(header.SOPInstanceUID)


def label(store: DicomWebDatastore, image: str, points: np.ndarray) -> bytes:
    landmarks = LandmarkSet.from_points(store.protocol, points, Status.CORRECTED)
    return json.dumps(markups_to_dict(landmarks, store.geometry(image))).encode()


def store_only(store: DicomWebDatastore, image: str, points: np.ndarray, folder: Path, tag: str = "final") -> None:
    """The first half of a save: the exchange has not been told yet."""
    file = folder / "annas.mrk.json"
    file.write_bytes(label(store, image, points))
    LandmarkDatastore.save_label(store, image, str(file), tag, {"user": "anna"})


def points_of(store: DicomWebDatastore, image: str, tag: str = "final") -> np.ndarray:
    file = Path(store.get_label_uri(image, tag))
    return np.asarray(read_markups(file, store.protocol, store.geometry(image)).points)


def document(store: DicomWebDatastore, image: str, made: datetime) -> Dataset:
    """A label of another site."""
    landmarks = LandmarkSet.from_points(store.protocol, ARCHIVES, Status.CORRECTED)
    return landmarks_to_sr(landmarks, pydicom.dcmread(store.header_file(image)), DocumentId(made=made))


def read(store: DicomWebDatastore, document: Dataset) -> bool:
    """Come upon a document in the archive. Returns whether it is done with."""
    return store.exchange._read(LANDMARKS, document, str(document.SeriesInstanceUID))


def ago(**time: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(**time)


def test_a_label_of_the_archive_leaves_what_is_half_done_here(
    store: DicomWebDatastore, image: str, tmp_path: Path
) -> None:
    store_only(store, image, ANNAS, tmp_path, "draft")
    assert read(store, document(store, image, ago(seconds=0)))
    assert np.allclose(points_of(store, image), ARCHIVES, atol=1e-3)
    assert [(each.image, each.tag) for each in store.store.drafts()] == [(image, "draft")]
    assert np.allclose(points_of(store, image, "draft"), ANNAS)
    store_only(store, image, ANNAS + 1, tmp_path)
    assert store.store.drafts() == []


@pytest.mark.parametrize("when", ["before it is taken", "after it was taken"])
def test_a_label_that_is_saved_while_a_document_is_taken_counts_and_is_sent(
    store: DicomWebDatastore, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    saving = threading.Thread(target=store_only, args=(store, image, ANNAS, tmp_path))
    take = store.take_label

    def while_anna_saves(*arguments: Any) -> None:
        if when == "after it was taken":
            take(*arguments)
        saving.start()
        saving.join(0.5)  # she need not wait, or waits until the document is taken
        if when == "before it is taken":
            take(*arguments)

    monkeypatch.setattr(store, "take_label", while_anna_saves)
    assert read(store, document(store, image, ago(minutes=5)))
    saving.join()
    store.exchange.note(image)
    assert np.allclose(points_of(store, image), ANNAS)
    assert store.get_label_info(image, "final")["dicom"]["state"] == "pending"


def test_a_label_of_which_the_exchange_knows_nothing_yet_is_not_replaced(
    store: DicomWebDatastore, image: str, tmp_path: Path
) -> None:
    """It was saved a moment ago, or the power failed before the exchange was told; the document waits for it."""
    store_only(store, image, ANNAS, tmp_path)
    assert not read(store, document(store, image, ago(minutes=5)))
    assert np.allclose(points_of(store, image), ANNAS)
    assert store.get_label_info(image, "final")["dicom"]["state"] == "pending"


def test_a_label_of_the_archive_is_not_sent_back(store: DicomWebDatastore, image: str) -> None:
    assert read(store, document(store, image, ago(minutes=5)))
    store.exchange.note(image)
    assert store.get_label_info(image, "final")["dicom"]["state"] == "read"


def test_a_save_is_none_the_less_one_when_the_exchange_can_not_note_it(
    store: DicomWebDatastore, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is found as soon as all labels are looked at; as is that it was deleted."""
    file = tmp_path / "annas.mrk.json"
    file.write_bytes(label(store, image, ANNAS))

    def locked(_: Entry) -> None:
        raise StorageError("what is known of the DICOM server could not be written")

    with monkeypatch.context() as patch:
        patch.setattr(store.ledger, "put", locked)
        assert store.save_label(image, str(file), "final", {}) == image
    store.exchange._look_at_labels()
    assert store.get_label_info(image, "final")["dicom"]["state"] == "pending"
    with monkeypatch.context() as patch:
        patch.setattr(store.ledger, "put", locked)
        store.remove_label(image, "final")
    store.exchange._look_at_labels()
    assert [entry.state for entry in store.ledger.entries()] == [State.REMOVED]


def test_a_ledger_that_others_keep_or_that_there_is_no_room_for_is_said_in_a_sentence(
    store: DicomWebDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mirror" / "archive.sqlite"
    monkeypatch.setattr(store.ledger, "_open", lambda: sqlite3.connect(file, timeout=0))
    said = f"what is known of the DICOM server could not be written to {file.parent}"
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=said):
            store.ledger.mark_read("1.2.3")
    store.ledger.mark_read("1.2.3")


# An app that is loaded anew ---------------------------------------------------------------------------------


def test_what_begins_beside_a_training_leaves_it_its_images(
    store: DicomWebDatastore, tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app that /reload makes, and another training, which says so."""
    monkeypatch.setattr(dicomweb, "_PATIENCE_S", 0.1)
    again = opened(tmp_path, triangle)
    with store.for_training():
        again.start()
        again.stop()
        with pytest.raises(ConflictError, match="another training has its images in"), again.for_training():
            pass
        assert (store.options.training / "labels").is_symlink()
    with again.for_training():
        assert (store.options.training / "labels").is_symlink()


def test_what_a_training_left_that_was_killed_is_gone_with_the_next_start(store: DicomWebDatastore) -> None:
    store.options.training.mkdir()
    store.start()
    store.stop()
    assert not store.options.training.exists()


def test_an_exchange_ends_in_the_middle_of_what_it_goes_through(
    store: DicomWebDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, taken = threading.Event(), threading.Event(), list[Series]()

    def headers(series: Series) -> list[Dataset]:
        taken.append(series)
        begun.set()
        assert go_on.wait(30)
        return []

    monkeypatch.setattr(store.archive, "series", lambda *_: [Series("1.2.3", f"1.2.3.{number}") for number in range(9)])
    monkeypatch.setattr(store.archive, "headers", headers)
    store.start()
    assert begun.wait(30)
    store.exchange.stop(timeout=0)
    go_on.set()
    store.exchange.join(30)
    assert not store.exchange.is_alive()
    assert len(taken) == 1


@pytest.mark.slow
def test_an_app_that_is_loaded_anew_goes_on_exchanging(tmp_path: Path, triangle: Protocol) -> None:
    running = prepare(tmp_path / "s", triangle, images=1, labelled=0)
    running.studies = "http://127.0.0.1:9/dicom-web"
    running.conf |= {"dicomweb_folder": str(tmp_path / "mirror")}

    def problem() -> str | None:
        return running.get("/info/")["dicomweb"]["problem"]

    try:
        running.start()
        running.wait_for(problem, 60)
        assert running("POST", "/reload").status_code == 200
        running.wait_for(problem, 60)
        assert problem() == "the DICOM server http://127.0.0.1:9/dicom-web can't be reached"
    finally:
        running.stop()
