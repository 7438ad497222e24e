"""How long a run may take: by its epochs, and by the clock where somebody has to be done by a certain time."""

from __future__ import annotations

import time

# Validations take at most about this part of a budget: of few images an epoch is over in less than a validation.
_VALIDATING = 0.2


class Budget:
    """The part of a run that is over, by its epochs or by its time, whichever is further.

    Args:
        seconds: that the epochs of a run may take; None for as long as they take.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._began: float | None = None
        self._validated, self._validation = time.monotonic(), 0.0

    def begin(self) -> None:
        """The first epoch begins."""
        self._began = self._validated = time.monotonic()

    @property
    def spent(self) -> float:
        """The part of the time that is over, from 0 to 1; 0 of a run that has all the time."""
        if self.seconds is None or self._began is None:
            return 0.0
        return min((time.monotonic() - self._began) / self.seconds, 1.0)

    @property
    def is_over(self) -> bool:
        """Whether this epoch is the last one."""
        return self.spent >= 1

    @property
    def left(self) -> float:
        """Seconds; infinite of a run that has all the time."""
        return float("inf") if self.seconds is None else self.seconds * (1 - self.spent)

    def epochs_done(self, epoch: int, epochs: int) -> float:
        """What a schedule over ``epochs`` is to go by after ``epoch`` of them."""
        return max(float(epoch), self.spent * epochs)

    @property
    def allows_validation(self) -> bool:
        """Whether enough was trained since the last validation for another one."""
        since = time.monotonic() - self._validated
        return self.seconds is None or since * _VALIDATING >= self._validation * (1 - _VALIDATING)

    def note_validation(self, seconds: float) -> None:
        """A validation took so long."""
        self._validation, self._validated = seconds, time.monotonic()
