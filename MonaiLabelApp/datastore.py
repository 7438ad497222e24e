"""The label store as MONAI Label asks for it, with every image and label checked before it is taken.

What is kept where, and how, ``landmarklabel.store`` says; what may be a label, and under which tag, ``labels.py``.
"""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading
import time
import weakref
import zipfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from labels import DERIVED, CheckedLabel, check_label, read_derived
from landmarklabel.errors import DataError, ImageError, LabelError, LandmarkLabelError, NotFoundError
from landmarklabel.files import storage_errors, temporary_file
from landmarklabel.io import read_radiograph
from landmarklabel.io.headers import read_geometry
from landmarklabel.io.images import SUFFIXES_OF_FORMAT, sniff
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.store import ConflictError, LabelStore, require_safe, split_image
from landmarklabel.store.stock import as_stock_index

__all__ = ["ConflictError", "LandmarkDatastore", "checked_info", "require_safe"]

logger = logging.getLogger(__name__)

#: How often to look whether files have come or gone by hand, in seconds; and the share of time that looking may take.
LOOK_S, LOOK_SHARE = 1.0, 0.1

#: How often to look through all folders while labels are saved, in seconds: a file that is written over in place
#: changes no folder, and one that comes at the very moment of a save is not told from that.
LOOK_THROUGH_S = 60.0


