"""A progress bar over all steps of a run, with the time that is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm


class Progress:
    """Bars for reading images and for training.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None

    @contextmanager
    def reading(self, images: int) -> Iterator[Callable[[], object]]:
        """A bar for reading images; call what it yields after each."""
        with tqdm(total=images, desc="reading images", unit="image", disable=self._quiet, leave=False) as bar:
            yield bar.update

    def start(self, steps: int, done: int) -> None:
        """A bar for training, ``done`` of whose ``steps`` an earlier run did."""
        self._bar = tqdm(total=steps, initial=done, desc="training", unit="step", disable=self._quiet)

    def step(self, loss: float, best: float) -> None:
        """One training step is done."""
        if self._bar is not None:
            shown = f"{best:.2f}" if math.isfinite(best) else "-"
            self._bar.set_postfix_str(f"loss {loss:.4g}, best validation MRE {shown}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
