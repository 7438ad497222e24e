"""Simulated readers as curves: error by clicks beside manual revision, NoC and FR by the error that is wanted.

These are Fig. 4 and Fig. 6 of Kim et al., *Morphology-aware interactive keypoint estimation*, MICCAI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from ..files import atomic_path
from ..metrics import failure_rate, number_of_clicks

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

Array = NDArray[np.float64]

#: Told apart also by readers who do not see all colours (Okabe and Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
_MARKERS = "osD^vP*X"
_POINTS = 121


@dataclass(frozen=True)
class Curves:
    """Mean radial errors of N images after 0 to C clicks.

    Attributes:
        refined: (N, C + 1), by the tool.
        manual: (N, C + 1), by hand from the same first prediction; None draws none.
    """

    refined: Array
    manual: Array | None = None


def plot_clicks(methods: Mapping[str, Curves], path: Path, unit: str, most_target: float, title: str = "") -> None:
    """Write the picture as PNG.

    Args:
        methods: curves by what the legend calls them; at most eight can be told apart.
        unit: of errors.
        most_target: up to which targets are drawn.
    """
    figure, (by_clicks, clicks, failures) = plt.subplots(1, 3, figsize=(16, 5.4), layout="constrained")
    targets = np.linspace(0, most_target, _POINTS)
    style = list(zip(methods.items(), _COLOURS, _MARKERS, strict=False))
    for (_, curves), colour, marker in style:
        _draw_errors(by_clicks, curves, colour, marker)
        _draw_targets(clicks, failures, curves, targets, colour)
    most = max(curves.refined.shape[1] for curves in methods.values()) - 1
    _finish_errors(by_clicks, most, unit)
    _finish_targets(clicks, most_target, unit, f"clicks, at most {most} (NoC{most})", "Clicks to the target error")
    _finish_targets(failures, most_target, unit, f"images that fail, % (FR{most})", "Images that never reach it")
    clicks.set_ylim(0, most * 1.02)
    failures.set_ylim(0, 102)
    lines = [Line2D([], [], color=colour, marker=marker, label=name) for (name, _), colour, marker in style]
    if any(curves.manual is not None for curves in methods.values()):
        lines.append(
            Line2D([], [], color="#444444", linestyle="--", linewidth=1.2, label="by hand, from the same first answer")
        )
    figure.legend(handles=lines, loc="outside lower center", ncols=min(4, len(lines)), frameon=False)
    if title:
        figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def _draw_errors(axes: Axes, curves: Curves, colour: str, marker: str) -> None:
    mean = curves.refined.mean(axis=0)
    axes.plot(np.arange(mean.size), mean, color=colour, marker=marker, markersize=5)
    if curves.manual is not None:
        axes.plot(np.arange(mean.size), curves.manual.mean(axis=0), color=colour, linestyle="--", linewidth=1.2)


def _draw_targets(clicks: Axes, failures: Axes, curves: Curves, targets: Array, colour: str) -> None:
    for values, line, width in ((curves.refined, "-", 1.8), (curves.manual, "--", 1.2)):
        if values is None:
            continue
        noc = [number_of_clicks(values, target).mean() for target in targets]
        clicks.plot(targets, noc, linestyle=line, color=colour, linewidth=width)
        rates = [failure_rate(values, target) for target in targets]
        failures.plot(targets, rates, linestyle=line, color=colour, linewidth=width)


def _finish_errors(axes: Axes, clicks: int, unit: str) -> None:
    axes.set_xlim(-0.2, clicks + 0.2)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, clicks + 1, max(1, clicks // 10)))
    axes.set_xlabel("clicks")
    axes.set_ylabel(f"mean radial error ({unit})")
    axes.set_title("Error by clicks", fontsize=11)
    axes.grid(alpha=0.3)


def _finish_targets(axes: Axes, most_target: float, unit: str, label: str, title: str) -> None:
    axes.set_xlim(0, most_target)
    axes.set_xlabel(f"target: mean radial error ({unit})")
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
