"""A search of loss weights as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from .search import SearchResult

_BLUE, _GREY, _RED = "#2b6cb0", "#718096", "#c53030"


def draw_search(found: SearchResult, path: Path) -> None:
    """All trials by DSC and error: the Pareto front as a line, the recommended trial as a star with its weights."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    by_number = {trial.number: trial for trial in found.trials}
    front = [by_number[number] for number in found.front]
    axes.scatter([100 * t.dsc for t in found.trials], [t.mre for t in found.trials], s=18, color=_GREY, label="trials")
    axes.plot([100 * t.dsc for t in front], [t.mre for t in front], "o-", color=_BLUE, label="Pareto front")
    best = found.recommended
    weights = ", ".join(f"{name} {value:.2f}" for name, value in best.weights.items())
    label = f"trial {best.number}: {weights}"
    axes.scatter([100 * best.dsc], [best.mre], s=220, marker="*", color=_RED, zorder=3, label=label)
    axes.set_xlabel("DSC (%)")
    axes.set_ylabel(f"mean radial error ({found.unit})")
    axes.set_title(f"{found.config.method}: {len(found.trials)} trials, on validation images", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, format="png", dpi=110)
    plt.close(figure)
