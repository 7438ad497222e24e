"""The label store: MONAI Label's studies folder, with every image and label checked before it is taken.

The layout is that of MONAI Label's own local store: images at the top, ``labels/TAG/ID.mrk.json``, label images in
``labels/TAG_segmentation``, and the index ``datastore_v2.json`` that holds the labels' info. What may be a label, and
under which tag, ``labels.py`` says.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel

from labels import DERIVED, CheckedLabel, check_label, read_derived, suffix_of_tag
from landmarklabel.errors import ConfigError, ImageError, LabelError, LandmarkLabelError, NotFoundError
from landmarklabel.files import atomic_path, atomic_write, sha256, storage_errors
from landmarklabel.io import IMAGE_SUFFIXES, read_radiograph
from landmarklabel.io.headers import read_geometry
from landmarklabel.io.images import SUFFIXES_OF_FORMAT, sniff
from landmarklabel.io.layouts.common import image_id, is_image
from landmarklabel.io.layouts.studies import LABEL_SUFFIX, SEGMENTATION_SUFFIXES, labels_in
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

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
        self._derived: tuple[int, dict[str, dict[str, tuple[float, float]]]] = (-1, {})
        self._mutex = threading.RLock()
        self._process_lock = FileLock(str(Path(folder) / ".lock"))
        patterns = [f"*{suffix}" for suffix in IMAGE_SUFFIXES]
        # MONAI Label watches the folders of the tags that it knows when it starts; these are those of any tag.
        patterns += [f"labels/*/*{suffix}" for suffix in (LABEL_SUFFIX, *SEGMENTATION_SUFFIXES)]
        with storage_errors(Path(folder) / "datastore_v2.json", "the index of the studies"):
            super().__init__(folder, extensions=patterns, auto_reload=auto_reload)
        if auto_reload:
            self._handler.on_moved = self._on_any_event  # renamed into place, as by everything that writes whole files

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

    def geometry(self, name: str) -> Geometry:
        """The map between pixels and the world of an image.

        Raises:
            NotFoundError: there is none of that id.
            ImageError: its file can't be read.
        """
        return read_geometry(self.require_image(name))

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

    def derived(self) -> dict[str, dict[str, tuple[float, float]]]:
        """New landmarks that people have placed: (x, y) in pixels of the original image, by image and label.

        What can't be used, as a file that was put there by hand may be, is left out, and said in the log.
        """
        with self._mutex:
            revision = self._revision  # before anything is read: a label that is saved meanwhile is another one
            if self._derived[0] != revision:
                self._derived = revision, self._read_derived()
            return {name: dict(points) for name, points in self._derived[1].items()}

    def _read_derived(self) -> dict[str, dict[str, tuple[float, float]]]:
        found = {}
        for name in self._datastore.filter_by_tag(DERIVED):
            try:
                label = Path(self.get_label_uri(name, DERIVED))
                found[name] = read_derived(label, self.protocol, self.geometry(name))
            except LandmarkLabelError as problem:
                logger.warning("new landmarks on %s are left out: %s", name, problem)
        return found

    # Writing ------------------------------------------------------------------------------------------------

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an uploaded image.

        Raises:
            LandmarkLabelError: the id is not safe, or the file is not a radiograph.
            ConflictError: another image of that id is there.
        """
        source = Path(image_filename)
        own_id, suffix = _split(source.name)
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
        """Check a label against its image and the protocol, and store it: a label image under the tag of those.

        Raises:
            LandmarkLabelError: the tag or the info can't be stored.
            NotFoundError: there is no such image.
            LabelError: the label is damaged, or does not fit the protocol, the image or the tag.
        """
        label = self._checked(image_id, Path(label_filename), getattr(label_tag, "value", label_tag))
        # The file x.seg.nrrd is of the image x, whether or not there is an image x.seg.
        suffix = ".seg.nrrd" if image_id.endswith(".seg") and label.suffix == ".nrrd" else label.suffix
        target = Path(self._datastore.label_path(label.tag)) / f"{image_id}{suffix}"
        with storage_errors(target, f"the label of {image_id}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        own = {"ts": int(time.time()), "name": target.name, "protocol": self.protocol.name, **label.info}
        info = checked_info({**checked_info(label_info), **own})
        with self._locked():
            self.require_image(image_id)
            old = self._datastore.label(image_id, label.tag)
            objects = self._copied(image_id)
            objects[image_id].labels[label.tag] = DataModel(info=info, ext=suffix)
            with atomic_path(target, f"the label of {image_id}") as temporary:
                temporary.write_bytes(Path(label_filename).read_bytes())
                self._replace_index(objects)  # with the disk full, neither is replaced
            if old is not None and old.ext != suffix:  # a label image with another ending
                target.with_name(f"{image_id}{old.ext}").unlink(missing_ok=True)
            self._revision += 1  # whoever has looked since the index changed has read the label before
        logger.info("saved label of %s as %s", image_id, label.tag)
        return image_id

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
            images = sorted(path.name for path in Path(self._datastore.image_path()).iterdir() if is_image(path))
            found = {name: self._entry(name, suffix) for name, suffix in map(_split, images)}
            labels = Path(self._datastore.label_path(None))
            for tag in sorted(folder.name for folder in labels.iterdir() if folder.is_dir()):
                for name, suffixes in labels_in(labels / tag, suffix_of_tag(tag)).items():
                    if name not in found:
                        logger.warning("labels/%s/%s%s: there is no image '%s'", tag, name, suffixes[0], name)
                        continue
                    old = self._datastore.objects.get(name)
                    known = old.labels.get(tag) if old else None
                    kept = known is not None and known.ext in suffixes
                    found[name].labels[tag] = known if kept else _new_entry(name, suffixes[0])
            if found != self._datastore.objects:
                self._replace_index(found)

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


def _split(image: str) -> tuple[str, str]:
    """Id and ending of an image's file name."""
    name = image_id(image)
    return name, image[len(name) :]


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
