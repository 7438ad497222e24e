"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

#: What the hands show: time on the wall, or what all threads of this process have used of processors. Only the second
#: can be compared on a machine that others use, and only of one thread: those that wait for each other may spin.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class Watch:
    """Laps of each step by name: what has passed since the lap before it is the lap's."""

    def __init__(self, clock: str = "wall") -> None:
        self.steps: list[dict[str, float]] = []
        self._clock = CLOCKS[clock]
        self.start()

    def start(self) -> None:
        """Nothing before this counts."""
        self._now: dict[str, float] = {}
        self._last = self._clock()

    def lap(self, name: str) -> None:
        """What ends here is ``name``'s."""
        now = self._clock()
        self._now[name] = self._now.get(name, 0.0) + now - self._last
        self._last = now

    def end(self) -> None:
        """The step is over."""
        self.steps.append(dict(self._now))
        self.start()

    def summary(self, skip: int) -> dict[str, float]:
        """Mean seconds a step of each part, the first ``skip`` steps left out."""
        kept = self.steps[skip:]
        names = {name: None for step in kept for name in step}
        return {name: round(float(np.mean([step.get(name, 0.0) for step in kept])), 5) for name in names}
