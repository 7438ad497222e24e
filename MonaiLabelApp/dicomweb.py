"""Studies that are a DICOMweb server: its CR and DX images, by SOPInstanceUID, and the labels that people make of them.

Beside the server there is a folder of one's own:

    studies/UID.dcm   the header of each image, without who the patient is; labels/ and the label store, as in any
                      studies folder: one store does all
    images/UID.dcm    images that were fetched, up to a bound; the one that was not used for longest goes first
    training/         the labelled images, while a training runs: links into images/, which eviction does not touch
    training.lock     held by that training
    archive.sqlite    what is known of the server, and which labels it has still to get

Final labels go to the server as DICOM SR and SEG, and come from there: ``exchange.py``.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from filelock import FileLock, Timeout
from monailabel.config import settings
from pydicom.dataset import Dataset

from conf_values import number, text, whole, yes_or_no
from datastore import ConflictError, LandmarkDatastore
from exchange import Exchange
from landmarklabel.errors import ConfigError, ImageError, LandmarkLabelError, NotFoundError
from landmarklabel.files import atomic_write, storage_errors
from landmarklabel.io import read_radiograph
from landmarklabel.io.dicom import require_radiograph
from landmarklabel.io.dicom_header import geometry_of_header, without_identity, write_header
from landmarklabel.io.dicomweb import MODALITIES, Archive, Limits
from landmarklabel.io.image_cache import ImageCache
from landmarklabel.io.layouts.studies import FINAL_LABELS, FINAL_SEGMENTATIONS, label_suffix, labels_in
from landmarklabel.io.layouts.studies import segmentation_suffix as of_segmentation
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.urls import default_folder, require_url
from ledger import Ledger

#: Settings of the app that are about a DICOMweb server.
SETTINGS = (
    "dicomweb_folder", "dicomweb_cache_mb", "dicomweb_image_mb", "dicomweb_modalities", "dicomweb_patient_module",
    "dicomweb_refresh_s",
)  # fmt: skip

# How long a training waits for one that ends, in seconds.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class DicomWebOptions:
    """What the studies are, and how they are treated; each but the URL is a setting ``dicomweb_NAME``.

    Attributes:
        url: of the server.
        folder: one's own beside it: labels, headers and fetched images.
        cache_mb: how much fetched images may take on disk.
        image_mb: how large an image may be.
        modalities: which are looked for.
        patient_module: whether documents name the patient and the study, as the images do.
        refresh_s: how often to look for new images and labels, at least.
    """

    url: str
    folder: Path
    cache_mb: int = 10_000
    image_mb: int = 512
    modalities: tuple[str, ...] = MODALITIES
    patient_module: bool = False
    refresh_s: float = 60.0

    @classmethod
    def of(cls, url: str, conf: Mapping[str, str]) -> DicomWebOptions:
        """From the app's settings.

        Raises:
            ConfigError: a setting is not valid; says which.
        """
        url = require_url(url)
        modalities = text(conf, "dicomweb_modalities", ",".join(MODALITIES)).upper().split(",")
        options = cls(
            url,
            folder=Path(text(conf, "dicomweb_folder") or default_folder(url)).resolve(),
            cache_mb=whole(conf, "dicomweb_cache_mb", cls.cache_mb, least=100),
            image_mb=whole(conf, "dicomweb_image_mb", cls.image_mb, least=1),
            modalities=tuple(modality.strip() for modality in modalities if modality.strip()),
            patient_module=yes_or_no(conf, "dicomweb_patient_module"),
            refresh_s=number(conf, "dicomweb_refresh_s", cls.refresh_s, least=1),
        )
        if options.cache_mb < 2 * options.image_mb:
            raise ConfigError(
                f"dicomweb_cache_mb {options.cache_mb}: expected room for two images of {options.image_mb} MB at least"
            )
        return options

    @property
    def studies(self) -> Path:
        return self.folder / "studies"

    @property
    def training(self) -> Path:
        return self.folder / "training"


class DicomWebDatastore(LandmarkDatastore):
    """Images of a DICOMweb server, and labels of one protocol.

    Args:
        options: which server, and where to keep what.
        protocol: of every label.
        more: what else the label store takes.

    Attributes:
        archive: the server.
        exchange: what goes to and fro.
        ledger: what is known of it.
        options: as given.
    """

    def __init__(self, options: DicomWebOptions, protocol: Protocol, **more: Any) -> None:
        self.options = options
        with storage_errors(options.studies / "header", "the studies"):
            options.studies.mkdir(parents=True, exist_ok=True)
        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        self.archive = Archive(options.url, user or "", password or "", Limits(bytes=options.image_mb << 20))
        self.ledger = Ledger(options.folder / "archive.sqlite")
        self._images = ImageCache(options.folder / "images", options.cache_mb << 20)
        self._salt = _salt(options.folder / "salt")
        super().__init__(str(options.studies), protocol, **more)
        self.exchange = Exchange(self)

    def start(self) -> None:
        """Exchange images and labels with the server in the background; without it, only fetch what is asked for."""
        with suppress(LandmarkLabelError), self._alone_in_training(0):
            self.end_training()  # of a server that was killed; one that goes on keeps its images
        self.exchange.start()

    def stop(self) -> None:
        """Leave the exchange to another store of the same folder, that of an app that was loaded anew."""
        self.exchange.stop()

    # Images -------------------------------------------------------------------------------------------------

    def require_image(self, name: str) -> Path:
        """The file of an image, which is fetched if it is not there.

        Raises:
            NotFoundError: the server has none of that id, or has it no more.
            ImageError: it is not one single radiograph, or is damaged.
            RemoteError: the server does not answer.
        """
        header = self.header_file(name)
        return self._images.path(name, lambda path: self._fetch(name, header, path))

    def local_image(self, name: str) -> Path | None:
        return self.require_image(name) if name in self._images else None

    def header_file(self, name: str) -> Path:
        """The header of an image.

        Raises:
            NotFoundError: the server has no radiograph of that id.
        """
        path = self.options.studies / f"{name}.dcm"
        if not set(name) <= set("0123456789.") or not path.is_file():
            if reason := self.ledger.refusal(name):
                raise ImageError(reason)
            raise NotFoundError(f"there is no image '{name}' in these studies; the id is its SOPInstanceUID")
        return path

    def get_image_uri(self, image_id: str) -> str:
        try:
            return str(self.require_image(image_id))
        except NotFoundError:
            return ""

    def geometry(self, name: str) -> Geometry:
        return geometry_of_header(pydicom.dcmread(self.header_file(name)))

    def _fetch(self, name: str, header: Path, path: Path) -> None:
        """Write an image, without who the patient is, once it has been read."""
        known = pydicom.dcmread(header, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])
        dataset = self.archive.instance(known.StudyInstanceUID, known.SeriesInstanceUID, name)
        try:
            require_radiograph(dataset, path.name)
            self._anonymous(dataset).save_as(path, write_like_original=False)
            read_radiograph(path)
        except LandmarkLabelError as problem:
            raise ImageError(str(problem).replace(path.name, f"image {name}")) from None
        except OSError:
            raise
        except Exception as problem:  # on damaged elements pydicom raises whatever it runs into
            raise ImageError(f"image {name}: damaged DICOM ({type(problem).__name__})") from None

    def add_header(self, header: Dataset) -> None:
        """Take an image of the server into the studies, if it is not there.

        Raises:
            StorageError: the disk is full, or the folder can't be written.
        """
        path = self.options.studies / f"{header.SOPInstanceUID}.dcm"
        if not path.exists():
            write_header(self._anonymous(header), path)

    def _anonymous(self, dataset: Dataset) -> Dataset:
        patient = str(dataset.get("PatientID") or "").strip()
        pseudonym = hashlib.sha256(self._salt + patient.encode()).hexdigest()[:16] if patient else ""
        return without_identity(dataset, pseudonym)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refused: the server's images are the studies.

        Raises:
            ConflictError: always.
        """
        raise ConflictError(f"the images are those of {self.options.url}; store this one there")

    def remove_image(self, image_id: str, user: str = "") -> None:
        """Refused, as :meth:`add_image` is."""
        raise ConflictError(f"the images are those of {self.options.url}; delete this one there")

    # Labels -------------------------------------------------------------------------------------------------

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Check and store a label here; a final one goes to the server afterwards, now or when it can be reached."""
        saved = super().save_label(image_id, label_filename, label_tag, label_info)
        self.exchange.note(image_id)
        return saved

    def take_label(self, image_id: str, file: Path, tag: str, info: dict[str, Any]) -> None:
        """Check and store a label that came from the server; drafts of the image stay."""
        self._save(image_id, file, tag, info, ends_draft=False)

    def remove_label(self, label_id: str, label_tag: str, user: str = "") -> None:
        """Delete a label here; its document stays in the server, and does not come back from there."""
        super().remove_label(label_id, label_tag, user)
        self.exchange.note(label_id)

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label, ``dicom`` of its document in the server."""
        return {**super().get_label_info(label_id, label_tag), **self.exchange.label_info(label_id, label_tag)}

    def dicomweb_info(self) -> dict[str, Any]:
        """How it stands with the server."""
        used = {"cache_bytes": self._images.bytes(), "cache_most_bytes": self.options.cache_mb << 20}
        return {"server": self.options.url, "refused": self.ledger.refused(), **used, **self.exchange.info()}

    # Training -----------------------------------------------------------------------------------------------

    @contextmanager
    def for_training(self) -> Iterator[None]:
        """Have all labelled images in ``options.training``, as a studies folder.

        Raises:
            ConflictError: another training has its images there.
            RemoteError: the server does not answer.
            StorageError: the disk is full.
        """
        with self._alone_in_training(_PATIENCE_S):
            self.end_training()
            folder = self.options.training
            with storage_errors(folder / "images", "the images to train on"):
                folder.mkdir()
                (folder / "labels").symlink_to(self.options.studies / "labels", target_is_directory=True)
                for name in self.labelled_images():
                    self._put_to_train(name)
            try:
                yield
            finally:
                self.end_training()

    @contextmanager
    def _alone_in_training(self, patience_s: float) -> Iterator[None]:
        """Keep other trainings out, also those of other processes; one that dies gives the place back.

        Raises:
            ConflictError: another one has kept it for so long.
        """
        path = self.options.folder / "training.lock"
        try:
            with storage_errors(path, "the lock of trainings"):
                lock = FileLock(str(path), timeout=patience_s).acquire()
        except Timeout:
            raise ConflictError(
                f"another training has its images in {self.options.training}; try again later"
            ) from None
        with lock:
            yield

    def end_training(self) -> None:
        shutil.rmtree(self.options.training, ignore_errors=True)

    def labelled_images(self) -> list[str]:
        """Images with final landmarks or structures."""
        kinds = ((FINAL_LABELS, label_suffix), (FINAL_SEGMENTATIONS, of_segmentation))
        folders = [(self.options.studies / folder, suffix_of) for folder, suffix_of in kinds]
        return sorted({name for folder, of in folders if folder.is_dir() for name in labels_in(folder, of)})

    def _put_to_train(self, name: str) -> None:
        for _ in range(3):  # another process may evict it before it is linked
            try:
                os.link(self.require_image(name), self.options.training / f"{name}.dcm")
                return
            except FileNotFoundError:
                continue
            except (NotFoundError, ImageError):
                return  # its label has no image then, which training says


def _salt(path: Path) -> bytes:
    """What makes pseudonyms of this folder its own: nobody finds a patient's number by trying numbers."""
    if not path.exists():
        atomic_write(path, secrets.token_hex(16).encode(), "the salt of pseudonyms")
    return path.read_bytes()
