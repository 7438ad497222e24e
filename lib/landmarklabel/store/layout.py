"""What lies where in a studies folder: MONAI Label's own layout, and beside it what the store keeps for itself.

ID.png                                       an image
labels/final/ID.mrk.json                     its label of the tag ``final``, as it is now
datastore_v2.json                            MONAI Label's index, where there is one: read, never relied on
.landmarklabel/store.json                    which store this is
.landmarklabel/index.sqlite                  the index, unless it is a PostgreSQL
.landmarklabel/history/ID/final.000003.json  what is known of version 3: who, when, from what
.landmarklabel/history/ID/final.000003.mrk.json  its content
.landmarklabel/history/ID/@image.json        what is noted of the image
.landmarklabel/history/ID/@image.000001.png  an image of that id that was deleted, and can come back
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, LandmarkLabelError
from ..files import atomic_write, storage_errors, sync_folder
from ..io.layouts.common import image_id
from ..io.layouts.studies import (
    LABEL_SUFFIX,
    SEGMENTATION_SUFFIXES,
    SEGMENTATION_TAG,
    label_suffix,
    segmentation_suffix,
)
from .stock import StockIndex

FORMAT = 1

_SAFE_NAME = re.compile(r"[^\W_][\w .+@()-]*")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Identity:
    """What a store says of itself. The folders are MONAI Label's, which another one may have named otherwise."""

    id: str
    format: int = FORMAT
    name: str = "new-dataset"
    description: str = "New Dataset"
    images_dir: str = "."
    labels_dir: str = "labels"


class Layout:
    """Paths in a studies folder.

    Args:
        root: the studies folder.
        identity: of its store.
    """

    def __init__(self, root: Path, identity: Identity) -> None:
        self.root = root
        self.images, self.labels = root / identity.images_dir, root / identity.labels_dir
        self.history = root / ".landmarklabel" / "history"

    def image(self, name: str, suffix: str) -> Path:
        return self.images / f"{name}{suffix}"

    def label(self, name: str, tag: str, suffix: str) -> Path:
        return self.labels / tag / f"{name}{suffix}"

    def folder(self, tag: str) -> Path:
        """Of the labels of a tag; of the images, if the tag is empty."""
        return self.labels / tag if tag else self.images

    def tags(self) -> list[str]:
        """Those that have a folder, sorted."""
        with os.scandir(self.labels) as entries:
            return sorted(entry.name for entry in entries if storable(entry.name) and entry.is_dir())


def open_layout(root: Path) -> tuple[Layout, Identity]:
    """Find the store of a folder, or make one.

    Raises:
        StorageError: the folder can't be written.
        ConfigError: the store is one of a later release, or its description is damaged.
    """
    file = root / ".landmarklabel" / "store.json"
    with storage_errors(file, "the label store"):
        file.parent.mkdir(parents=True, exist_ok=True)
        (root / ".landmarklabel" / "history").mkdir(exist_ok=True)
        if not file.exists():
            _found(root, file)
        identity = _identity(file)
        layout = Layout(root, identity)
        for folder in (layout.images, layout.labels / "final", layout.labels / "original"):
            folder.mkdir(parents=True, exist_ok=True)
    return layout, identity


def _found(root: Path, file: Path) -> None:
    """Write the description of a new store; of two processes at once, the first one's counts."""
    described: dict[str, Any] = {**StockIndex(root).description()}
    identity = Identity(uuid.uuid4().hex, **described)
    temporary = file.with_name(f".store.{uuid.uuid4().hex}.part")
    temporary.write_text(json.dumps(asdict(identity), indent=1))
    try:
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        try:
            os.link(temporary, file)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(file.parent)


def _identity(file: Path) -> Identity:
    try:
        content = json.loads(file.read_bytes())
        if content["format"] > FORMAT:
            raise ConfigError(
                f"{file.parent.parent}: the label store has format {content['format']}, this landmarklabel reads up to "
                f"{FORMAT}; upgrade it"
            )
        return Identity(**content)
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(
            f"{file}: damaged ({problem}); expected the description of the label store. Put it back from a backup, or "
            "move it away: images, labels and histories stay"
        ) from None


def rewrite(root: Path, identity: Identity) -> Identity:
    """Let a store say that of itself."""
    atomic_write(root / ".landmarklabel" / "store.json", json.dumps(asdict(identity), indent=1).encode())
    return identity


def split_image(file: str) -> tuple[str, str]:
    """Id and ending of an image's file name."""
    name = image_id(file)
    return name, file[len(name) :]


def suffix_of_tag(tag: str) -> Callable[[str], str]:
    """What gives the ending of a file among the labels of a tag, and "" where it is none of them."""
    return segmentation_suffix if tag.endswith(SEGMENTATION_TAG) else label_suffix


def suffixes_of_tag(tag: str) -> tuple[str, ...]:
    """The endings that labels of a tag can have."""
    return SEGMENTATION_SUFFIXES if tag.endswith(SEGMENTATION_TAG) else (LABEL_SUFFIX,)


def storable(name: str) -> bool:
    """Whether a file or folder that was put by hand has a name that counts: neither hidden nor in no known letters."""
    if name.isascii():
        return not name.startswith(".")
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
