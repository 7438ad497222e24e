"""How the store changes: whole, durably, and so that what is cut off half-way is found and put right.

The order is always this: new files beside the old ones, durable; the index; the one rename or removal that counts; the
folders, durable. With the index go zeros as the times of the folders that are about to change: if it ends there, the
next one who looks finds these folders to be looked through, and what their files say counts. If it ends well, the times
that the folders have now take their place, but only where nothing else came or went meanwhile: then nobody need look.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ..errors import LandmarkLabelError
from ..files import storage_errors
from . import durable
from .history import digest
from .index import FOLDERS, LABELS, bump
from .reading import Label, StoreReader, found_by_hand, put_row
from .scanning import NOTING, SAVING, Found, mtime_ns, stamp_of
from .versions import Action, Version, noted, now

logger = logging.getLogger(__name__)


#: When something last came into each folder or went, by tags; None for a folder that is not there.
Times = dict[str, int | None]

_FOLDER = select(FOLDERS.c.mtime_ns).where(FOLDERS.c.name == bindparam("tag"))
_NEW_FOLDER = insert(FOLDERS).values(name=bindparam("tag"), mtime_ns=bindparam("time"))
_DROP_FOLDER = delete(FOLDERS).where(FOLDERS.c.name == bindparam("tag"))
_SET_FOLDER = update(FOLDERS).where(FOLDERS.c.name == bindparam("tag")).values(mtime_ns=bindparam("time"))


class ConflictError(LandmarkLabelError):
    """What is to be stored stands against what is there."""

    http_status = 409


class StoreWriter(StoreReader):
    """The steps of which changes are made. Whoever calls one holds the lock."""

    @contextmanager
    def _changing(
        self, name: str, before: Times, tell: Callable[[Connection], None], made: Times | None = None
    ) -> Iterator[None]:
        """Change the files of an image in the block, after the index has been told.

        Args:
            name: of the image.
            before: the :meth:`_times` of the folders that change, before anything was.
            tell: tells the index.
            made: the same once files lie there that the block gives their names; without, there are none.
        """
        quiet = self._announce(before, before if made is None else made, tell)
        yield
        after = self._times(quiet)
        durable.sync(folders=[self.layout.history / name, self.layout.history, *map(self.layout.folder, before)])
        try:
            self._settle(after)
        except LandmarkLabelError as problem:  # all is written: the folders will be looked through once more
            logger.warning("after a change the index could not be told all (%s)", type(problem).__name__)

    def _times(self, tags: Iterable[str]) -> Times:
        """When something last came into folders or went, by their tags; "" for that of the images."""
        return {tag: mtime_ns(self.layout.folder(tag)) for tag in tags}

    def _announce(self, before: Times, made: Times, tell: Callable[[Connection], None]) -> list[str]:
        """Returns the folders in which nothing has changed that the index does not know."""
        with self.index.writing() as connection:
            known = {tag: connection.execute(_FOLDER, {"tag": tag}).scalar() for tag in before}
            tell(connection)
            for tag, time in known.items():
                connection.execute(_NEW_FOLDER if time is None else _SET_FOLDER, {"tag": tag, "time": 0})
            bump(connection)
        now = self._times(before)
        return [tag for tag, time in known.items() if time == before[tag] and made[tag] == now[tag]]

    def _settle(self, after: Times) -> None:
        now = self._times(after)
        with self.index.writing() as connection:
            for tag, time in after.items():
                if time is not None and time == now[tag]:
                    connection.execute(_SET_FOLDER, {"tag": tag, "time": time})
            bump(connection)  # whoever has looked since the index was told has read the old files

    def _put(
        self, name: str, tag: str, suffix: str, data: bytes, info: dict[str, Any], action: Action,
        restored: int | None = None,
    ) -> Version:  # fmt: skip
        """Let this be the label, as a new version."""
        target, history, done = self.layout.label(name, tag, suffix), self.history_of(name), False
        part = target.with_name(f".{target.name}{SAVING}")
        with storage_errors(target, f"the label of {name}"):
            self._make_folder(target.parent)
            old = self._as_it_is(name, tag)
            if old is not None and old.suffix != suffix:
                self._keep_beside(name, tag, suffix)
            version = Version(
                history.next_number(tag), action, now(), restored=restored, suffix=suffix, sha256=digest(data),
                images=len(history.deleted_images()), info=info, **noted(info),
            )  # fmt: skip
            before = self._times([tag])
            try:
                stamp, size = durable.write(part, data)
                made = self._times([tag])  # what comes while it is made durable must not be taken for this
                version = version.at(stamp, size)
                history.write(tag, version, data, part)
                row = {
                    "image": name, "tag": tag, "suffix": suffix, "version": version.number, "mtime_ns": stamp,
                    "size": size, "info": json.dumps(info),
                }  # fmt: skip
                with self._changing(name, before, lambda index: put_row(index, name, tag, row), made):
                    part.replace(target)
                    done = True
                    if old is not None and old.suffix != suffix:  # a label image with another ending
                        self._file(old).unlink(missing_ok=True)
            except BaseException:
                if not done:
                    part.unlink(missing_ok=True)
                    history.drop(tag, version)
                raise
        return version

    def _make_folder(self, folder: Path) -> None:
        """That of a tag, and durably so: of a folder that a power cut takes, all labels go with it."""
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            durable.sync(folders=[folder.parent, self.layout.images])

    def _bury(self, name: str, tag: str, action: Action, user: str) -> None:
        """Take a label away, and leave a tombstone."""
        history, old, done = self.history_of(name), self._as_it_is(name, tag), False
        if old is None:
            return
        tombstone = Version(
            history.next_number(tag), action, now(), user=user, images=len(history.deleted_images())
        )  # fmt: skip
        file = self._file(old)
        with storage_errors(file, f"the deletion of a label of {name}"):
            try:
                history.write(tag, tombstone)
                with self._changing(name, self._times([tag]), lambda index: put_row(index, name, tag, None)):
                    file.unlink(missing_ok=True)
                    done = True
            except BaseException:
                if not done:
                    history.drop(tag, tombstone)
                raise

    def _note(
        self, name: str, write: Callable[[], None], undo: Callable[[], None], tell: Callable[[Connection], Any]
    ) -> None:
        """Note something of an image, or a label of it: in its file, and in the index.

        If it ends in between, a mark is left in the index, and the next one who looks reads the files again.

        Args:
            name: of the image.
            write: writes the file.
            undo: writes the file as it was.
            tell: tells the index.
        """
        mark = {"tag": f"{NOTING}{name}"}
        with self.index.writing() as connection:
            connection.execute(_DROP_FOLDER, mark)
            connection.execute(_NEW_FOLDER, {**mark, "time": 0})
        write()
        try:
            with self.index.writing() as connection:
                tell(connection)
                connection.execute(_DROP_FOLDER, mark)
                bump(connection)
        except BaseException:
            undo()
            raise

    def _as_it_is(self, name: str, tag: str) -> Label | None:
        """The label that is there now, kept in the history; None if there is none."""
        label = self._look_again(name, tag)
        if label is None or label.version is not None:
            return label
        number = self._keep(label)
        with self.index.writing() as connection:
            row = (LABELS.c.image == name, LABELS.c.tag == tag)
            connection.execute(update(LABELS).where(*row).values(version=number))
        return self._label(name, tag)

    def _keep_beside(self, name: str, tag: str, suffix: str) -> None:
        """Keep a label image that was put by hand and does not count, as there is one with another ending."""
        stamp = stamp_of(self.layout.label(name, tag, suffix))
        if stamp is not None:
            row = self._scanner.row(name, tag, Found(suffix, *stamp))
            if row["version"] is None:
                self._keep(Label(name, tag, suffix, None, stamp, json.loads(row["info"])))

    def _keep(self, label: Label) -> int:
        """Add a label that was put by hand to the history. Returns its number there."""
        history, data = self.history_of(label.image), self._file(label).read_bytes()
        images = len(history.deleted_images())
        version = found_by_hand(label, history.next_number(label.tag), images, digest(data))
        with storage_errors(history.path(label.tag, version), f"the label of {label.image}"):
            history.write(label.tag, version, data)
            durable.sync(folders=[history.folder, self.layout.history])
        return version.number
