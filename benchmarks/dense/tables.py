"""The tables of DenseSeg for README.md, from the results, as markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clicks.tables import markdown

Content = Mapping[str, Any]

_SURFACES = ("asd", "assd", "hd95", "tre")


def tables(content: Content) -> Iterator[str]:
    """Models; landmarks nobody trained; clicks: what of it there is."""
    if "models" in content:
        yield _models(content["models"])
    if "landmarks_nobody_trained" in content:
        yield _new_landmarks(content["landmarks_nobody_trained"])
    if "error_by_clicks" in content:
        yield _clicks(content["error_by_clicks"])


def _models(models: Content) -> str:
    unit = next(iter(models.values()))["structures"]["unit"]
    header = ["", "DSC", *(f"{name.upper()}, {unit}" for name in _SURFACES), "MRE", "MSE fraction", "missed"]
    lines = []
    for name, row in models.items():
        overall, landmarks = row["structures"]["overall"], row["landmarks"]
        surfaces = [_with_std(overall[key], 2 if unit == "mm" else 1) for key in _SURFACES]
        errors = [f"{landmarks['mre']:.2f}", f"{landmarks['mse_fraction']:.2g}", str(overall["missed"])]
        lines.append([name, _with_std(overall["dsc"], 3), *surfaces, *errors])
    return markdown(header, lines)


def _new_landmarks(content: Content) -> str:
    radii = list(next(iter(content["errors"].values()))["sdr"])
    header = [f"{len(content['left_out'])} landmarks", "MRE", "median", *(f"SDR {radius}" for radius in radii)]
    return markdown(
        header,
        [
            [
                name.replace("_", " "),
                f"{row['mre']:.2f}",
                f"{row['median']:.2f}",
                *(f"{row['sdr'][radius]:.1f} %" for radius in radii),
            ]
            for name, row in content["errors"].items()
        ],
    )


def _clicks(content: Content) -> str:
    clicks = len(next(iter(content.values())))
    header = ["", *(f"{click} clicks" if not click else str(click) for click in range(clicks))]
    return markdown(header, [[name, *(f"{value:.2f}" for value in row)] for name, row in content.items()])


def _with_std(figures: Content, digits: int) -> str:
    return "" if figures["mean"] is None else f"{figures['mean']:.{digits}f} ± {figures['std']:.{digits}f}"
