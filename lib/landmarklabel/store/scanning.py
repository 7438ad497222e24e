"""Looking through the folders: the index is made to say what is in them, whoever has put it there or taken it away."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from ..files import storage_errors
from .history import History, digest
from .index import FOLDERS, IMAGES, LABELS, Index, bump, rows
from .layout import Layout, split_image, storable, suffix_of_tag, suffixes_of_tag
from .stock import StockIndex

logger = logging.getLogger(__name__)

#: What a save leaves behind that is cut off: hidden, and written over by the next one.
SAVING = ".saving"

#: Before an image's id in the table of folders: what is noted of it, or of a label of it, is being written just now.
NOTING = "@"

#: The clock of a file system may stand still for so long: what changes meanwhile has the same time (ns).
_TICK_NS = 50_000_000

#: MONAI Label notes whole seconds, when it has written a label.
_STOCK_NOTES_S = 2


@dataclass(frozen=True)
class Found:
    """A label's file."""

    suffix: str
    mtime_ns: int
    size: int


class Scanner:
    """What brings the index up to the folders. Whoever calls it holds the lock.

    Args:
        layout: of the studies folder.
        index: of it.
    """

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout, self._index = layout, index
        self._stock = StockIndex(layout.root)

    def changed(self) -> set[str]:
        """Folders in which something came or went since they were looked through: tags, and "" for the images."""
        with self._index.reading() as connection:
            noted = dict(rows(connection, select(FOLDERS.c.name, FOLDERS.c.mtime_ns)))
        there = {name: mtime_ns(self._layout.folder(name)) for name in ("", *self._layout.tags())}
        return {name for name in noted.keys() | there.keys() if noted.get(name) != there.get(name)}

    def scan(self, folders: Iterable[str]) -> bool:
        """Look through some folders. Returns whether anything had changed."""
        folders = {name for name in folders if not name.startswith(NOTING)}
        with storage_errors(self._layout.labels / "final", "the studies"), self._index.writing() as connection:
            came = self._scan_images(connection) if "" in folders else None
            if came:  # labels may have waited for their images
                folders |= set(self._layout.tags())
            images = set(_ids(connection, select(IMAGES.c.id)))
            changed = [self._scan_labels(connection, tag, images) for tag in sorted(folders - {""})]
            finished = self._finish_notes(connection)
            anything = any(changed) or came is not None or finished
            if anything:
                bump(connection)
        return anything

    def _finish_notes(self, connection: Connection) -> bool:
        """Read again what is noted of images where a process died that wrote it. Returns whether there were any."""
        begun = _ids(connection, select(FOLDERS.c.name).where(FOLDERS.c.name.startswith(NOTING)))
        for name in (mark.removeprefix(NOTING) for mark in begun):
            self._read_notes(connection, name)
        if begun:
            connection.execute(delete(FOLDERS).where(FOLDERS.c.name.startswith(NOTING)))
        return bool(begun)

    def _read_notes(self, connection: Connection, name: str) -> None:
        for suffix in _ids(connection, select(IMAGES.c.suffix).where(IMAGES.c.id == name)):
            info = json.dumps(self._image_info(name, suffix, True))
            connection.execute(update(IMAGES).where(IMAGES.c.id == name).values(info=info))
        columns = (LABELS.c.tag, LABELS.c.suffix, LABELS.c.mtime_ns, LABELS.c.size)
        for tag, *found in rows(connection, select(*columns).where(LABELS.c.image == name)):
            with suppress(FileNotFoundError):  # gone: its folder has changed
                info = json.dumps(self._identify(name, tag, Found(*found), True)[1])
                connection.execute(update(LABELS).where(LABELS.c.image == name, LABELS.c.tag == tag).values(info=info))

    # Images -------------------------------------------------------------------------------------------------

    def _scan_images(self, connection: Connection) -> set[str] | None:
        """Returns the ids that are new; None if nothing has changed."""
        noticed = _now_looked(self._layout.images)
        known: dict[str, str] = dict(rows(connection, select(IMAGES.c.id, IMAGES.c.suffix)))
        there = _images_in(self._layout.images, {f"{name}{suffix}": (name, suffix) for name, suffix in known.items()})
        gone = [name for name, suffix in known.items() if there.get(name) != suffix]
        came = {name: suffix for name, suffix in there.items() if known.get(name) != suffix}
        _forget(connection, IMAGES.c.id, gone)
        _forget(connection, LABELS.c.image, [name for name in gone if name not in there])
        histories = self._histories() if came else set()
        new = [
            {"id": name, "suffix": suffix, "info": json.dumps(self._image_info(name, suffix, name in histories))}
            for name, suffix in came.items()
        ]
        if new:
            connection.execute(insert(IMAGES), new)
        _note_folder(connection, "", noticed)
        return set(came) if came or gone else None

    def _image_info(self, name: str, suffix: str, has_history: bool) -> dict[str, Any]:
        kept = History(self._layout.history / name).image_info() if has_history else None
        if kept is not None and kept.get("name") == f"{name}{suffix}":
            return kept
        noted = self._stock.image(name, suffix)
        if noted is None:
            changed_ns = mtime_ns(self._layout.image(name, suffix)) or 0
            noted = {"ts": changed_ns // 1_000_000_000, "name": f"{name}{suffix}"}
        return noted

    def _histories(self) -> set[str]:
        """The images that have a history."""
        with os.scandir(self._layout.history) as entries:
            return {entry.name for entry in entries}

    # Labels -------------------------------------------------------------------------------------------------

    def _scan_labels(self, connection: Connection, tag: str, images: set[str]) -> bool:
        """Returns whether anything has changed."""
        folder = self._layout.folder(tag)
        noticed = _now_looked(folder)
        there = _labels_in(folder, suffix_of_tag(tag)) if noticed is not None else {}
        columns = (LABELS.c.image, LABELS.c.suffix, LABELS.c.mtime_ns, LABELS.c.size)
        known = {
            name: Found(suffix, mtime, size)
            for name, suffix, mtime, size in rows(connection, select(*columns).where(LABELS.c.tag == tag))
        }
        orphans = [name for name in there.keys() - images if not self._was_deleted(name, tag, there[name][0])]
        if orphans:  # whose names may be patients'
            logger.warning("labels/%s: files of no image that is here: %d", tag, len(orphans))
        now = {name: _chosen(files, known.get(name)) for name, files in there.items() if name in images}
        gone = [name for name in known if name not in now]
        changed = {name: found for name, found in now.items() if known.get(name) != found}
        _forget(connection, LABELS.c.image, [*gone, *(changed.keys() & known.keys())], tag)
        histories = self._histories() if changed else set()
        new = []
        for name, found in changed.items():
            with suppress(FileNotFoundError):  # gone again: its folder has changed, and is looked through once more
                new.append(self.row(name, tag, found, name in histories))
        if new:
            connection.execute(insert(LABELS), new)
        _note_folder(connection, tag, noticed)
        return bool(gone or changed)

    def find(self, name: str, tag: str) -> Found | None:
        """The file that labels an image, which :meth:`scan` would find; None if there is none."""
        if tag not in self._layout.tags():  # which may lead anywhere
            return None
        suffix_of = suffix_of_tag(tag)
        for suffix in sorted(suffixes_of_tag(tag)):
            file = self._layout.label(name, tag, suffix)
            # The file x.seg.nrrd is of the image x, whether or not there is an image x.seg.
            if suffix_of(file.name) == suffix and (stamp := stamp_of(file)) and file.is_file():
                return Found(suffix, *stamp)
        return None

    def row(self, name: str, tag: str, found: Found, has_history: bool = True) -> dict[str, Any]:
        """What the index is to say of a label's file."""
        version, info = self._identify(name, tag, found, has_history)
        return {
            "image": name, "tag": tag, "suffix": found.suffix, "version": version,
            "mtime_ns": found.mtime_ns, "size": found.size, "info": json.dumps(info),
        }  # fmt: skip

    def _identify(self, name: str, tag: str, found: Found, has_history: bool) -> tuple[int | None, dict[str, Any]]:
        """Which version a file is, by its time of change or else its content, and what is noted of it."""
        history = History(self._layout.history / name)
        kept = [each for each in history.versions(tag) if each.suffix == found.suffix] if has_history else []
        for version in reversed(kept):
            if (version.stamp, version.size) == (found.mtime_ns, found.size):
                return version.number, version.info
        content = ""
        for version in reversed(kept):
            content = content or digest(self._layout.label(name, tag, found.suffix).read_bytes())
            if version.sha256 == content:
                return version.number, version.info
        changed_s = found.mtime_ns // 1_000_000_000
        noted = self._stock.label(name, tag, found.suffix)
        # Of a label that has been saved here, MONAI Label's index may speak of long ago.
        if noted is not None and (not kept or abs(noted.get("ts", 0) - changed_s) <= _STOCK_NOTES_S):
            return None, noted
        return None, {"ts": changed_s, "name": f"{name}{found.suffix}"}

    def _was_deleted(self, name: str, tag: str, found: Found) -> bool:
        """Finish what a process began that died: a label whose image was deleted, and that is kept in the history."""
        history = History(self._layout.history / name)
        if not history.deleted_images():
            return False
        version, _ = self._identify(name, tag, found, True)
        if version is not None:
            self._layout.label(name, tag, found.suffix).unlink(missing_ok=True)
        return version is not None

    def finish_deletion(self, name: str) -> None:
        """Remove labels that a process left that died when it had deleted their image."""
        for tag in self._layout.tags():
            for suffix in suffixes_of_tag(tag):
                if stamp := stamp_of(self._layout.label(name, tag, suffix)):
                    self._was_deleted(name, tag, Found(suffix, *stamp))


def mtime_ns(path: Path) -> int | None:
    """When a file was changed, or something came into a folder or went; None if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Time of change (ns) and size of a file; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _now_looked(folder: Path) -> int | None:
    """What to note of a folder that is looked through now; 0 if more may come with the same time."""
    changed = mtime_ns(folder)
    return 0 if changed is not None and 0 <= time.time_ns() - changed < _TICK_NS else changed


def _note_folder(connection: Connection, name: str, noticed: int | None) -> None:
    connection.execute(delete(FOLDERS).where(FOLDERS.c.name == name))
    if noticed is not None:
        connection.execute(insert(FOLDERS), [{"name": name, "mtime_ns": noticed}])


def _images_in(folder: Path, known: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Ids and endings of the images there; of two files of one id the last one counts.

    Args:
        known: id and ending of files that have been seen before.
    """
    there = {}
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if storable(entry.name) and entry.is_file())
    for file in names:
        name, suffix = known.get(file) or split_image(file)
        if suffix:
            there[name] = suffix
    return there


