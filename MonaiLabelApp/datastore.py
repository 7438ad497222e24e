"""The label store: MONAI Label's studies folder, with every image and label checked before it is taken.

The layout is that of MONAI Label's own local store: images at the top, ``labels/TAG/ID.mrk.json``, and the index
``datastore_v2.json`` that holds the labels' info.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel

from landmarklabel.errors import ConfigError, ImageError, LabelError, LandmarkLabelError, NotFoundError
from landmarklabel.files import atomic_path, atomic_write, sha256, storage_errors
from landmarklabel.io import IMAGE_SUFFIXES, read_radiograph
from landmarklabel.io.images import SUFFIXES_OF_FORMAT, sniff
from landmarklabel.io.layouts.common import image_id, is_image
from landmarklabel.io.layouts.studies import LABEL_SUFFIX, is_label
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import read_markups
from landmarklabel.protocol import Protocol

logger = logging.getLogger(__name__)

_SAFE_NAME = re.compile(r"[^\W_][\w .+@()-]*")
_LONGEST_NAME = 200


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
        self._revision = 0
        self._mutex = threading.RLock()
        self._process_lock = FileLock(str(Path(folder) / ".lock"))
        patterns = [f"*{suffix}" for suffix in IMAGE_SUFFIXES] + [f"*{LABEL_SUFFIX}"]
        with storage_errors(Path(folder) / "datastore_v2.json", "the index of the studies"):
            super().__init__(folder, extensions=patterns, auto_reload=auto_reload)
        if auto_reload:
            self._handler.on_moved = self._on_any_event  # renamed into place, as by everything that writes whole files

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

    @property
    def revision(self) -> int:
        """Another once the index, or a label, has changed."""
        return self._revision

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
        if suffix.lower() not in SUFFIXES_OF_FORMAT[kind]:
            suffix = SUFFIXES_OF_FORMAT[kind][0]  # other programs go by the ending
        target = Path(self._datastore.image_path()) / f"{name}{suffix}"
        info = checked_info({**(image_info or {}), "ts": int(time.time()), "name": target.name})
        with self._locked():
            old = Path(self.get_image_uri(name)) if name in self._datastore.objects else None
            if old is not None and old.is_file():
                if sha256(old) == sha256(source):
                    return name  # the same image again: its labels stay
                raise ConflictError(
                    f"there is another image '{name}' in these studies; give this one another id, "
                    "or delete that one first"
                )
            objects = dict(self._datastore.objects)
            objects[name] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            with atomic_path(target, f"the image {name}") as temporary:
                temporary.write_bytes(source.read_bytes())
                self._replace_index(objects)
        return name

    def remove_image(self, image_id: str) -> None:
        """Delete an image and its labels.

        Raises:
            NotFoundError: there is no such image.
        """
        with self._locked():
            files = [self.require_image(image_id)]
            files += [Path(self.get_label_uri(image_id, tag)) for tag in self._datastore.objects[image_id].labels]
            self._replace_index({name: item for name, item in self._datastore.objects.items() if name != image_id})
            for file in files:
                file.unlink(missing_ok=True)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Check a label against its image and the protocol, and store it.

        Raises:
            LandmarkLabelError: the tag or the info can't be stored.
            NotFoundError: there is no such image.
            LabelError: the label is not markups JSON, or its landmarks are not those of the protocol.
        """
        tag = require_safe(getattr(label_tag, "value", label_tag), "label tag")
        landmarks = self._checked(image_id, Path(label_filename))
        target = Path(self._datastore.label_path(tag)) / f"{image_id}{LABEL_SUFFIX}"
        with storage_errors(target, f"the label of {image_id}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        counts = {status: landmarks.status.count(status) for status in set(landmarks.status)}
        own = {
            "ts": int(time.time()),
            "name": target.name,
            "protocol": self.protocol.name,
            "landmarks": {status.value: count for status, count in counts.items()},
        }
        info = checked_info({**checked_info(label_info), **own})
        with self._locked():
            self.require_image(image_id)
            objects = self._copied(image_id)
            objects[image_id].labels[tag] = DataModel(info=info, ext=LABEL_SUFFIX)
            with atomic_path(target, f"the label of {image_id}") as temporary:
                temporary.write_bytes(Path(label_filename).read_bytes())
                self._replace_index(objects)  # with the disk full, neither is replaced
            self._revision += 1  # whoever has looked since the index changed has read the label before
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
        with self._locked():
            self.require_image(image_id)
            objects = self._copied(image_id)
            objects[image_id].image.info.update(checked_info(info))
            self._replace_index(objects)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        with self._locked():
            self.require_label(label_id, label_tag)
            objects = self._copied(label_id)
            objects[label_id].labels[label_tag].info.update(checked_info(info))
            self._replace_index(objects)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Delete a label.

        Raises:
            NotFoundError: there is no such label.
        """
        with self._locked():
            self.require_label(label_id, label_tag)
            file = Path(self.get_label_uri(label_id, label_tag))
            objects = self._copied(label_id)
            del objects[label_id].labels[label_tag]
            self._replace_index(objects)
            file.unlink(missing_ok=True)

    # The index ----------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other threads and processes out, with the index as the last of them left it."""
        with self._mutex, self._process_lock:
            self._reread()
            yield

    def _reread(self) -> None:
        path = Path(self._datastore_config_path)
        if not path.exists() or path.stat().st_mtime == self._config_ts:
            return
        try:
            index = LocalDatastoreModel.model_validate_json(path.read_bytes())
        except ValueError as problem:
            reason = str(problem).splitlines()[-1].strip()
            raise ConfigError(
                f"{path}: the index of the studies is damaged ({reason}); move it away, and it is made again from the "
                "images and labels, without what was noted about them"
            ) from None
        index.base_path = self._datastore_path
        self._datastore, self._config_ts, self._revision = index, path.stat().st_mtime, self._revision + 1

    def _copied(self, name: str) -> dict[str, ImageLabelModel]:
        """The index's entries, that of an image ready to be changed."""
        return {**self._datastore.objects, name: self._datastore.objects[name].model_copy(deep=True)}

    def _replace_index(self, objects: dict[str, ImageLabelModel]) -> None:
        """Write other entries, and only then answer by them. Whoever reads meanwhile sees the old ones, whole."""
        index = self._datastore.model_copy(update={"objects": objects})
        path = Path(self._datastore_config_path)
        content = json.dumps(index.model_dump(exclude={"base_path"}), indent=2, default=str, allow_nan=False)
        self._ignore_event_config = True
        atomic_write(path, content.encode(), "the index of the studies")
        self._datastore, self._config_ts, self._revision = index, path.stat().st_mtime, self._revision + 1

    def _update_datastore_file(self, lock: bool = True) -> None:
        """What the parent asks for after a change of its own: name and description."""
        with self._mutex, self._process_lock:
            self._replace_index(self._datastore.objects)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        try:
            with self._locked():
                pass
        except ConfigError as problem:
            if throw_exception:
                raise
            logger.error("%s", problem)

    def _reconcile_datastore(self) -> None:
        """Make the index say what is in the folders: files that came by hand are taken in, gone ones left out."""
        with self._locked():
            found = {name: self._entry(name, suffix) for name, suffix in self._files(self._datastore.image_path())}
            labels = Path(self._datastore.label_path(None))
            for tag in sorted(folder.name for folder in labels.iterdir() if folder.is_dir()):
                for name, suffix in self._files(str(labels / tag)):
                    if name not in found:
                        logger.warning("labels/%s/%s%s: there is no image '%s'", tag, name, suffix, name)
                        continue
                    old = self._datastore.objects.get(name)
                    known = old.labels.get(tag) if old else None
                    found[name].labels[tag] = known or _new_entry(name, suffix)
            if found != self._datastore.objects:
                self._replace_index(found)

    def _files(self, folder: str) -> list[tuple[str, str]]:
        return sorted(self._to_id(file) for file in self._list_files(folder, ()))

    def _entry(self, name: str, suffix: str) -> ImageLabelModel:
        """What is known of an image, without its labels."""
        old = self._datastore.objects.get(name)
        image = old.image if old and old.image.ext == suffix else _new_entry(name, suffix)
        return ImageLabelModel(image=image)

    def _on_any_event(self, event: Any) -> None:
        """A file has come or gone. Whatever goes wrong, the next event is looked at, too."""
        try:
            self.refresh()
            self._revision += 1  # a label may have been replaced by hand
        except Exception:
            logger.exception("the studies folder could not be read again")


def _new_entry(name: str, suffix: str) -> DataModel:
    return DataModel(info={"ts": int(time.time()), "name": f"{name}{suffix}"}, ext=suffix)


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


def require_safe(name: str, what: str) -> str:
    """Check that a name can be part of a file's name and can't leave its folder.

    Raises:
        LandmarkLabelError: it can't.
    """
    safe = isinstance(name, str) and _SAFE_NAME.fullmatch(name) and ".." not in name
    if not safe or len(name.encode()) > _LONGEST_NAME:
        raise LandmarkLabelError(
            f"{what} {str(name)[:80]!r}: letters, digits, spaces and . _ - + @ ( ) are allowed, up to {_LONGEST_NAME} "
            "bytes, beginning with a letter or digit"
        )
    return name
