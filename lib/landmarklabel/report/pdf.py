"""A report as one page of A4: the X-ray at the left, what was measured and how below it, the table at the right."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from PIL import Image

from .. import __version__
from .content import Report
from .drawing import Drawing, shown
from .table import cut, reads_well, side_lines, table_lines
from .typesetting import GREY, INK, POINT, TextLine, font, height, leading, printable, width
from .wording import plain

# Of the page, in mm.
_PAGE = (210.0, 297.0)
_MARGIN, _GAP = 10.0, 6.0
_LEFT = (118.0, 102.0, 86.0)  # width of the left column: the first that leaves room for the table
_TOP, _FOOT = 9.0, 6.0  # height of the title and of the foot

# What stands below the X-ray takes the first of these sizes that leaves it this high, in parts of its full height.
_SIDE_SIZES = (7.0, 6.5, 6.0, 5.5, 5.0)
_HIGHEST_PICTURE = 200.0
_LEAST_PICTURE = 0.55

_LINE, _OUTLINE, _MODEL, _HAND = "#ffc83c", "#5ac8ff", "#ff5a46", "#3cbeff"
_SMALLEST_CAPTION = 3.5
_DOTS_PER_INCH = 300


def to_pdf(report: Report) -> bytes:
    """A page of A4 as a PDF file. The same report gives the same bytes: it holds no time but the label's."""
    figure = page(report, _DOTS_PER_INCH)
    file = io.BytesIO()
    metadata = {
        "Title": f"{plain(report.name)}: measurements",
        "Creator": f"landmarklabel {__version__}",
        "CreationDate": None,
    }
    FigureCanvasPdf(figure).print_pdf(file, metadata=metadata)
    return file.getvalue()


def to_png(report: Report, dots_per_inch: int = 110) -> Image.Image:
    """The same page as a picture."""
    canvas = FigureCanvasAgg(page(report, dots_per_inch))
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def page(report: Report, dots_per_inch: int) -> Figure:
    """The page.

    Args:
        dots_per_inch: of the X-ray on it; all else is lines and letters.
    """
    figure = Figure(figsize=(_PAGE[0] / 25.4, _PAGE[1] / 25.4), dpi=dots_per_inch)
    _heading(figure, report)
    bottom = _PAGE[1] - _MARGIN - _FOOT
    start = _MARGIN + _TOP
    left = _left(report, bottom - start)
    side, picture_height = _fitted_side(report, left, bottom - start)
    _picture(figure, report, (_MARGIN, start, left, picture_height), dots_per_inch)
    _set(figure, side, _MARGIN, start + picture_height + 3, left)
    right = _across(left)
    _set(figure, table_lines(report, right, bottom - start), _PAGE[0] - _MARGIN - right, start, right)
    _write(figure, _MARGIN, _PAGE[1] - _MARGIN, report.foot, 6, colour=GREY)
    return figure


def _across(left: float) -> float:
    """Width of the right column beside a left one."""
    return _PAGE[0] - 2 * _MARGIN - left - _GAP


def _left(report: Report, most: float) -> float:
    """Width of the left column: a wide X-ray gets more where the table is short."""
    columns, rows = report.radiograph.size
    useful = max(_LEFT[-1], _HIGHEST_PICTURE * columns / rows)
    wider = (left for left in _LEFT[:-1] if left <= useful and reads_well(report, _across(left), most))
    return next(wider, _LEFT[-1])


def _fitted_side(report: Report, wide: float, most: float) -> tuple[list[TextLine], float]:
    """What stands below the X-ray, and the height that it leaves: both as large as go into ``most`` mm."""
    columns, rows = report.radiograph.size
    full = min(wide * rows / columns, _HIGHEST_PICTURE)
    for size in _SIDE_SIZES:
        lines = side_lines(report, wide, size)
        rest = most - height(lines) - 4
        if rest >= full * (1.0 if size > _SIDE_SIZES[2] else _LEAST_PICTURE):
            return lines, min(full, rest)
    rest = full * _LEAST_PICTURE
    return cut(lines, most - rest - 4, _SIDE_SIZES[-1]), rest


