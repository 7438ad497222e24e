"""Figures of an evaluation with simulated readers: for JSON, and as tables on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..metrics import coverage, failure_rate, number_of_clicks, propagation
from .interaction import ClickEvaluation

#: Of the regions whose coverage is measured, and after how many clicks.
LEVELS, CALIBRATED_AFTER = (0.5, 0.68, 0.9, 0.95), (0, 1, 3)
#: Distances from a click, as parts of the image's longer side.
DISTANCES = (0.0, 0.05, 0.1, 0.2, 0.4, math.inf)


def figures(evaluation: ClickEvaluation, targets: Sequence[float]) -> dict[str, Any]:
    """Every figure, for JSON.

    Mean radial error by clicks, number of clicks and failure rate at each target, by hand, too; calibration;
    propagation; and seconds, which are the only ones that change from run to run.
    """
    return {
        "images": len(evaluation.ids),
        "unit": evaluation.unit,
        "refined": curves(evaluation.by_clicks, targets),
        "manual_revision": curves(evaluation.manual, targets),
        "calibration": _calibration(evaluation),
        "propagation": _propagation(evaluation),
        "seconds": _seconds(evaluation),
    }


def curves(errors: NDArray[np.float64], targets: Sequence[float]) -> dict[str, Any]:
    """Mean radial error by clicks, number of clicks and failure rate, of errors (N, C + 1) of images."""
    most = errors.shape[1] - 1
    return {
        "mre_by_clicks": [round(float(value), 3) for value in errors.mean(axis=0)],
        f"NoC{most}": {f"{target:g}": round(float(number_of_clicks(errors, target).mean()), 3) for target in targets},
        f"FR{most}": {f"{target:g}": round(failure_rate(errors, target), 2) for target in targets},
    }


def _calibration(evaluation: ClickEvaluation) -> dict[str, dict[str, float]]:
    """Clicks to level to percentage of the landmarks, of those not placed, that lie in the region of that level."""
    return {
        str(after): {
            f"{100 * level:g}": round(percentage, 2)
            for level, percentage in zip(LEVELS, coverage(evaluation.deviations[:, after], LEVELS), strict=True)
        }
        for after in CALIBRATED_AFTER
        if after <= evaluation.clicks
    }


def _propagation(evaluation: ClickEvaluation) -> dict[str, Any]:
    points = evaluation.true / evaluation.sizes.max(axis=1)[:, None, None]
    tables = {}
    for name, clicks in (("first_click", slice(1)), ("all_clicks", slice(None))):
        reaches = propagation(evaluation.errors, evaluation.clicked, points, DISTANCES, clicks)
        tables[name] = [
            {
                "from": low,
                "to": high if math.isfinite(high) else None,
                **{key: round(value, 3) for key, value in asdict(reach).items()},
                "percentage": round(reach.percentage, 1),
            }
            for low, high, reach in zip(DISTANCES[:-1], DISTANCES[1:], reaches, strict=True)
        ]
    return {"distance": "parts of the image's longer side", **tables}


def _seconds(evaluation: ClickEvaluation) -> dict[str, float]:
    """Medians."""
    clicks = evaluation.seconds[:, 1:]
    return {
        "first_answer": round(float(np.median(evaluation.seconds[:, 0])), 5),
        "click": round(float(np.nanmedian(clicks)), 5) if np.isfinite(clicks).any() else math.nan,
    }


def print_clicks(figures: dict[str, Any]) -> None:
    """The figures of :func:`figures` on the terminal."""
    console = Console()
    rows = {"refined": figures["refined"], "by hand": figures["manual_revision"]}
    for table in (
        _table_of_errors(rows, figures["unit"]),
        _table_of_targets(rows, figures["unit"]),
        _table_of_calibration(figures["calibration"]),
        _table_of_propagation(figures["propagation"], figures["unit"]),
    ):
        console.print(table)
    first, click = figures["seconds"].values()
    console.print(f"first answer in {first:.3f} s, after a click in {click:.3f} s (medians)")


def _table_of_errors(rows: dict[str, Any], unit: str) -> Table:
    table = Table("clicks", *map(str, range(len(rows["refined"]["mre_by_clicks"]))))
    table.title = f"mean radial error ({unit}) by the number of clicks"
    for name, part in rows.items():
        table.add_row(name, *(f"{value:.2f}" for value in part["mre_by_clicks"]))
    return table


def _table_of_targets(rows: dict[str, Any], unit: str) -> Table:
    """Number of clicks, and failure rate."""
    keys = [key for key in rows["refined"] if key != "mre_by_clicks"]
    table = Table("mean error of", *(f"{target} {unit}" for target in rows["refined"][keys[0]]))
    table.title = "clicks to a mean error (NoC), and images (%) that never come to it (FR)"
    for key in keys:
        for name, part in rows.items():
            table.add_row(f"{key}, {name}", *(f"{value:.2f}" for value in part[key].values()))
    return table


def _table_of_calibration(calibration: dict[str, dict[str, float]]) -> Table:
    table = Table("clicks", *(f"{level} %" for level in calibration["0"]))
    table.title = "truth (%) in the region that is said to hold so much of it"
    for clicks, levels in calibration.items():
        table.add_row(clicks, *(f"{value:.1f}" for value in levels.values()))
    return table


def _table_of_propagation(tables: dict[str, Any], unit: str) -> Table:
    table = Table("distance", "landmarks", f"error ({unit})", "after it", "falls by", "median")
    table.title = "untouched landmarks by their distance from a click, in parts of the image's longer side"
    for row in tables["all_clicks"]:
        distance = f"{row['from']:g} to {row['to']:g}" if row["to"] is not None else f"over {row['from']:g}"
        values = (row["before"], row["after"])
        table.add_row(
            distance,
            str(row["count"]),
            *(f"{value:.2f}" for value in values),
            f"{row['percentage']:.1f} %",
            f"{row['median_drop']:.2f}",
        )
    return table
