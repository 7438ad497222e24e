"""Putting a model into use: all of it or nothing, the one before it kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from ..files import atomic_path, storage_errors

#: The ending of the model that was in use before.
PREVIOUS = ".previous.safetensors"


def publish(trained: Path, target: Path) -> None:
    """Answer with this model from now on, in all processes; the old one is kept as ``.previous``.

    Args:
        trained: a model file.
        target: of the model that answers. Whatever happens on the way, it is the old one or the new one, whole.

    Raises:
        StorageError: the disk is full, or the folder can't be written: the old one goes on to answer.
    """
    name = f"the model {target.name}"
    with storage_errors(target, name):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and target.samefile(trained):
            return
        # The new one is on disk before the old one takes the place of the one before, which may be the new one.
        with FileLock(str(target.parent / ".publishing")), atomic_path(target, name) as temporary:
            shutil.copyfile(trained, temporary)
            if target.exists():
                with atomic_path(previous_of(target), f"the model before {target.name}") as kept:
                    shutil.copyfile(target, kept)


def previous_of(target: Path) -> Path:
    """Where the model that answered before is kept."""
    return target.with_suffix(PREVIOUS)