def _heading(figure: Figure, report: Report) -> None:
    """The title, and at its right the image's name, which gives way if both are long."""
    size, small = 11.0, 8.0
    across = _PAGE[0] - 2 * _MARGIN
    title = _shortened(report.title, across * 0.75, size, bold=True)
    name = _shortened(report.name, across - width(title, size, bold=True) - 5, small)
    _write(figure, _MARGIN, _MARGIN + 4, title, size, bold=True)
    _write(figure, _PAGE[0] - _MARGIN, _MARGIN + 4, name, small, align="right", colour=GREY)


def _shortened(text: str, within: float, size: float, bold: bool = False) -> str:
    """A text on one line, cut with dots where it is longer than ``within`` mm."""
    text = plain(text)
    if width(text, size, bold) <= within:
        return text
    while text and width(f"{text}…", size, bold) > within:
        text = text[:-1]
    return f"{text}…"


def _set(figure: Figure, lines: Sequence[TextLine], left: float, top: float, wide: float) -> None:
    """Put lines of text below each other."""
    for line in lines:
        if line.rule:
            _rule(figure, left, top, wide)
        size = max((text.size for text in line.texts), default=0.0)
        baseline = top + 0.5 * (leading(size) + 0.73 * size * POINT)
        for text in line.texts:
            _write(figure, left + text.x, baseline, text.text, text.size, text.bold, text.colour, text.align)
        top += line.height


def _rule(figure: Figure, left: float, top: float, wide: float) -> None:
    ends = [left / _PAGE[0], (left + wide) / _PAGE[0]]
    at = 1 - top / _PAGE[1]
    figure.add_artist(Line2D(ends, [at, at], color="#cbd5e0", linewidth=0.35))


def _write(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    size: float,
    bold: bool = False,
    colour: str = INK,
    align: str = "left",
) -> None:
    """A text whose baseline begins, or ends, at (x, y) in mm from the upper left of the page."""
    if text:
        figure.text(
            x / _PAGE[0],
            1 - y / _PAGE[1],
            printable(text, bold),
            fontproperties=font(bold, size),
            color=colour,
            ha=align,
            va="baseline",
            parse_math=False,  # a dollar in a name is a dollar
        )


# The X-ray ----------------------------------------------------------------------------------------------------


def _picture(figure: Figure, report: Report, box: tuple[float, float, float, float], dots_per_inch: int) -> None:
    """The X-ray, as large as fits into a box (left, top, width, height) in mm, at the middle of its top."""
    columns, rows = report.radiograph.size
    scale = min(box[2] / columns, box[3] / rows)  # mm a pixel
    wide, tall = columns * scale, rows * scale
    left, bottom = box[0] + (box[2] - wide) / 2, _PAGE[1] - box[1] - tall
    axes = figure.add_axes((left / _PAGE[0], bottom / _PAGE[1], wide / _PAGE[0], tall / _PAGE[1]))
    axes.set_axis_off()
    size = max(1, round(wide / 25.4 * dots_per_inch)), max(1, round(tall / 25.4 * dots_per_inch))
    image = shown(report.radiograph).resize(size, Image.Resampling.LANCZOS)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto", interpolation="none")
    _draw(axes, Drawing.of(report.radiograph, report.landmarks, report.measurements), scale)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])


def _draw(axes: Axes, drawing: Drawing, scale: float) -> None:
    """Lines, landmarks and captions on axes in pixels of the image, of ``scale`` mm each."""
    for line in drawing.outlines:
        axes.plot(*zip(*line.points, strict=True), color=_OUTLINE, linewidth=0.5, alpha=0.7)
    for line, _ in drawing.lines:
        style = (0, (4, 3)) if line.dashed else "-"
        axes.plot(*zip(*line.points, strict=True), color=_LINE, linewidth=0.65, linestyle=style)
    points = 2 * drawing.radius * scale / POINT
    for by_hand, marker, colour in ((False, "o", _MODEL), (True, "s", _HAND)):
        places = [(dot.x, dot.y) for dot in drawing.dots if dot.by_hand is by_hand]
        if places:
            axes.plot(*zip(*places, strict=True), marker, markersize=points, color=colour, markeredgecolor="black",
                      markeredgewidth=0.3)  # fmt: skip
    letters = font(size=max(_SMALLEST_CAPTION, drawing.letters * scale / POINT))
    for caption in drawing.captions:
        axes.text(caption.x, caption.y, printable(caption.text), fontproperties=letters, color="white", ha="center",
                  va="center_baseline", parse_math=False, clip_on=True,
                  path_effects=[withStroke(linewidth=1.2, foreground="black")])  # fmt: skip
