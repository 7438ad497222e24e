"""Asking the store: every answer from the index, and files checked against it when they are handed out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from ..errors import ConfigError, NotFoundError
from .history import History
from .index import IMAGES, LABELS, STATE, Index, bump, names, rows
from .layout import open_layout, rewrite
from .scanning import Found, Scanner, stamp_of
from .versions import Action, Version, noted, time_of

# Made once: to put a statement together takes as long as to run it.
_LABEL = select(
    LABELS.c.image, LABELS.c.tag, LABELS.c.suffix, LABELS.c.version, LABELS.c.mtime_ns, LABELS.c.size, LABELS.c.info
)
_ONE_LABEL = _LABEL.where(LABELS.c.image == bindparam("name"), LABELS.c.tag == bindparam("tag"))
_NO_LABEL = delete(LABELS).where(LABELS.c.image == bindparam("of_image"), LABELS.c.tag == bindparam("of_tag"))
_NEW_LABEL = insert(LABELS)
_SUFFIX = select(IMAGES.c.suffix).where(IMAGES.c.id == bindparam("name"))
_REVISION = select(STATE.c.number).where(STATE.c.key == "revision")


@dataclass(frozen=True)
class Label:
    """A label that is there now.

    Attributes:
        image: of which.
        tag: what it counts as.
        suffix: the ending of its file.
        version: which of its history it is; None if it was put there by hand and is not kept yet.
        stamp: time of change (ns) and size of its file.
        info: what is noted of it.
    """

    image: str
    tag: str
    suffix: str
    version: int | None
    stamp: tuple[int, int]
    info: dict[str, Any]


class StoreReader:
    """What is in a studies folder.

    Args:
        root: the studies folder; it is made if it is not there.
        index_url: of a PostgreSQL; by default the index is a file in the folder.

    Attributes:
        index: the database; others may keep tables of their own in it.

    Raises:
        StorageError: the folder or the index can't be written.
        ConfigError: the store is one of a later release, or the database is another folder's.
    """

    def __init__(self, root: str | Path, index_url: str = "") -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"{root} is no folder; expected a studies folder: images, and labels in labels/")
        self.layout, self.identity = open_layout(self.root)
        self.index = Index(self.root / ".landmarklabel", self.identity.id, index_url)
        self._scanner = Scanner(self.layout, self.index)
        self.refresh()

    def close(self) -> None:
        """Give the index's connections back."""
        self.index.close()

    def describe(self, **texts: Any) -> None:
        """Change the name or the description of the data set."""
        with self._locked():
            self.identity = rewrite(self.root, replace(self.identity, **texts))

    # The folders --------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Look through all folders. Returns whether anything had come, gone or changed."""
        with self._locked(), self.index.reading() as connection:
            noted = set(connection.execute(select(LABELS.c.tag).distinct()).scalars())
            return self._scanner.scan({"", *noted, *self.layout.tags()})

    def notice(self) -> bool:
        """Look through the folders in which something came or went. Returns whether that changed anything."""
        self._renew()
        if not self._scanner.changed():
            return False
        with self._locked():  # others' saves are over by now
            folders = self._scanner.changed()
            return bool(folders) and self._scanner.scan(folders)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.index.lock():
            self._renew()
            yield

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._renew()
        with self.index.reading() as connection:
            yield connection

    def _renew(self) -> None:
        """Make the index again if it has been removed."""
        if self.index.replaced():
            with self.index.lock():
                if self.index.replaced():
                    self.index.open(lambda: self._scanner.scan({"", *self.layout.tags()}))

    # Images -------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Another once an image or a label has changed."""
        with self._reading() as connection:
            return int(connection.execute(_REVISION).scalar_one())

    def images(self) -> list[str]:
        """The ids of all images, in order."""
        with self._reading() as connection:
            return list(names(connection, IMAGES.c.id))

    def has_image(self, name: str) -> bool:
        with self._reading() as connection:
            return connection.execute(_SUFFIX, {"name": plain(name)}).first() is not None

    def image_file(self, name: str) -> Path:
        """The file of an image.

        Raises:
            NotFoundError: there is none of that id.
        """
        with self._reading() as connection:
            suffix = connection.execute(_SUFFIX, {"name": plain(name)}).scalar()
            path = None if suffix is None else self.layout.image(name, suffix)
            if path is not None and path.is_file():
                return path
            count = connection.execute(select(func.count()).select_from(IMAGES)).scalar_one()
        raise NotFoundError(f"there is no image '{name}' in these studies ({count} images)")

    def image_info(self, name: str) -> dict[str, Any]:
        """What is noted of an image.

        Raises:
            NotFoundError: there is no such image.
        """
        with self._reading() as connection:
            info = connection.execute(select(IMAGES.c.info).where(IMAGES.c.id == plain(name))).scalar()
        if info is None:
            self.image_file(name)
        noted: dict[str, Any] = json.loads(info or "{}")
        return noted

    def labelled(self, tag: str = "final") -> list[str]:
        """The images that have a label of that tag, in order."""
        with self._reading() as connection:
            return list(names(connection, LABELS.c.image, LABELS.c.tag == tag))

    def unlabelled(self, tag: str = "final") -> list[str]:
        """The images that have none of that tag, in order."""
        with self._reading() as connection:  # two lists are quicker than to look for a label of each image
            images, labelled = names(connection, IMAGES.c.id), names(connection, LABELS.c.image, LABELS.c.tag == tag)
        with_one = set(labelled)
        return [name for name in images if name not in with_one]

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many images there are, and how many labels of each tag."""
        with self._reading() as connection:
            images = connection.execute(select(func.count()).select_from(IMAGES)).scalar_one()
            tags = connection.execute(select(LABELS.c.tag, func.count()).group_by(LABELS.c.tag)).all()
        return images, dict(sorted(map(tuple, tags)))

    # Labels -------------------------------------------------------------------------------------------------

    def labels(self, name: str) -> dict[str, Label]:
        """The labels of an image by their tags; none of an image that is not there."""
        with self._reading() as connection:
            found = rows(connection, _LABEL.where(LABELS.c.image == bindparam("name")), name=plain(name))
        return {label.tag: label for label in map(_label, found)}

    def label(self, name: str, tag: str) -> Label:
        """One label, whose file is as the index says.

        Raises:
            NotFoundError: there is no such image, or it has no label of that tag.
        """
        label = self._label(name, tag)
        if label is not None and stamp_of(self._file(label)) != label.stamp:
            with self._locked():
                label = self._look_again(name, tag)
        if label is None:
            self.image_file(name)
            tags = ", ".join(sorted(self.labels(name))) or "none"
            raise NotFoundError(f"there is no label '{tag}' of the image '{name}'; it has {tags}")
        return label

    def label_file(self, name: str, tag: str) -> Path:
        """The file of a label.

        Raises:
            NotFoundError: there is no such image, or it has no label of that tag.
        """
        return self._file(self.label(name, tag))

    def label_files(self, tag: str) -> dict[str, Path]:
        """The files of all labels of a tag by their images, in order, as the index has them."""
        query = select(LABELS.c.image, LABELS.c.suffix).where(LABELS.c.tag == tag).order_by(LABELS.c.image)
        with self._reading() as connection:
            return {name: self.layout.label(name, tag, suffix) for name, suffix in rows(connection, query)}

    def label_stamps(self, tag: str) -> dict[str, tuple[str, tuple[int, int]]]:
        """Ending and stamp of the files of all labels of a tag by their images, in order, as the index has them."""
        columns = (LABELS.c.image, LABELS.c.suffix, LABELS.c.mtime_ns, LABELS.c.size)
        query = select(*columns).where(LABELS.c.tag == tag).order_by(LABELS.c.image)
        with self._reading() as connection:
            return {name: (suffix, (time, size)) for name, suffix, time, size in rows(connection, query)}

    def everything(self) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Label]]]:
        """Every image in order: its id, its file's ending, what is noted of it, and its labels by their tags."""
        with self._reading() as connection:
            images = rows(connection, select(IMAGES.c.id, IMAGES.c.suffix, IMAGES.c.info).order_by(IMAGES.c.id))
            labels: dict[str, dict[str, Label]] = {}
            for label in map(_label, rows(connection, _LABEL.order_by(LABELS.c.image, LABELS.c.tag))):
                labels.setdefault(label.image, {})[label.tag] = label
        for name, suffix, info in images:
            yield name, suffix, json.loads(info), labels.get(name, {})

    def _file(self, label: Label) -> Path:
        return self.layout.label(label.image, label.tag, label.suffix)

    def _label(self, name: str, tag: str) -> Label | None:
        """What the index says of a label."""
        with self._reading() as connection:
            found = rows(connection, _ONE_LABEL, name=plain(name), tag=plain(tag))
        return _label(found[0]) if found else None

    def _look_again(self, name: str, tag: str) -> Label | None:
        """A label as its file is now; the index is told where that is not what it says. The lock is held."""
        label = self._label(name, tag)
        stamp = None if label is None else stamp_of(self._file(label))
        if label is not None and stamp == label.stamp:
            return label
        found = Found(label.suffix, *stamp) if label and stamp else self._unnoticed(name, tag)
        if label is None and found is None:
            return None
        row = None if found is None else self._scanner.row(name, tag, found)
        with self.index.writing() as connection:
            put_row(connection, name, tag, row)
            bump(connection)
        return self._label(name, tag)

    def _unnoticed(self, name: str, tag: str) -> Found | None:
        """The file of a label that was put by hand, and that the index does not know yet."""
        return self._scanner.find(name, tag) if self.has_image(name) else None

    # History ------------------------------------------------------------------------------------------------

    def history(self, name: str, tag: str) -> tuple[list[Version], int | None]:
        """The versions of an image's label, in order, and the number of the one that is there now.

        A label that was put there by hand is the last one, with the number under which it will be kept.

        Raises:
            NotFoundError: there is no such image, or it never had a label of that tag.
        """
        self.image_file(name)
        history = self.history_of(name)
        images = len(history.deleted_images())
        versions = [version for version in history.versions(tag) if version.images == images]
        current = None
        if self._label(name, tag) is not None:
            label = self.label(name, tag)
            current = label.version
            if current is None:
                current = history.next_number(tag)
                versions.append(found_by_hand(label, current, images))
        if not versions:
            self.label(name, tag)
        return versions, current

    def content(self, name: str, tag: str, number: int) -> tuple[bytes, str]:
        """What a version of a label holds, and the ending of its file.

        Raises:
            NotFoundError: there is no such image or version, or it is a tombstone.
            StorageError: its file is gone, or damaged.
        """
        self.image_file(name)
        history = self.history_of(name)
        if number not in history.numbers().get(tag, []):  # one that was put there by hand is not kept yet
            version = next((each for each in self.history(name, tag)[0] if each.number == number), None)
            if version is not None:
                return self.label_file(name, tag).read_bytes(), version.suffix
        version = history.version(tag, number)
        return history.content(tag, version), version.suffix

    def history_of(self, name: str) -> History:
        """The files of an image's versions."""
        return History(self.layout.history / name)


def plain(name: str) -> str:
    """A name without what no database takes, and no file has: then nothing is found by it."""
    return name.encode(errors="replace").decode().replace("\0", "?/")


def found_by_hand(label: Label, number: int, images: int, sha256: str = "") -> Version:
    """The version that a label is that was put into the folder by hand."""
    changed_ns, size = label.stamp
    return Version(
        number, Action.FOUND, time_of(changed_ns), suffix=label.suffix, sha256=sha256, size=size, stamp=changed_ns,
        images=images, info=label.info, **noted(label.info),
    )  # fmt: skip


def put_row(connection: Connection, name: str, tag: str, row: dict[str, Any] | None) -> None:
    """Let the index say that of a label; None: that it is gone."""
    connection.execute(_NO_LABEL, {"of_image": name, "of_tag": tag})
    if row is not None:
        connection.execute(_NEW_LABEL, row)


def _label(row: tuple[Any, ...]) -> Label:
    image, tag, suffix, version, mtime_ns, size, info = row
    return Label(image, tag, suffix, version, (mtime_ns, size), json.loads(info))
