"""Where an error came from, without its message: that may hold the path of an image, and so a patient's name."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def trace(error: BaseException) -> str:
    """Kinds and frames of an error and of those that led to it, which go first, as Python prints them."""
    return "\n".join(map(_without_message, reversed(list(_chain(error)))))


def _without_message(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
