"""MONAI Label's own index, ``datastore_v2.json``: what it notes of images and labels is taken over, and given back."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..files import atomic_write

if TYPE_CHECKING:
    from .reading import StoreReader

logger = logging.getLogger(__name__)

STOCK_INDEX = "datastore_v2.json"


class StockIndex:
    """The file as it is now. It may be missing or damaged: then nothing is noted in it.

    Args:
        root: the studies folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / STOCK_INDEX

    @cached_property
    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as problem:
            logger.warning("%s can't be read (%s): what it notes of images and labels is left out", self.path, problem)
            return {}
        return content if isinstance(content, dict) else {}

    def description(self) -> dict[str, str]:
        """Name and description of the data set, and where its images and labels lie, as far as it says so."""
        texts = {key: self._content.get(key) for key in ("name", "description", "images_dir", "labels_dir")}
        inside = {
            key: value
            for key, value in texts.items()
            if isinstance(value, str) and not (key.endswith("_dir") and _leaves(value))
        }
        return {key: value or "." if key == "images_dir" else value for key, value in inside.items()}

    def image(self, name: str, suffix: str) -> dict[str, Any] | None:
        """What it notes of an image with that ending."""
        return _info(_part(self._objects(), name, "image"), suffix)

    def label(self, name: str, tag: str, suffix: str) -> dict[str, Any] | None:
        """What it notes of a label with that ending."""
        return _info(_part(self._objects(), name, "labels", tag), suffix)

    def _objects(self) -> Any:
        return self._content.get("objects")


def _part(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _info(entry: Any, suffix: str) -> dict[str, Any] | None:
    if not isinstance(entry, dict) or entry.get("ext") != suffix:
        return None
    info = entry.get("info")
    return info if isinstance(info, dict) else None


def _leaves(folder: str) -> bool:
    path = PurePosixPath(folder)
    return path.is_absolute() or ".." in path.parts


def as_stock_index(store: StoreReader) -> dict[str, Any]:
    """All that a store knows, as MONAI Label's own index has it."""
    described = {key: getattr(store.identity, key) for key in ("name", "description", "images_dir", "labels_dir")}
    objects = {
        name: {
            "image": {"ext": suffix, "info": info},
            "labels": {tag: {"ext": label.suffix, "info": label.info} for tag, label in labels.items()},
        }
        for name, suffix, info, labels in store.everything()
    }
    return {**described, "objects": objects}


def export_stock_index(store: StoreReader) -> Path:
    """Write MONAI Label's own index, for a server without this project's app. Returns its path."""
    path = store.root / STOCK_INDEX
    atomic_write(path, json.dumps(as_stock_index(store), indent=2).encode(), "MONAI Label's index")
    return path
