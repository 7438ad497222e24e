"""Images that are added, deleted, and brought back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from ..errors import NotFoundError
from ..files import sha256, storage_errors
from ..io.images import IMAGE_SUFFIXES
from . import durable
from .history import IMAGE, History
from .index import IMAGES, LABELS
from .layout import require_safe
from .reading import plain
from .scanning import SAVING, mtime_ns
from .versions import Action, Version, now
from .writing import ConflictError, StoreWriter


class ImageWriter(StoreWriter):
    """The store's images. What they hold is not checked here."""

    def add_image(self, name: str, suffix: str, source: Path, info: dict[str, Any]) -> None:
        """Store an image. The same one again changes nothing: its labels stay.

        Args:
            suffix: the ending of its file.
            source: its file, which is copied.
            info: what is noted of it.

        Raises:
            LandmarkLabelError: the id can't be part of a file's name.
            ConflictError: another image of that id is there.
            StorageError: the disk is full, or the folder can't be written.
        """
        target = self.layout.image(name, suffix)
        part = target.with_name(f".{target.name}{SAVING}")
        require_safe(name, "image id")
        with self._locked(), storage_errors(target, f"the image {name}"):
            there = self.has_image(name) or self._came_by_hand(name, suffix)
            if there and (old := self.image_file(name)).is_file():
                if sha256(old) == sha256(source):
                    return
                raise ConflictError(
                    f"there is another image '{name}' in these studies; give this one another id, "
                    "or delete that one first"
                )
            self._scanner.finish_deletion(name)
            noted = {**info, "ts": int(time.time()), "name": target.name}
            row = {"id": name, "suffix": suffix, "info": json.dumps(noted)}
            history, done, before = self.history_of(name), False, self._times([""])
            try:
                part.touch()
                made = self._times([""])
                shutil.copyfile(source, part)
                durable.sync([part])
                history.note_image(noted)
                with self._changing(name, before, lambda index: _put_image(index, name, row), made):
                    part.replace(target)
                    done = True
            except BaseException:
                if not done:
                    part.unlink(missing_ok=True)
                    history.forget_image()
                raise

    def _came_by_hand(self, name: str, suffix: str) -> bool:
        """Whether an image of that id was put by hand that the index does not know; now it does.

        Args:
            suffix: the ending that another one is to have.
        """
        files = (self.layout.image(name, each) for each in (suffix, *IMAGE_SUFFIXES))
        return any(mtime_ns(file) is not None for file in files) and self._scanner.scan([""]) and self.has_image(name)

    def remove_image(self, name: str, user: str = "") -> None:
        """Delete an image and its labels; :meth:`undelete_image` brings them back.

        Raises:
            NotFoundError: there is no such image.
        """
        with self._locked():
            file, history = self.image_file(name), self.history_of(name)
            labels = {tag: self._as_it_is(name, tag) for tag in self.labels(name)}
            versions = {tag: label.version for tag, label in labels.items() if label is not None}
            number = max([*history.deleted_images(), history.next_number(IMAGE) - 1]) + 1
            suffix = file.name[len(name) :]
            told = {"labels": versions, "image": self.image_info(name)}
            tombstone = Version(number, Action.DELETED, now(), user, suffix=suffix, info=told)
            with storage_errors(file, f"the deletion of the image {name}"):
                history.folder.mkdir(exist_ok=True)
                history.rewrite(IMAGE, tombstone)
                aside, done = history.path(IMAGE, tombstone), False
                try:
                    folders = self._times(["", *versions])
                    with self._changing(name, folders, lambda index: _put_image(index, name, None)):
                        _move(file, aside)
                        done = True
                        for label in filter(None, labels.values()):
                            self._file(label).unlink(missing_ok=True)
                except BaseException:
                    if not done:
                        history.drop_record(IMAGE, number)
                    raise

    def undelete_image(self, name: str, user: str = "") -> list[str]:
        """Bring back the image of that id that was deleted last, with the labels that it had. Returns their tags.

        Raises:
            NotFoundError: none has been deleted.
            ConflictError: there is an image of that id.
        """
        with self._locked():
            history = self.history_of(name)
            is_name = history.folder.parent == self.layout.history and name not in (".", "..") and plain(name) == name
            aside = history.deleted_image() if is_name else None
            suffix = "" if aside is None else aside[1].name.removeprefix(f"{IMAGE}.{aside[0]:06d}")
            if self.has_image(name) or (aside is not None and self._came_by_hand(name, suffix)):
                raise ConflictError(f"there is an image '{name}' in these studies; delete it first")
            if aside is None:
                raise NotFoundError(f"no image '{name}' of these studies has been deleted")
            number, file = aside
            target = self.layout.image(name, suffix)
            told = _told(history, number)
            info = told.get("image") or {"ts": int(time.time()), "name": target.name}
            row = {"id": name, "suffix": suffix, "info": json.dumps(info)}
            with storage_errors(target, f"the image {name}"):
                self._scanner.finish_deletion(name)
                history.note_image(info)
                with self._changing(name, self._times([""]), lambda index: _put_image(index, name, row)):
                    _move(file, target)
            self._undelete_labels(name, told.get("labels") or {}, user)
            history.drop_record(IMAGE, number)
            return sorted(told.get("labels") or {})

    def _undelete_labels(self, name: str, versions: dict[str, int], user: str) -> None:
        history = self.history_of(name)
        for tag, number in versions.items():
            version = history.version(tag, number)
            info = {**version.info, "user": user or version.user}
            self._put(name, tag, version.suffix, history.content(tag, version), info, Action.RESTORED, number)

    def note_image(self, name: str, info: dict[str, Any]) -> None:
        """Add to what is noted of an image.

        Raises:
            NotFoundError: there is no such image.
        """
        with self._locked():
            before, history = self.image_info(name), self.history_of(name)
            merged = {**before, **info}
            told = update(IMAGES).where(IMAGES.c.id == name).values(info=json.dumps(merged))
            self._note(
                name,
                write=lambda: history.note_image(merged),
                undo=lambda: history.note_image(before),
                tell=lambda index: index.execute(told),
            )


def _told(history: History, number: int) -> dict[str, Any]:
    """What was noted when an image was deleted; nothing, if that is damaged: the image comes back without labels."""
    try:
        return history.version(IMAGE, number).info
    except NotFoundError:
        return {}


def _put_image(connection: Connection, name: str, row: dict[str, Any] | None) -> None:
    """Let the index say that of an image; None: that it is gone, and its labels with it."""
    connection.execute(delete(IMAGES).where(IMAGES.c.id == name))
    if row is None:
        connection.execute(delete(LABELS).where(LABELS.c.image == name))
    else:
        connection.execute(insert(IMAGES), [row])


def _move(file: Path, target: Path) -> None:
    """Move a file, or a link so that it leads where it led."""
    if file.is_symlink():
        target.symlink_to(file.resolve())
        file.unlink()
    else:
        shutil.move(file, target)
