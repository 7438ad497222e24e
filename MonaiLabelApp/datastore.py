"""The label store: MONAI Label's studies folder, with every image and label checked before it is taken.

The layout is that of MONAI Label's own local store: images at the top, ``labels/TAG/ID.mrk.json``, and the index
``datastore_v2.json`` that holds the labels' info.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel

from landmarklabel.errors import ImageError, LabelError, LandmarkLabelError, NotFoundError
from landmarklabel.files import atomic_path, atomic_write, sha256, storage_errors
from landmarklabel.io import IMAGE_SUFFIXES, read_radiograph
from landmarklabel.io.images import SUFFIX_OF_FORMAT, sniff
from landmarklabel.io.layouts.common import image_id, is_image
from landmarklabel.io.layouts.studies import LABEL_SUFFIX, is_label
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import read_markups
from landmarklabel.protocol import Protocol

logger = logging.getLogger(__name__)

_SAFE_NAME = re.compile(r"^[^\W_][\w .+@()-]{0,199}$")


class ConflictError(LandmarkLabelError):
    """What is to be stored stands against what is there."""

    http_status = 409


class LandmarkDatastore(LocalDatastore):
    """Images and labels of one protocol.

    Args:
        folder: the studies folder.
        protocol: of every label.
        auto_reload: notice files that are added or removed by hand.
    """

    def __init__(self, folder: str, protocol: Protocol, auto_reload: bool = True) -> None:
        self.protocol = protocol
        self._config_ts: float = 0
        patterns = [f"*{suffix}" for suffix in IMAGE_SUFFIXES] + [f"*{LABEL_SUFFIX}"]
        with storage_errors(Path(folder) / "datastore_v2.json", "the index of the studies"):
            super().__init__(folder, extensions=patterns, auto_reload=auto_reload)

    # What MONAI Label asks of names -------------------------------------------------------------------------

    def _to_id(self, file: str) -> tuple[str, str]:
        name = image_id(file) if not file.endswith(LABEL_SUFFIX) else file[: -len(LABEL_SUFFIX)]
        return name, file[len(name) :]

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        """Images at the top of the studies folder, labels in the folders of tags; never the index or hidden files."""
        labels = Path(path).resolve() != Path(self._datastore.image_path()).resolve()
        wanted = is_label if labels else is_image
        return {file.name: file.name for file in Path(path).iterdir() if wanted(file)}

    # Reading ------------------------------------------------------------------------------------------------

    def require_image(self, name: str) -> Path:
        """The file of an image.

        Raises:
            NotFoundError: there is none of that id.
        """
        uri = self.get_image_uri(name) if name in self._datastore.objects else ""
        if not uri or not Path(uri).is_file():
            raise NotFoundError(f"there is no image '{name}' in these studies ({len(self._datastore.objects)} images)")
        return Path(uri)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image.

        Raises:
            NotFoundError: there is no such image.
        """
        self.require_image(image_id)
        info: dict[str, Any] = super().get_image_info(image_id)
        return info

    def require_label(self, name: str, tag: str) -> DataModel:
        """A label's entry in the index.

        Raises:
            NotFoundError: there is no such image, or no label of that tag.
        """
        self.require_image(name)
        label = self._datastore.label(name, tag)
        if label is None:
            tags = ", ".join(self._datastore.objects[name].labels) or "none"
            raise NotFoundError(f"there is no label '{tag}' of the image '{name}'; it has {tags}")
        return label

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label.

        Raises:
            NotFoundError: there is no such label.
        """
        return dict(self.require_label(label_id, label_tag).info)

    # Writing ------------------------------------------------------------------------------------------------

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an uploaded image.

        Raises:
            LandmarkLabelError: the id is not safe, or the file is not a radiograph.
            ConflictError: another image of that id is there.
        """
        source = Path(image_filename)
        own_id, suffix = self._to_id(source.name)
        name = require_safe(image_id or own_id, "image id")
        try:
            kind = sniff(source)
            read_radiograph(source)
        except ImageError as problem:
            raise ImageError(str(problem).replace(source.name, f"image {name}")) from None
        if not suffix:
            suffix = SUFFIX_OF_FORMAT[kind]
        target = Path(self._datastore.image_path()) / f"{name}{suffix}"
        with FileLock(self._lock_file):
            self._reread()
            if name in self._datastore.objects:
                old = Path(self.get_image_uri(name))
                if old.is_file() and sha256(old) == sha256(source):
                    return name  # the same image again: its labels stay
                raise ConflictError(
                    f"there is another image '{name}' in these studies; give this one another id, "
                    "or delete that one first"
                )
            with atomic_path(target, f"the image {name}") as temporary:
                temporary.write_bytes(source.read_bytes())
            info = {**(image_info or {}), "ts": int(time.time()), "name": target.name}
            self._datastore.objects[name] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._update_datastore_file(lock=False)
        return name

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Check a label against its image and the protocol, and store it.

        Raises:
            NotFoundError: there is no such image.
            LabelError: the label is not markups JSON, or its landmarks are not those of the protocol.
        """
        tag = require_safe(getattr(label_tag, "value", label_tag), "label tag")
        landmarks = self._checked(image_id, Path(label_filename))
        target = Path(self._datastore.label_path(tag)) / f"{image_id}{LABEL_SUFFIX}"
        with storage_errors(target, f"the label of {image_id}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        counts = {status: landmarks.status.count(status) for status in set(landmarks.status)}
        info = {
            **(label_info or {}),
            "ts": int(time.time()),
            "name": target.name,
            "protocol": self.protocol.name,
            "landmarks": {status.value: count for status, count in counts.items()},
        }
        with FileLock(self._lock_file):
            self._reread()
            self.require_image(image_id)
            atomic_write(target, Path(label_filename).read_bytes(), f"the label of {image_id}")
            self._datastore.objects[image_id].labels[tag] = DataModel(info=info, ext=LABEL_SUFFIX)
            self._update_datastore_file(lock=False)
        logger.info("saved label of %s as %s", image_id, tag)
        return image_id

    def _checked(self, name: str, label: Path) -> LandmarkSet:
        radiograph = read_radiograph(self.require_image(name))
        try:
            landmarks = read_markups(label, self.protocol, radiograph.geometry)
            landmarks.require_inside(radiograph.geometry, margin=0.5)
        except LabelError as problem:
            # The file is a temporary one of the server; its name means nothing to who sent it.
            sentence = str(problem).removeprefix(f"{label.name}: ")
            raise LabelError(f"label of {name}: {sentence}") from None
        return landmarks

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image."""
        with FileLock(self._lock_file):
            self._reread()
            self.require_image(image_id)
            self._datastore.objects[image_id].image.info.update(info)
            self._update_datastore_file(lock=False)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        with FileLock(self._lock_file):
            self._reread()
            self.require_label(label_id, label_tag).info.update(info)
            self._update_datastore_file(lock=False)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Delete a label.

        Raises:
            NotFoundError: there is no such label.
        """
        with FileLock(self._lock_file):
            self._reread()
            self.require_label(label_id, label_tag)
            Path(self.get_label_uri(label_id, label_tag)).unlink(missing_ok=True)
            del self._datastore.objects[label_id].labels[label_tag]
            self._update_datastore_file(lock=False)

    # The index ----------------------------------------------------------------------------------------------

    def _reread(self) -> None:
        """Take in what other processes wrote; the caller holds the lock."""
        path = Path(self._datastore_config_path)
        if path.exists() and path.stat().st_mtime != self._config_ts:
            self._datastore = LocalDatastoreModel.model_validate_json(path.read_text())
            self._datastore.base_path = self._datastore_path
            self._config_ts = path.stat().st_mtime

    def _update_datastore_file(self, lock: bool = True) -> None:
        if lock:
            with FileLock(self._lock_file):
                self._update_datastore_file(lock=False)
            return
        self._ignore_event_config = True
        path = Path(self._datastore_config_path)
        content = self._datastore.model_dump(exclude={"base_path"})
        atomic_write(path, json.dumps(content, indent=2, default=str).encode(), "the index of the studies")
        self._config_ts = path.stat().st_mtime


def require_safe(name: str, what: str) -> str:
    """Check that a name can be part of a file's name and can't leave its folder.

    Raises:
        LandmarkLabelError: it can't.
    """
    if not _SAFE_NAME.match(name) or ".." in name:
        raise LandmarkLabelError(
            f"{what} {name[:80]!r}: letters, digits, spaces and . _ - + @ ( ) are allowed, up to 200 characters, "
            "beginning with a letter or digit"
        )
    return name
