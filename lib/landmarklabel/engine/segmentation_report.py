"""An evaluation of structures as a table, as JSON, and as pictures of the best, the median and the worst image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import DataError
from ..files import atomic_path
from ..io.dataset import Case
from ..metrics import MEASURES
from ..pictures import TRUE_COLOUR, draw_dots, enlarged
from ..predictor import Predictor
from ..segmentation_pictures import contact_sheet, draw_outlines, draw_segmentation
from ..segmenting import segment
from .segmentation_evaluation import SegmentationEvaluation, evaluated_regions, true_masks

_MOST_ROWS = 80
_HEIGHT = 720  # of each picture, in pixels


def structure_figures(evaluation: SegmentationEvaluation, without_leaks: SegmentationEvaluation) -> dict[str, Any]:
    """For JSON: every figure, and overall those without images of patients that the model was trained on."""
    unseen: dict[str, Any] = {"images": len(without_leaks.ids)}
    if without_leaks.ids:
        unseen["overall"] = without_leaks.figures()["overall"]
    return {"structures": {**evaluation.figures(), "without_leaked": unseen}}


def print_structures(evaluation: SegmentationEvaluation, without_leaks: SegmentationEvaluation) -> None:
    """The figures on the terminal: overall, and by structure where there are not too many."""
    figures = evaluation.figures()
    columns = ("", "n", "DSC (%)", *(measure.upper() for measure in MEASURES[1:]))
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.title = f"structures, mean±std; distances in {evaluation.unit}, ASD of the true landmarks"
    _row(table, "all", figures["overall"])
    if 0 < len(without_leaks.ids) < len(evaluation.ids):
        _row(table, "unseen", without_leaks.figures()["overall"])
    if len(evaluation.names) <= _MOST_ROWS:
        table.add_section()
        for name in evaluation.names:
            _row(table, name, figures["structures"][name])
    console = Console()
    console.print(table)
    missed, spurious = (figures["overall"][key] for key in ("missed", "spurious"))
    console.print(f"{missed} structures missed, {spurious} found where none is")


def _row(table: Table, name: str, figures: dict[str, Any]) -> None:
    cells = []
    for measure in MEASURES:
        factor, digits = (100, 1) if measure == "dsc" else (1, 2)
        mean, std = (factor * figures[measure][key] for key in ("mean", "std"))
        cells.append(f"{mean:.{digits}f}±{std:.{digits}f}")
    table.add_row(escape(name), str(figures["dsc"]["count"]), *cells)


def plot_structures(
    predictor: Predictor, evaluation: SegmentationEvaluation, cases: Sequence[Case], path: Path, title: str = ""
) -> None:
    """Write the best, the median and the worst image by ASD as one PNG, as Figure 3 of the DenseSeg paper.

    What was predicted is filled with the colours of structures; true outlines and true landmarks are green.

    Args:
        cases: those that were evaluated, in the same order; the images shown are read and segmented again.

    Raises:
        DataError: no image has an ASD, which takes true landmarks and a structure that was found.
    """
    asd = evaluation.by_image("asd")
    order = np.argsort(asd)[: np.isfinite(asd).sum()]  # NaN come last
    if not len(order):
        raise DataError("there is no picture to draw: no image has true landmarks and a structure that was found")
    tre = evaluation.by_image("tre")
    row = []
    for name, index in (("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1])):
        figures = f"ASD {asd[index]:.2f} {evaluation.unit}, TRE {tre[index]:.2f} {evaluation.unit}"
        row.append((_overlay(predictor, cases[index]), f"{name}: {figures}", [evaluation.ids[index], title]))
    with atomic_path(path) as temporary:
        contact_sheet([row]).save(temporary, format="PNG")


def _overlay(predictor: Predictor, case: Case) -> Image.Image:
    radiograph, regions = case.radiograph(), evaluated_regions(predictor)
    predictor.set_image(radiograph)
    found = segment(predictor)
    picture, scale = enlarged(radiograph.display(), _HEIGHT)
    draw_segmentation(picture, np.stack([found[name] for name in regions.names]), scale)
    true = true_masks(case, regions, predictor.protocol, radiograph.size).masks
    draw_outlines(picture, true, scale, [TRUE_COLOUR] * len(regions), line=1)
    if case.points is not None:
        draw_dots(picture, np.asarray(case.points), scale, TRUE_COLOUR, 1.5)
    return picture
