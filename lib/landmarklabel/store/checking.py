"""Reading everything again: whether each version is still what was saved."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import LandmarkLabelError
from .history import IMAGE
from .reading import StoreReader


def damaged(store: StoreReader) -> Iterator[str]:
    """A sentence for each version that is gone or is not what was saved, of all images that have a history."""
    for folder in sorted(store.layout.history.iterdir()):
        history = store.history_of(folder.name)
        for tag, numbers in sorted(history.numbers().items()):
            for number in numbers if tag != IMAGE else ():
                try:
                    version = history.version(tag, number)
                    if version.has_content:
                        history.content(tag, version)
                except LandmarkLabelError as problem:
                    yield str(problem)
