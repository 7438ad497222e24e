"""Training under a budget of CPU time: how many epochs fit is measured first, on a part of the same data.

CPU seconds of one thread do not change with what else the machine does, so that two runs may share two cores.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import peak_memory_mb

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.data import fit_input, training_and_validation
from landmarklabel.engine.evaluation import machine
from landmarklabel.engine.report import EpochReport
from landmarklabel.engine.trainer import train
from landmarklabel.files import atomic_write, to_json
from landmarklabel.io.cases import LandmarkDataset

#: Steps of an epoch of the probe, and its epochs; the first is not counted.
_PROBE_STEPS, _PROBE_EPOCHS = 16, 3
#: Of the budget that the plan uses: the rest is for writing models and for what a probe can't know.
_PLANNED_PART = 0.96


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a run: before the first epoch, and of each."""

    before: float
    epoch: float

    def epochs_within(self, seconds: float) -> int:
        """How many epochs fit, at least one."""
        return max(1, math.floor((seconds * _PLANNED_PART - self.before) / self.epoch))


def probe(config: ExperimentConfig, dataset: LandmarkDataset) -> Cost:
    """What this run costs, by a short one on a part of its training and of its validation images."""
    training, validation = training_and_validation(dataset, config)
    few = training[: _PROBE_STEPS * config.batch_size]
    times = len(training) / len(few)
    part = (*few, *validation[: max(1, round(len(validation) / times))])
    short = fit_input(config, training).model_copy(update={"epochs": _PROBE_EPOCHS})
    marks = [time.process_time()]
    with tempfile.TemporaryDirectory() as folder:
        train(
            short,
            LandmarkDataset(dataset.name, dataset.protocol, part),
            Path(folder) / "probe",
            quiet=True,
            on_epoch=lambda _: marks.append(time.process_time()),
        )
    epoch = (marks[-1] - marks[1]) / (_PROBE_EPOCHS - 1)
    return Cost(max(0.0, marks[1] - marks[0] - epoch) * times, epoch * times)


def train_within(config: ExperimentConfig, dataset: LandmarkDataset, folder: Path, seconds: float) -> dict[str, Any]:
    """Train for so many CPU seconds, or go on where a run in ``folder`` was interrupted.

    Returns:
        what ``training.json`` holds.
    """
    done, plan = folder / "training.json", folder / "plan.json"
    if done.exists():
        content: dict[str, Any] = json.loads(done.read_text())
        return content
    folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(plan.read_text()) if plan.exists() else _planned(config, dataset, seconds)
    atomic_write(plan, to_json(state))
    start, before = time.process_time(), state["cpu_s"]

    def remember(report: EpochReport) -> None:
        state["cpu_s"] = before + time.process_time() - start
        atomic_write(plan, to_json(state))
        row = report.metrics
        print(
            f"{folder.name}: epoch {row['epoch']} of {report.epochs}, loss {row['loss']:.5f}, validation MRE "
            f"{row.get('val_mre', math.nan):.2f}, best {report.best_epoch}, {state['cpu_s']:.0f} CPU seconds",
            flush=True,
        )

    whole = config.model_copy(update={"epochs": state["epochs"]})
    result = train(whole, dataset, folder, on_epoch=remember, quiet=True)
    content = {
        "method": config.method,
        "budget_cpu_s": seconds,
        "cpu_s": round(before + time.process_time() - start, 1),
        "probe": state["probe"],
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "validation": result.metrics,
        "images": len(dataset.cases),
        "peak_memory_mb": round(peak_memory_mb()),
        "machine": machine(),
        "config": whole.model_dump(mode="json"),
    }
    atomic_write(done, to_json(content))
    return content


def _planned(config: ExperimentConfig, dataset: LandmarkDataset, seconds: float) -> dict[str, Any]:
    cost = probe(config, dataset)
    epochs = cost.epochs_within(seconds)
    print(f"{config.method}: {cost.epoch:.0f} CPU seconds an epoch, {epochs} epochs in {seconds:.0f}", flush=True)
    return {"epochs": epochs, "cpu_s": 0.0, "probe": {"before_s": cost.before, "epoch_s": cost.epoch}}