def _labels_in(folder: Path, suffix_of: Callable[[str], str]) -> dict[str, list[Found]]:
    """The files that label each image there, sorted by their endings."""
    found: dict[str, list[Found]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(SAVING):
                Path(entry.path).unlink(missing_ok=True)
            elif storable(entry.name) and (suffix := suffix_of(entry.name)):
                with suppress(FileNotFoundError):
                    if entry.is_file():
                        status = entry.stat()
                        file = Found(suffix, status.st_mtime_ns, status.st_size)
                        found.setdefault(entry.name[: -len(suffix)], []).append(file)
    return {name: sorted(files, key=lambda file: file.suffix) for name, files in found.items()}


def _chosen(files: list[Found], known: Found | None) -> Found:
    """Of several label images of one image, the one that it was before."""
    return next((file for file in files if known is not None and file.suffix == known.suffix), files[0])


def _ids(connection: Connection, query: Select[Any]) -> list[str]:
    return [name for (name,) in rows(connection, query)]


def _forget(connection: Connection, column: Any, names: Iterable[str], tag: str | None = None) -> None:
    statement = delete(column.table).where(column == bindparam("gone"))
    if tag is not None:
        statement = statement.where(LABELS.c.tag == tag)
    gone = [{"gone": name} for name in names]
    if gone:
        connection.execute(statement, gone)
