"""The reader's time: it passes in fact while the server works beside, and is only counted while that does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

# How much time is let pass at once, in seconds; as often is asked whether the server is at work.
_PIECE_S = 2.0


class Pace:
    """Lets the time pass that looks and clicks take.

    A training gets exactly the time that it would have in life, and a simulation does not last as long.

    Args:
        busy: whether the server trains, or looks at images, in the background.
    """

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy, self._owed = busy, 0.0

    def spend(self, seconds: float) -> None:
        """The reader takes so long."""
        self._owed += seconds
        if self._owed >= _PIECE_S:
            if self._busy():
                time.sleep(self._owed)
            self._owed = 0.0
