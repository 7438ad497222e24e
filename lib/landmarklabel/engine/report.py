"""What a run tells while it goes on: TensorBoard, pictures, and a message after each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.handlers import TensorBoardStatsHandler
from torch.utils.tensorboard import SummaryWriter

from ..files import atomic_path, storage_errors
from ..pictures import overlay, side_by_side
from .data import Item
from .runfolder import RunFolder


@dataclass(frozen=True)
class EpochReport:
    """An epoch that is done.

    Attributes:
        epochs: of the whole run.
        metrics: of this epoch: ``epoch``, ``loss``, ``seconds`` and, where it was validated, ``val_mre`` and so on.
        best_epoch: so far; 0 if there was no validation yet.
        best_metrics: of that epoch.
        time_left: seconds until the clock ends the run; infinite where its epochs do.
    """

    epochs: int
    metrics: dict[str, Any]
    best_epoch: int
    best_metrics: dict[str, float]
    time_left: float = math.inf


class RunReporter:
    """Writes TensorBoard curves of a trainer and its evaluator while its ``with`` block lasts."""

    def __init__(self, folder: RunFolder, trainer: Engine, evaluator: Engine, enabled: bool = True) -> None:
        with storage_errors(folder.tensorboard, "the curves of the training run"):
            self._writer = SummaryWriter(str(folder.tensorboard)) if enabled else None
        if self._writer is None:
            return
        TensorBoardStatsHandler(self._writer, output_transform=lambda output: output["loss"].item()).attach(trainer)
        TensorBoardStatsHandler(
            self._writer, iteration_log=False, global_epoch_transform=lambda _: trainer.state.epoch
        ).attach(evaluator)

    def __enter__(self) -> RunReporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def draw_validation(folder: RunFolder, epoch: int, items: Sequence[Item], predicted: torch.Tensor) -> None:
    """A picture of predictions against truth on some validation images, as the network sees them."""
    pictures = [
        overlay((item["image"].float().numpy() * 255).astype(np.uint8), points.numpy(), item["points"].numpy())
        for item, points in zip(items, predicted, strict=False)
    ]
    target = folder.pictures / f"validation_{epoch:04d}.png"
    with atomic_path(target) as temporary:
        side_by_side(pictures).save(temporary, format="PNG")
