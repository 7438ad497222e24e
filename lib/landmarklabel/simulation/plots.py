"""A simulation as a picture: clicks with the tool beside clicks by hand; and several simulations beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from ..files import atomic_path

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

Array = NDArray[np.float64]

# Told apart also by readers who do not see all colours (Okabe and Ito).
_TOOL, _HAND = "#0072B2", "#8A8F98"
_SIGHTS = {
    "nothing, everything is placed": "#8A8F98",
    "the labels so far": "#E69F00",
    "the network": _TOOL,
}


def plot_simulation(content: Mapping[str, Any], path: Path, what: str = "images") -> None:
    """Write the picture as PNG.

    Args:
        content: of :func:`~landmarklabel.simulation.figures.figures`.
        what: the images are, in the title.
    """
    figure = plt.figure(figsize=(13, 6.2), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=[1.25, 1])
    _draw_sum(figure.add_subplot(grid[0, 0]), content)
    _draw_images(figure.add_subplot(grid[0, 1]), content)
    title = f"{content['clicks']:,} clicks instead of {content['landmarks']:,} to label {content['images']} {what}"
    figure.suptitle(title, fontsize=19, fontweight="bold")
    figure.supxlabel(_small_print(content), fontsize=10, color="#444444")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def _draw_sum(axes: Axes, content: Mapping[str, Any]) -> None:
    tool, hand = (np.cumsum([0, *content[key]]) for key in ("clicks_by_image", "landmarks_by_image"))
    images = np.arange(tool.size)
    axes.plot(images, hand, color=_HAND, linewidth=2.5)
    axes.plot(images, tool, color=_TOOL, linewidth=3.5)
    axes.fill_between(images, tool, hand, color=_TOOL, alpha=0.10, linewidth=0)
    axes.text(
        0.05, 0.93, f"{1 - content['cost']:.0%}\nfewer clicks",
        transform=axes.transAxes, va="top", fontsize=26, fontweight="bold", color=_TOOL,
    )  # fmt: skip
    axes.annotate("every landmark by hand", (images[-1], hand[-1]), (-8, 4), textcoords="offset points",
                  ha="right", va="bottom", fontsize=12, color="#555555")  # fmt: skip
    axes.annotate("with the tool", (images[-1], tool[-1]), (-8, 8), textcoords="offset points",
                  ha="right", va="bottom", fontsize=12, color=_TOOL)  # fmt: skip
    _finish(axes, content, "clicks so far", 1.1 * hand[-1])


def _draw_images(axes: Axes, content: Mapping[str, Any]) -> None:
    clicks, sights = np.array(content["clicks_by_image"]), np.array(content["sight_by_image"])
    colours = list(_SIGHTS.values())
    axes.bar(np.arange(1, clicks.size + 1), clicks, width=0.9, color=[colours[sight] for sight in sights])
    by_hand = float(np.mean(content["landmarks_by_image"]))
    axes.axhline(by_hand, color=_HAND, linewidth=2.5)
    shown = [
        Patch(color=colour, label=name) for number, (name, colour) in enumerate(_SIGHTS.items()) if number in sights
    ]
    axes.legend(handles=shown, title="seen when an image is opened", loc="upper right", fontsize=11, title_fontsize=11)
    axes.annotate("by hand", (0.6, by_hand), (0, 4), textcoords="offset points", fontsize=12, color="#555555")
    _finish(axes, content, "clicks on each image", 1.5 * by_hand)  # with room for the legend


def _finish(axes: Axes, content: Mapping[str, Any], label: str, most: float) -> None:
    axes.set_xlim(0, content["images"] + 0.6)
    axes.set_ylim(0, most)
    axes.set_xlabel("images labelled", fontsize=12)
    axes.set_ylabel(label, fontsize=12)
    axes.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _small_print(content: Mapping[str, Any]) -> str:
    habits, waits = content["settings"]["habits"], content["waits"]["next_image"]
    differ = content["readers_differ"]
    parts = [
        f"every landmark within {habits['tolerance']:g} {content['unit']}; "
        f"{content['slipped']['rate']:.1%} slipped through"
        + ("" if differ is None else f" (two readers differ by more at {differ:.0%})")
    ]
    if waits["p95"] is not None:
        parts.append(f"next image on screen in {waits['p95']:.1f} s (95 of 100)")
    if content["trainings"]["number"]:
        parts.append(f"{content['trainings']['number']} trainings meanwhile")
    return "  ·  ".join(parts)


def plot_comparison(parts: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], path: Path, title: str) -> None:
    """Write the costs of several simulations as bars, with the errors that slipped through beside each."""
    names = list(parts)[::-1]
    costs = np.array([100 * parts[name]["cost"] for name in names])
    figure, axes = plt.subplots(figsize=(11, 1.6 + 0.52 * len(names)), layout="constrained")
    axes.barh(range(len(names)), costs, color=[_TOOL if name == "product" else "#9CC4DE" for name in names])
    for row, (name, cost) in enumerate(zip(names, costs, strict=True)):
        slipped = parts[name]["slipped"]["rate"]
        axes.text(cost + 1, row, f"{cost:.0f} %, {slipped:.1%} slipped through", va="center", fontsize=10,
                  bbox={"facecolor": "white", "linewidth": 0, "pad": 1})  # fmt: skip
    axes.axvline(100, color=_HAND, linewidth=2.5, zorder=0)
    axes.set_yticks(range(len(names)), [titles.get(name, name) for name in names], fontsize=11)
    axes.set_xlim(0, max(135, 1.35 * costs.max(initial=0)))
    axes.set_xlabel("clicks, % of placing every landmark by hand", fontsize=11)
    axes.set_title(title, fontsize=13, fontweight="bold", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