class LandmarkDatastore(Datastore):
    """Images and labels of one protocol.

    Args:
        folder: the studies folder.
        protocol: of every label.
        auto_reload: notice files that are added or removed by hand.
        index_url: of a PostgreSQL that is the index, for several servers on one folder.

    Attributes:
        store: what keeps them.
    """

    def __init__(self, folder: str, protocol: Protocol, auto_reload: bool = True, index_url: str = "") -> None:
        self.protocol = protocol
        self.store = LabelStore(folder, index_url)
        self._derived: tuple[int, dict[str, dict[str, tuple[float, float]]]] = (-1, {})
        self._mutex = threading.Lock()
        if auto_reload:
            threading.Thread(target=_watch, args=[weakref.ref(self.store)], daemon=True, name="files by hand").start()

    # Reading ------------------------------------------------------------------------------------------------

    def name(self) -> str:
        return self.store.identity.name

    def set_name(self, name: str) -> None:
        self.store.describe(name=name)

    def description(self) -> str:
        return self.store.identity.description

    def set_description(self, description: str) -> None:
        self.store.describe(description=description)

    def require_image(self, name: str) -> Path:
        """The file of an image.

        Raises:
            NotFoundError: there is none of that id.
        """
        return self.store.image_file(name).resolve()

    def local_image(self, name: str) -> Path | None:
        """The file of an image if it is on this machine; None if it would have to be fetched.

        Raises:
            NotFoundError: there is none of that id.
        """
        return self.require_image(name)

    def geometry(self, name: str) -> Geometry:
        """The map between pixels and the world of an image.

        Raises:
            NotFoundError: there is none of that id.
            ImageError: its file can't be read.
        """
        return read_geometry(self.require_image(name))

    @property
    def revision(self) -> int:
        """Another once an image, or a label, has changed."""
        return self.store.revision

    def list_images(self) -> list[str]:
        return self.store.images()

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return self.store.labelled()

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return self.store.unlabelled()

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO | None:
        uri = self.get_image_uri(image_id)
        return io.BytesIO(Path(uri).read_bytes()) if uri else None

    def get_image_uri(self, image_id: str) -> str:
        """Path of an image's file; "" if there is no such image."""
        try:
            return str(self.require_image(image_id))
        except NotFoundError:
            return ""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image.

        Raises:
            NotFoundError: there is no such image.
        """
        path = self.require_image(image_id)
        return {**self.store.image_info(image_id), "path": str(path)}

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        return dict.fromkeys(self.store.labels(image_id), image_id)

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return self.get_labels_by_image_id(image_id).get(_text(tag), "")

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO | None:
        uri = self.get_label_uri(label_id, label_tag)
        return io.BytesIO(Path(uri).read_bytes()) if uri else None

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of a label's file; "" if there is no such label."""
        try:
            return str(self.store.label_file(label_id, _text(label_tag)).resolve())
        except NotFoundError:
            return ""

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label.

        Raises:
            NotFoundError: there is no such label.
        """
        self.store.image_file(label_id)
        return self.store.label(label_id, _text(label_tag)).info

    def derived(self) -> dict[str, dict[str, tuple[float, float]]]:
        """New landmarks that people have placed: (x, y) in pixels of the original image, by image and label.

        What can't be used, as a file that was put there by hand may be, is left out, and said in the log.
        """
        with self._mutex:
            revision = self.revision  # before anything is read: a label that is saved meanwhile is another one
            if self._derived[0] != revision:
                self._derived = revision, self._read_derived()
            return {name: dict(points) for name, points in self._derived[1].items()}

    def _read_derived(self) -> dict[str, dict[str, tuple[float, float]]]:
        found = {}
        for name, path in self.store.label_files(DERIVED).items():
            try:
                found[name] = read_derived(path, self.protocol, self.geometry(name))
            except LandmarkLabelError as problem:
                logger.warning("the new landmarks on an image are left out (%s)", type(problem).__name__)
        return found

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Image and final label of every image that has one."""
        images = {name: f"{name}{suffix}" for name, suffix, _, _ in self.store.everything()}
        folder = self.store.layout.images.resolve()
        return [
            {"image": str(folder / images[name]), "label": str(path.resolve())}
            for name, path in self.store.label_files("final").items()
            if name in images
        ]

    def status(self) -> dict[str, Any]:
        total, tags = self.store.counts()
        return {"total": total, "completed": tags.get("final", 0), "label_tags": tags}

    def json(self) -> dict[str, Any]:
        """All that is known, as MONAI Label's own index has it."""
        return as_stock_index(self.store)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP file of images and final labels.

        Raises:
            NotFoundError: there is no final label.
            StorageError: the disk is full.
        """
        cases = list(self.store.label_files("final").items())
        if not cases:
            raise NotFoundError("there is no image with a final label to put into an archive")
        chosen = cases[:limit_cases] if limit_cases and limit_cases > 0 else cases
        with (
            storage_errors(Path(tempfile.gettempdir()) / "dataset.zip", "the data set"),
            temporary_file("dataset_", ".zip") as path,
            zipfile.ZipFile(path, mode="w") as archive,
        ):
            for name, label in chosen:
                self._add_case(archive, name, label)
            archive.writestr("metadata.json", json.dumps(self.json()))
        return str(path)

    def _add_case(self, archive: zipfile.ZipFile, name: str, label: Path) -> None:
        """Put an image and its label into an archive; neither, if one was deleted a moment ago or is no image."""
        try:
            image, named = self.require_image(name).read_bytes(), self.store.image_file(name).name
            content = label.read_bytes()
        except (NotFoundError, ImageError, FileNotFoundError):
            return
        except OSError as problem:
            raise DataError(f"image {name}, or its label, can't be read ({problem.strerror})") from None
        archive.writestr(f"image/{named}", image)
        archive.writestr(f"label/{label.name}", content)

    # Writing ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look through the folders for files that came or went by hand."""
        self.store.refresh()

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an uploaded image.

        Raises:
            LandmarkLabelError: the id is not safe, or the file is not a radiograph.
            ConflictError: another image of that id is there.
        """
        source = Path(image_filename)
        own_id, suffix = split_image(source.name)
        name = require_safe(image_id or own_id, "image id")
        try:
            kind = sniff(source)
            read_radiograph(source)
        except ImageError as problem:
            raise ImageError(str(problem).replace(source.name, f"image {name}")) from None
        if suffix.lower() not in SUFFIXES_OF_FORMAT[kind]:
            suffix = SUFFIXES_OF_FORMAT[kind][0]  # other programs go by the ending
        self.store.add_image(name, suffix, source, checked_info(image_info))
        return name

    def remove_image(self, image_id: str, user: str = "") -> None:
        """Delete an image and its labels; ``store.undelete_image`` brings them back.

        Raises:
            NotFoundError: there is no such image.
        """
        self.store.remove_image(image_id, user)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Check a label against its image and the protocol, and store it: a label image under the tag of those.

        Raises:
            LandmarkLabelError: the tag or the info can't be stored.
            NotFoundError: there is no such image.
            LabelError: the label is damaged, or does not fit the protocol, the image or the tag.
        """
        self._save(image_id, Path(label_filename), _text(label_tag), label_info)
        return image_id

    def _save(self, name: str, file: Path, tag: str, given: dict[str, Any], ends_draft: bool = True) -> None:
        label = self._checked(name, file, tag)
        # The file x.seg.nrrd is of the image x, whether or not there is an image x.seg.
        suffix = ".seg.nrrd" if name.endswith(".seg") and label.suffix == ".nrrd" else label.suffix
        own = {"ts": int(time.time()), "name": f"{name}{suffix}", "protocol": self.protocol.name, **label.info}
        info = checked_info({**checked_info(given), **own})
        version = self.store.save(name, label.tag, suffix, file.read_bytes(), info, ends_draft)
        logger.info("saved a label as %s, version %d", label.tag, version.number)  # an id may be a name

    def _checked(self, name: str, file: Path, tag: str) -> CheckedLabel:
        require_safe(tag, "label tag")
        geometry = self.geometry(name)
        try:
            label = check_label(file, tag, self.protocol, geometry)
        except (LabelError, ImageError) as problem:
            # The file is a temporary one of the server; its name means nothing to who sent it.
            sentence, whose = str(problem).replace(str(file), "the file"), f"label of {name}"
            named = sentence.startswith(file.name)
            raise LabelError(whose + sentence[len(file.name) :] if named else f"{whose}: {sentence}") from None
        require_safe(label.tag, "label tag")
        return label

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image."""
        self.store.note_image(image_id, checked_info(info))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        self.store.note_label(label_id, _text(label_tag), checked_info(info))

    def remove_label(self, label_id: str, label_tag: str, user: str = "") -> None:
        """Delete a label; ``store.undelete`` brings it back.

        Raises:
            NotFoundError: there is no such label.
        """
        self.store.remove_label(label_id, _text(label_tag), user)


def _watch(reference: weakref.ref[LabelStore]) -> None:
    """Notice files that come and go by hand, for as long as somebody has the store.

    Whatever goes wrong, the next time is another one.
    """
    looked, revision = time.monotonic(), 0
    while (store := reference()) is not None:
        began = time.monotonic()
        try:
            store.notice()
            if began - looked >= LOOK_THROUGH_S and store.revision != revision:
                store.refresh()
                looked, revision = began, store.revision
        except Exception:
            logger.exception("the studies folder could not be looked through")
        del store
        time.sleep(max(LOOK_S, (time.monotonic() - began) / LOOK_SHARE))


def _text(tag: Any) -> str:
    """MONAI Label gives some tags as members of an enumeration."""
    return str(tag.value) if isinstance(tag, DefaultLabelTag) else tag


def checked_info(info: Any) -> dict[str, Any]:
    """What a client wants noted about an image or a label, if it can be kept as JSON.

    Raises:
        LandmarkLabelError: it is not a JSON object, or holds what JSON can't (NaN, half of a character).
    """
    if not isinstance(info or {}, dict):
        raise LandmarkLabelError(f"params and info are a JSON object, got {type(info).__name__}")
    try:
        json.dumps(info, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as problem:
        raise LandmarkLabelError(f"params and info must be JSON that can be kept ({problem})") from None
    return dict(info or {})
