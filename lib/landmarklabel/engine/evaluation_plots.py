"""One picture of an evaluation: cumulative error, a box a landmark, and the best, median and worst image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from ..files import atomic_path
from ..io.dataset import Case
from ..pictures import overlay
from .evaluation import Evaluation

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_BLUE, _GREY = "#2b6cb0", "#718096"
_MOST_BOXES = 80


def plot_evaluation(evaluation: Evaluation, cases: Sequence[Case], path: Path, title: str = "") -> None:
    """Write the picture as PNG.

    Args:
        cases: those that were evaluated, in the same order; the images shown are read again.
    """
    figure = plt.figure(figsize=(13, 9.5), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=[1, 1.4])
    _cumulative(figure.add_subplot(grid[0, :2]), evaluation)
    _boxes(figure.add_subplot(grid[0, 2:]), evaluation)
    mean = np.nanmean(evaluation.errors, axis=1)
    order = np.argsort(mean)
    chosen = (("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1]))
    for column, (name, index) in enumerate(chosen):
        axes = figure.add_subplot(grid[1, 2 * column : 2 * column + 2])
        axes.imshow(
            overlay(
                cases[index].radiograph().display(), evaluation.predicted[index], evaluation.true[index], height=900
            )
        )
        axes.set_title(f"{name}: {mean[index]:.2f} {evaluation.unit}  ({evaluation.ids[index]})", fontsize=9)
        axes.axis("off")
    figure.suptitle(title or "Predictions (red) against truth (green)")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def _cumulative(axes: Axes, evaluation: Evaluation) -> None:
    errors = np.sort(evaluation.errors[np.isfinite(evaluation.errors)])
    axes.plot(errors, 100 * np.arange(1, len(errors) + 1) / len(errors), color=_BLUE)
    for index, (radius, rate) in enumerate(evaluation.summary().sdr.items()):
        axes.plot([radius, radius], [0, rate], color=_GREY, linewidth=0.8, linestyle=":")
        below = (3, -10 - 11 * index)  # one below the other, or near radii would write over each other
        axes.annotate(f"{rate:.1f} %", (radius, rate), textcoords="offset points", xytext=below, fontsize=8)
    axes.set_xlim(0, max(np.percentile(errors, 99), max(evaluation.protocol.radii) * 1.2))
    axes.set_ylim(0, 101)
    axes.set_xlabel(f"radial error ({evaluation.unit})")
    axes.set_ylabel("landmarks with a smaller error (%)")
    summary = evaluation.summary()
    axes.set_title(
        f"MRE {summary.mre:.2f} ± {summary.std:.2f} {evaluation.unit}, {len(evaluation.ids)} images", fontsize=10
    )


def _boxes(axes: Axes, evaluation: Evaluation) -> None:
    errors = evaluation.errors
    columns = [column[np.isfinite(column)] for column in errors.T]
    medians = np.array([np.median(column) if column.size else 0.0 for column in columns])
    # With hundreds of landmarks only the worst can be told apart.
    shown = np.arange(errors.shape[1])
    if len(shown) > _MOST_BOXES:
        shown = np.sort(np.argsort(medians)[-_MOST_BOXES:])
    axes.boxplot([columns[index] for index in shown], showfliers=False, medianprops={"color": _BLUE})
    axes.set_xticks(range(1, len(shown) + 1), [evaluation.protocol.labels[i] for i in shown], rotation=90, fontsize=7)
    axes.set_ylabel(f"radial error ({evaluation.unit})")
    more = f" (the {len(shown)} worst of {errors.shape[1]})" if len(shown) < errors.shape[1] else ""
    axes.set_title(f"by landmark{more}", fontsize=10)
