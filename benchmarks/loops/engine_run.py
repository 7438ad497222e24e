"""The training engine itself, as ``landmarklabel train`` runs it, watched by its own events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines.utils import IterationEvents

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.trainer import Batch, Trainer
from landmarklabel.io.dataset import LandmarkDataset

from .watch import Watch


class _Watched(Trainer):
    def __init__(self, config: ExperimentConfig, dataset: LandmarkDataset, out: Path, clock: str) -> None:
        super().__init__(config, dataset, out, "cpu", quiet=True)
        self.watch = Watch(clock)

    def _prepare_data(self) -> None:
        start = time.perf_counter()
        super()._prepare_data()
        self.read_s = time.perf_counter() - start

    def _make_engines(self) -> None:
        super()._make_engines()
        engine, lap = self.trainer, self.watch.lap
        engine.add_event_handler(Events.EPOCH_STARTED, self.watch.start)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, lap, "data")
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, lap, "forward")
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, lap, "targets and loss")
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, lap, "backward")
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, lap, "optimizer")
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step_ends)

    def _step_ends(self) -> None:
        self.watch.lap("rest")
        self.watch.end()

    def _training_batch(self, *arguments: Any, **options: Any) -> Batch:
        clicks = self.clicks

        def watched(*given: Any) -> Any:
            self.watch.lap("augmentation")
            answer = clicks(*given)
            self.watch.lap("clicks")
            return answer

        self.clicks = watched  # type: ignore[assignment]
        batch = super()._training_batch(*arguments, **options)
        self.clicks = clicks
        self.watch.lap("augmentation")
        return batch


def engine_run(config: ExperimentConfig, dataset: LandmarkDataset, out: Path, clock: str) -> tuple[Watch, float]:
    """A run's steps, and the seconds that reading all images took before the first."""
    trainer = _Watched(config, dataset, out, clock)
    trainer.train()
    return trainer.watch, trainer.read_s
