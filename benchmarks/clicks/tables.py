"""The tables for README.md from the results, as markdown, and the plots, which are made of the images' own curves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landmarklabel.engine.click_plots import Curves, plot_clicks

from .data import FIGURES
from .methods import DEFAULT, PUBLISHED

Content = Mapping[str, Any]

#: Columns of mean errors.
_SHOWN_CLICKS = (0, 1, 2, 3, 5, 10)
#: In the plot; the rows with a manual revision beside them are the default and the published recipe.
_DRAWN = (
    "shape of all labels, no network",
    "interactive_ritm",
    PUBLISHED,
    f"posterior over {PUBLISHED}",
    f"posterior over {DEFAULT}",
)
_BY_HAND = (PUBLISHED, f"posterior over {DEFAULT}")


def tables(content: Content) -> Iterator[str]:
    """Errors, NoC and FR; then training, calibration, propagation."""
    methods = content["methods"]
    yield _errors(methods, content["unit"])
    unseen = {title: row["without_leaked"] for title, row in methods.items() if "without_leaked" in row}
    if unseen:
        yield f"Without pictures of the training part ({min(row['images'] for row in unseen.values())} images):"
        yield _errors(unseen, content["unit"])
    yield _training(content["training"])
    yield _calibration(methods)
    yield _propagation(methods)


def _errors(methods: Content, unit: str) -> str:
    first = next(iter(methods.values()))["refined"]
    noc, fr = (key for key in first if key != "mre_by_clicks")
    targets = list(first[noc])
    seconds = any("seconds" in row for row in methods.values())
    header = ["", *_clicks_named(), *_at(noc, targets), f"{fr}@{targets[0]}", *(["a click"] if seconds else [])]
    digits = 2 if unit == "mm" else 1
    lines = []
    for title, row in methods.items():
        lines.append([title, *_figures(row["refined"], digits)])
        if seconds:
            lines[-1].append(f"{1000 * row['seconds']['click']:.3g} ms")
        if title in _BY_HAND:
            lines.append([f"{title}, its first answer by hand", *_figures(row["manual_revision"], digits)])
            lines[-1] += [""] * seconds
    return markdown(header, lines)


def _figures(part: Content, digits: int) -> list[str]:
    noc, fr = (part[key] for key in part if key != "mre_by_clicks")
    errors = [f"{part['mre_by_clicks'][click]:.{digits}f}" for click in _SHOWN_CLICKS]
    return [*errors, *(f"{value:.2f}" for value in noc.values()), f"{next(iter(fr.values())):.2f} %"]


def _clicks_named() -> list[str]:
    return [f"{click} clicks" if click == 0 else str(click) for click in _SHOWN_CLICKS]


def _at(name: str, targets: Sequence[str]) -> list[str]:
    return [f"{name}@{target}" if index == 0 else f"@{target}" for index, target in enumerate(targets)]


def _training(trained: Content) -> str:
    header = ["", "parameters", "epochs", "best", "CPU time", "peak memory", "validation MRE"]
    lines = [
        [
            name,
            f"{run['parameters'] / 1e6:.1f} M",
            str(run["epochs"]),
            str(run["best_epoch"]),
            f"{run['cpu_s'] / 60:.0f} min",
            f"{run['peak_memory_mb']:.0f} MB",
            f"{run['validation_mre']:.2f}",
        ]
        for name, run in trained.items()
    ]
    return markdown(header, lines)


def _calibration(methods: Content) -> str:
    """Of what states a distribution: no row of a network's own decoding."""
    chosen = {title: row["calibration"] for title, row in methods.items() if title.startswith(("shape", "posterior"))}
    first = next(iter(chosen.values()))
    header = ["", *(f"{level} %, {clicks} clicks" for clicks in first for level in ("50", "90", "95"))]
    lines = [
        [title, *(f"{by_clicks[clicks][level]:.0f}" for clicks in first for level in ("50", "90", "95"))]
        for title, by_clicks in chosen.items()
    ]
    return markdown(header, lines)


def _propagation(methods: Content) -> str:
    """By the first click: of later ones, the errors that are left differ from row to row."""
    first = next(iter(methods.values()))["propagation"]["first_click"]
    header = ["first click", *(_distance(bin_) for bin_ in first)]
    lines = [
        [title, *(f"{bin_['before']:.3g} to {bin_['after']:.3g}" for bin_ in row["propagation"]["first_click"])]
        for title, row in methods.items()
        if title in (*_DRAWN, *_BY_HAND) and all(bin_["count"] for bin_ in row["propagation"]["first_click"])
    ]
    return markdown(header, lines)


def _distance(bin_: Content) -> str:
    return f"{bin_['from']:g} to {bin_['to']:g}" if bin_["to"] is not None else f"over {bin_['from']:g}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot(work: Path, layout: str, content: Content) -> Path | None:
    """Fig. 4 and Fig. 6 of the paper for the rows that there are; None where there is none."""
    drawn = {}
    for title in _DRAWN:
        path = work / "rows" / layout / content["files"].get(title, "none")
        if path.is_file():
            by_image = json.loads(path.read_text())["by_image"]
            manual = np.array(by_image["by_hand"]) if title in _BY_HAND else None
            drawn[title] = Curves(np.array(by_image["refined"]), manual)
    if not drawn:
        return None
    asked, path = FIGURES[layout], work / f"clicks_{layout}.png"
    plot_clicks(drawn, path, asked.unit, asked.most_target, f"{layout}: {content['data']['test']} test images")
    return path
