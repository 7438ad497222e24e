"""What goes to and fro between a label store and a DICOM archive, in the background.

- Images of the archive are found, and taken into the studies or refused with a reason.
- Final labels are sent: landmarks as SR, structures as SEG. What could not be sent is sent later, under the same UIDs.
- Documents that others have stored are read as labels. Of several, the one that was made last counts.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from landmarklabel.errors import LandmarkLabelError, NotFoundError, RemoteError, StorageError
from landmarklabel.files import sha256
from landmarklabel.io import dicom_documents
from landmarklabel.io.cases import closed_structures, read_structures
from landmarklabel.io.dicom import require_radiograph
from landmarklabel.io.dicom_documents import LANDMARKS, STRUCTURES, DocumentId
from landmarklabel.io.dicomweb import Series
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.markups import read_markups, write_markups
from ledger import Entry, State

if TYPE_CHECKING:
    from dicomweb import DicomWebDatastore

logger = logging.getLogger(__name__)
for _name in ("dicomweb_client", "highdicom"):  # they note every search, and every module of a document
    logging.getLogger(_name).setLevel(logging.WARNING)

#: Tag of the final labels of each kind, and the modality of their documents.
TAGS = {LANDMARKS: "final", STRUCTURES: "final_segmentation"}
MODALITIES = {LANDMARKS: "SR", STRUCTURES: "SEG"}

_FIRST_RETRY_S, _LONGEST_RETRY_S = 2.0, 300.0
_IN_VAIN = 3  # failures one after the other, after which the archive is left alone for a while
_LOOK_SHARE = 0.1  # of its time that the archive is asked for news


_T = TypeVar("_T")


def _may_pass(problem: BaseException | None) -> bool:
    """Whether the same may do later: the archive, or this machine, failed, and not the label itself."""
    if isinstance(problem, LandmarkLabelError):  # of a label that could not be read, what kept from it came before
        passing = isinstance(problem, (RemoteError, NotFoundError, StorageError))
        return passing or _may_pass(problem.__cause__ or problem.__context__)
    # Decoders of images say by an OSError without a number that a file is damaged.
    return isinstance(problem, MemoryError) or (isinstance(problem, OSError) and problem.errno is not None)


class Exchange(threading.Thread):
    """Keeps a store and an archive at the same.

    Args:
        store: the labels; knows its archive and its ledger.
    """

    def __init__(self, store: DicomWebDatastore) -> None:
        super().__init__(daemon=True, name="exchange with the DICOM server")
        self._store, self._archive, self._ledger = store, store.archive, store.ledger
        self._mutex = threading.RLock()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._retry_s = _FIRST_RETRY_S
        self._problems = {self.look: "", self.send: ""}
        self._looked: str | None = None
        self._waiting: set[str] = set()
        self._revision = -1

    # What others ask ----------------------------------------------------------------------------------------

    def note(self, image: str) -> None:
        """Look at the final labels of an image: what has changed is to be sent. Soon, if this runs.

        The label itself is stored: what can't be noted now is found when all labels are looked at the next time.
        """
        try:
            for kind in TAGS:
                self._note(image, kind)
        except Exception:
            logger.exception("a label that is to be sent could not be noted; all are looked at later")
        self._wake.set()

    def stop(self, timeout: float = 10.0) -> None:
        """End once what is being sent or read just now is done. What is left, another one does."""
        self._ended.set()
        self._wake.set()
        if self.is_alive():
            self.join(timeout)

    def info(self) -> dict[str, Any]:
        """For ``/info/``: labels by state, when the archive was last looked through, what is wrong with it."""
        problem = next(filter(None, self._problems.values()), None)
        return {"labels": self._ledger.counts(), "looked": self._looked, "problem": problem}

    def label_info(self, image: str, tag: str) -> dict[str, Any]:
        """Of a final label: its document in the archive."""
        entry = next((self._ledger.entry(image, kind) for kind, each in TAGS.items() if each == tag), None)
        if entry is None:
            return {}
        document = {"sop_instance_uid": entry.document.sop_uid, "series_instance_uid": entry.document.series_uid}
        return {"dicom": {"state": entry.state.value, "problem": entry.problem or None, **document}}

    # The thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        next_look = 0.0
        while True:
            self._wake.clear()
            if self._ended.is_set():  # after that: whoever stops it sets this first
                return
            if time.monotonic() >= next_look:
                began = time.monotonic()
                self._try(self.look)
                took = time.monotonic() - began
                next_look = began + max(self._store.options.refresh_s, took / _LOOK_SHARE)
            pending = self._try(self.send)
            self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S) if pending else _FIRST_RETRY_S
            wait = next_look - time.monotonic()
            self._wake.wait(max(0.0, min(wait, self._retry_s) if pending else wait))

    def _try(self, step: Callable[[], None]) -> bool:
        """Returns whether a step failed; whatever goes wrong, the next time is another one."""
        before, now = self._problems[step], ""
        try:
            step()
        except LandmarkLabelError as problem:
            now = str(problem)
        except Exception as problem:
            now = f"the exchange with the DICOM server failed ({type(problem).__name__}); the log says where"
            logger.exception("the exchange with the DICOM server failed")
        self._problems[step] = now
        if bool(now) != bool(before):  # an archive that is down for a weekend fills no log
            logger.warning("the exchange with the DICOM server %s", "fails: GET /info/ says how" if now else "goes on")
        return bool(now)

    def _each(self, things: Iterable[_T], act: Callable[[_T], None]) -> None:
        """Go through all, so that one that can't be sent or read does not keep the rest; not on and on in vain.

        Raises:
            RemoteError: that of the last one that failed.
        """
        failed, in_vain = None, 0
        for thing in things:
            if self._ended.is_set():
                break
            try:
                act(thing)
                in_vain = 0
            except (RemoteError, NotFoundError) as problem:
                failed, in_vain = problem, in_vain + 1
                if in_vain >= _IN_VAIN:
                    break
        if failed is not None:
            raise RemoteError(str(failed))

    def look(self) -> None:
        """Look through the archive for images and documents, and through the store for labels to send.

        Raises:
            RemoteError: the archive does not answer as it should.
        """
        self._look_at_labels()
        images = [partial(self._take_images, modality) for modality in self._store.options.modalities]
        documents = [partial(self._read_documents, kind, modality) for kind, modality in MODALITIES.items()]
        self._each([*images, *documents], lambda step: step())
        self._looked = datetime.now(timezone.utc).isoformat(timespec="seconds")

    # Images -------------------------------------------------------------------------------------------------

    def _take_images(self, modality: str) -> None:
        found: list[bool] = []

        def take(series: Series) -> None:
            if not self._ledger.is_known(series.uid, series.instances):
                found.extend(self._take_image(header) for header in self._archive.headers(series))
                self._ledger.know(series.uid, series.instances)

        try:
            self._each(self._archive.series(modality), take)
        finally:
            if any(found):
                self._store.refresh()
                self._waiting.clear()  # documents may have waited for their images

    def _take_image(self, header: Dataset) -> bool:
        """Returns whether an image is among the studies now."""
        uid = str(header.get("SOPInstanceUID") or "")
        if not UID(uid).is_valid:
            logger.warning("an image of the DICOM server is left out: its SOPInstanceUID is no valid UID")
            return False
        try:
            require_radiograph(header, f"image {uid}")
            dicom_documents.evidence_of(header, patient_module=False)
            self._store.add_header(header)
            return True
        except StorageError:
            raise
        except Exception as problem:  # elements can be damaged in any way
            ours = isinstance(problem, LandmarkLabelError)
            reason = str(problem) if ours else f"image {uid}: damaged DICOM header ({type(problem).__name__})"
            logger.warning("an image of the DICOM server is left out (%s)", type(problem).__name__)
            self._ledger.refuse(uid, reason)
            return False

    # Labels to send -----------------------------------------------------------------------------------------

    def _look_at_labels(self) -> None:
        """Find final labels that changed in any way: restored, put by hand, saved a moment before the power failed."""
        revision = self._store.revision
        if revision == self._revision:
            return
        images = {entry.image for entry in self._ledger.entries()}
        for image in sorted(images.union(self._store.labelled_images())):
            for kind in TAGS:
                self._note(image, kind)
        self._revision = revision

    def _note(self, image: str, kind: str) -> None:
        with self._mutex:
            file, entry = self._label(image, kind), self._ledger.entry(image, kind)
            if file is None:
                if entry is not None and entry.state is not State.REMOVED:
                    self._ledger.put(Entry(image, kind, "", DocumentId(), State.REMOVED))
                return
            digest = sha256(file)
            if entry is None or entry.digest != digest:
                self._ledger.put(Entry(image, kind, digest, DocumentId(), State.PENDING))

    def _label(self, image: str, kind: str) -> Path | None:
        uri = self._store.get_label_uri(image, TAGS[kind])
        return Path(uri) if uri and Path(uri).is_file() else None

    def send(self) -> None:
        """Send what is to be sent, the oldest first.

        Raises:
            RemoteError: not all could be sent.
        """
        self._each(self._ledger.entries(State.PENDING), self._send)

    def _send(self, entry: Entry) -> None:
        try:
            document = self._document(entry)
            if document is not None:
                self._archive.store(document)
                self._ledger.settle(entry, State.STORED)
                logger.info("%s stored in the DICOM server", entry.kind)
        except Exception as problem:
            reason = str(problem) if isinstance(problem, LandmarkLabelError) else type(problem).__name__
            if _may_pass(problem):
                self._ledger.settle(entry, State.PENDING, reason)
                raise RemoteError(reason) from None
            # Of this label no document can be made, whatever is tried.
            logger.exception("%s can't be a DICOM document", entry.kind)
            self._ledger.settle(entry, State.FAILED, reason)

    def _document(self, entry: Entry) -> Dataset | None:
        """The document of a label; None if the label is another one by now, which has an entry of its own."""
        from landmarklabel.io import dicom_seg, dicom_sr  # a second to import, which most servers need not

        file = self._label(entry.image, entry.kind)
        if file is None or sha256(file) != entry.digest:
            self._note(entry.image, entry.kind)
            return None
        store = self._store
        geometry, image = store.geometry(entry.image), self._header(entry.image)
        naming = store.options.patient_module
        if entry.kind == LANDMARKS:
            landmarks = read_markups(file, store.protocol, geometry)
            return dicom_sr.landmarks_to_sr(landmarks, image, entry.document, naming)
        structures = read_structures(file, store.protocol, geometry)
        return dicom_seg.segmentation_to_seg(structures, image, store.protocol.name, entry.document, naming)

    def _header(self, image: str) -> Dataset:
        """The header of an image: the one here, or, where it is to name the patient, the archive's."""
        header: Dataset = pydicom.dcmread(self._store.header_file(image))
        if not self._store.options.patient_module:
            return header
        series = Series(str(header.StudyInstanceUID), str(header.SeriesInstanceUID))
        for each in self._archive.headers(series):
            if each.get("SOPInstanceUID") == image:
                return each
        raise NotFoundError(f"the DICOM server {self._archive.url} has the image {image} no more")

    # Documents to read --------------------------------------------------------------------------------------

    def _read_documents(self, kind: str, modality: str) -> None:
        description = dicom_documents.description(kind, self._store.protocol.name)
        documents: list[tuple[str, Dataset]] = []

        def fetch(series: Series) -> None:
            if series.uid not in self._waiting and not self._ledger.is_read(series.uid):
                with suppress(NotFoundError):  # deleted a moment ago
                    documents.extend((series.uid, each) for each in self._archive.documents(series))

        try:
            self._each(self._archive.series(modality, description), fetch)
        finally:
            # The last one first: those before it are too old then.
            documents.sort(key=lambda each: dicom_documents.made_at(each[1]), reverse=True)
            for series_uid, document in documents:
                if self._read(kind, document, series_uid):
                    self._ledger.mark_read(series_uid)

    def _read(self, kind: str, document: Dataset, series: str) -> bool:
        """Make a label of a document, unless a later one is there. Returns whether it is done with."""
        where = f"{MODALITIES[kind]} {document.get('SOPInstanceUID')}"
        try:
            image, write = self._parsed(kind, document, where)
            self._store.header_file(image)
        except NotFoundError:
            self._waiting.add(series)  # its image is not here yet
            return False
        except LandmarkLabelError as problem:
            _log_left_out(kind, problem)
            return True
        # With the store's own lock nobody saves between what is found here and what is made of it; _note takes the two
        # locks in this order, too. Nothing in here asks the archive.
        with self._mutex, self._store.store.index.lock():
            self._note(image, kind)  # a label that was saved a moment ago, of which the exchange has not been told yet
            entry = self._ledger.entry(image, kind)
            if entry is not None and entry.state is State.PENDING:
                return False  # what was made here goes there first
            if entry is None or entry.document.made < dicom_documents.made_at(document):
                self._take(image, kind, document, write, where)
        return True

    def _parsed(self, kind: str, document: Dataset, where: str) -> tuple[str, Callable[[Path], None]]:
        """The image of a document, and what writes its label."""
        from landmarklabel.io import dicom_seg, dicom_sr

        store = self._store
        if kind == LANDMARKS:
            image, landmarks = dicom_sr.sr_to_landmarks(document, store.protocol, where)
            return image, lambda path: write_markups(landmarks, store.geometry(image), path)
        image = dicom_seg.referenced_image(document, where)
        names, titles = closed_structures(store.protocol)
        _, segmentation = dicom_seg.seg_to_segmentation(document, store.geometry(image), names, titles, where)
        return image, lambda path: write_segmentation(segmentation, path)

    def _take(self, image: str, kind: str, document: Dataset, write: Callable[[Path], None], where: str) -> None:
        made = dicom_documents.made_at(document)
        identity = DocumentId(str(document.SOPInstanceUID), str(document.SeriesInstanceUID), made)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / ("label.mrk.json" if kind == LANDMARKS else "label.seg.nrrd")
            try:
                write(file)
                self._store.take_label(image, file, "final", {"source": f"DICOM {where}"})
            except StorageError:  # there may be room later, when it is read again
                raise
            except LandmarkLabelError as problem:
                _log_left_out(kind, problem)
                return
            self._ledger.put(Entry(image, kind, sha256(file), identity, State.READ))
        logger.info("%s read from the DICOM server", kind)


def _log_left_out(kind: str, problem: Exception) -> None:
    """Without the sentence, which has UIDs, as those of images."""
    logger.warning("%s of the DICOM server are left out (%s)", kind, type(problem).__name__)
