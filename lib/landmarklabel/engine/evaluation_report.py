"""An evaluation as a table, as JSON and as CSV; images that the model may have learned from, told apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..files import atomic_write
from ..io.dataset import Case, LandmarkDataset
from ..metrics import Summary, summarize
from ..modelfile import ModelHeader
from ..predictor import AnyDecoder
from .data import patient_hash
from .evaluation import Evaluation, machine

_MOST_ROWS = 80


def leaked(cases: Sequence[Case], header: ModelHeader) -> NDArray[np.bool_]:
    """Which images are of patients that the model was trained on or chosen by, (N,).

    Readers of layouts that hold the same picture twice (ISBI 2015 across its splits) give both the same patient.
    """
    seen = set(header.data.get("seen", ()))
    return np.array([patient_hash(case.patient) in seen for case in cases], dtype=bool)


def report(
    evaluation: Evaluation,
    without_leaks: Evaluation,
    dataset: LandmarkDataset,
    split: str | None,
    header: ModelHeader,
    decoder: AnyDecoder,
) -> dict[str, Any]:
    """Every figure with what it depends on: the data's fingerprint, the split, the seed, the machine."""
    return {
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "split": split},
        "model": {"method": header.config.method, "version": header.version, "seed": header.config.seed},
        "decoder": decoder.model_dump(),
        "machine": machine(),
        **evaluation.figures(),
        "without_leaked": {
            "images": len(without_leaks.ids),
            "overall": without_leaks.summary().as_dict(),
        },
    }


def print_table(evaluation: Evaluation, without_leaks: Evaluation) -> None:
    """The figures on the terminal: overall, and by landmark where there are not too many."""
    radii = evaluation.protocol.radii
    table = Table("", "images", "MRE", "std", "median", *(f"<{radius:g}" for radius in radii))
    table.title = f"radial error ({evaluation.unit}), and the percentage below each radius (SDR)"
    _row(table, "all", len(evaluation.ids), evaluation.summary())
    repeated = len(evaluation.ids) - len(without_leaks.ids)
    if repeated:
        _row(table, "unseen", len(without_leaks.ids), without_leaks.summary())
    if len(evaluation.protocol) <= _MOST_ROWS:
        table.add_section()
        for index, label in enumerate(evaluation.protocol.labels):
            _row(table, label, len(evaluation.ids), summarize(evaluation.errors[:, index], radii))
    console = Console()
    console.print(table)
    figures = evaluation.figures()
    console.print(f"MSE fraction {figures['mse_fraction']:.5f}, Pearson's rho {figures['pearson_rho']:.4f}")
    if repeated:
        console.print(f"unseen: without {repeated} images of patients, or pictures, that the model was trained on")


def _row(table: Table, name: str, images: int, summary: Summary) -> None:
    figures = (summary.mre, summary.std, summary.median, *summary.sdr.values())
    table.add_row(escape(name), str(images), *(f"{value:.2f}" for value in figures))


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """A row for each landmark of each image: predicted, true, error, confidence."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "landmark", "x", "y", "true_x", "true_y", f"error_{evaluation.unit}", "confidence"])
    errors = evaluation.errors
    for n, name in enumerate(evaluation.ids):
        for k, label in enumerate(evaluation.protocol.labels):
            numbers = (*evaluation.predicted[n, k], *evaluation.true[n, k], errors[n, k], evaluation.confidence[n, k])
            writer.writerow([name, label, *(f"{value:.4f}" for value in numbers)])
    atomic_write(path, text.getvalue().encode())
