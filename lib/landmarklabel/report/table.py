"""The texts of a report as lines on paper: the table of measurements, and what stands below the X-ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .content import Report, Row, Section
from .typesetting import GREY, INK, RED, Text, TextLine, height, leading, width, wrapped
from .wording import UNSURE, plain

# Details are a little smaller than the row that they belong to.
_SMALLER = 0.86
_LEAST_TITLE = 0.42  # of the width of a row
_PADDING = 0.42  # between columns, in sizes of letters in mm

#: Sizes of the table's letters, in points, and in how many columns long sections are set, best first: small letters
#: are worse than several columns, and tiny ones come last.
_SIZES = ((7.75, 7.5, 7.25, 7.0, 6.75, 6.5), (6.25, 6.0, 5.75, 5.5))
_COLUMNS = (1, 2, 3)

#: What is said where a page can't hold all that there is.
_CUT = "… and more: the report as HTML has all"


def table_lines(report: Report, within: float, most: float) -> list[TextLine]:
    """The table, no wider than ``within`` and no higher than ``most`` mm, in the largest letters that fit.

    Long sections go into several columns before letters get too small to be read. What does not fit even then is left
    out, which the last line says.
    """
    for columns, size in ((columns, size) for sizes in _SIZES for columns in _COLUMNS for size in sizes):
        lines = _table(report, within, size, columns)
        if height(lines) <= most:
            return lines
    return cut(lines, most, size)


def reads_well(report: Report, within: float, most: float) -> bool:
    """Whether a table of that width is no higher than ``most`` mm in letters that are read easily, in one column."""
    size = _SIZES[0][2]
    grid = _Grid.of([row for section in report.sections for row in section.rows], within, size)
    return grid.roomy and height(_table(report, within, size, 1)) <= most


def side_lines(report: Report, within: float, size: float) -> list[TextLine]:
    """What stands below the X-ray: facts, legend, and where the norms come from."""
    lines: list[TextLine] = []
    for name, text in report.facts:
        lines += _paragraph(text, within, size, name)
    lines.append(TextLine(leading(size) / 2))
    for text in report.legend:
        lines += _paragraph(text, within, size, colour=GREY)
    small = _SMALLER * size
    for number, source in enumerate(report.sources, start=1):
        lines += _paragraph(source, within, small, f"[{number}]", bold=False, colour=GREY)
    return lines


def cut(lines: Sequence[TextLine], most: float, size: float) -> list[TextLine]:
    """Lines up to a height of ``most`` mm; the last one says that there are more, if there are."""
    if height(lines) <= most:
        return list(lines)
    last = TextLine(leading(size), (Text(0, _CUT, size, colour=RED),))
    kept: list[TextLine] = []
    for line in lines:
        if height(kept) + line.height + last.height > most:
            break
        kept.append(line)
    return [*kept, last]


def _paragraph(
    text: str, within: float, size: float, name: str = "", bold: bool = True, colour: str = INK
) -> Iterator[TextLine]:
    """A text on as many lines as it takes, with its name before the first."""
    indent = width(f"{name}  ", size, bold) if name else 0.0
    text = " ".join(plain(text).split())
    first = next(wrapped(text, within - indent, size), "")
    texts = (Text(0, name, size, bold, colour),) if name else ()
    yield TextLine(leading(size), (*texts, Text(indent, first, size, colour=colour)))
    for line in wrapped(text[len(first) :], within, size):
        yield TextLine(leading(size), (Text(0, line, size, colour=colour),))


# The table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """Right ends of the columns of values, intervals and norms, and the width of the first, in mm."""

    title: float
    value: float
    interval: float
    norm: float
    whole: float

    @property
    def roomy(self) -> bool:
        """Whether titles have enough room beside the numbers."""
        return self.title > _LEAST_TITLE * self.whole

    @classmethod
    def of(cls, rows: Sequence[Row], within: float, size: float) -> _Grid:
        """As wide as the widest text of each needs, and the rest for the titles."""
        gap = _PADDING * size
        needed = [
            max((width(text, size, bold=True) for text in texts), default=0.0)
            for texts in ((row.signs for row in rows), (row.interval for row in rows), map(_norm, rows))
        ]
        value, interval, norm = (each + gap if each else 0.0 for each in needed)
        unsure = width(f" {UNSURE}", size) if any(row.unsure for row in rows) else 0.0  # numbers stay aligned
        title = max(within - value - unsure - interval - norm, 0.1 * within)
        return cls(title, title + value, within - norm, within, within)


def _table(report: Report, within: float, size: float, columns: int) -> list[TextLine]:
    """All sections; long ones in several columns if ``columns`` is more than one."""
    ordinary = [section for section in report.sections if columns == 1 or not section.long]
    grid = _Grid.of([row for section in ordinary for row in section.rows], within, size)
    lines: list[TextLine] = []
    for section in report.sections:
        lines.append(TextLine(leading(size) * (0.7 if lines else 0.1)))
        if section in ordinary:
            lines += _section(section, grid, size, heads=True)
        else:
            lines += _in_columns(section, within, size, columns)
    return lines


def _section(section: Section, grid: _Grid, size: float, heads: bool) -> Iterator[TextLine]:
    """A title with the heads of the columns, and the rows."""
    small = _SMALLER * size
    named = (("95 %", grid.interval, any(row.interval for row in section.rows)),
             ("norm", grid.norm, any(row.norm for row in section.rows)))  # fmt: skip
    head = (Text(right, text, small, colour=GREY, align="right") for text, right, there in named if there)
    yield TextLine(leading(size) * 1.15, (Text(0, section.title, 1.08 * size, bold=True), *(head if heads else ())))
    for row in section.rows:
        yield from _row(row, section.details(row), grid, size)
    for text in wrapped(section.also_text, grid.whole - 2, small):
        yield TextLine(leading(small), (Text(0, text, small, colour=GREY),))


def _row(row: Row, details: str, grid: _Grid, size: float) -> Iterator[TextLine]:
    """A rule, the title beside its numbers, on several lines if it is long; the details after it, or else below."""
    bold, small = bool(row.mark), _SMALLER * size
    first, *more = [*wrapped(row.title, grid.title - 1, size, bold)] or [""]
    start = width(first, size, bold) + 1.5
    beside = not more and start + width(details, small) < grid.title - 1
    yield TextLine(
        leading(size),
        (
            Text(0, first, size, bold),
            Text(start, details if beside else "", small, colour=GREY),
            Text(grid.value, row.signs, size, bold, RED if bold else INK, "right"),
            Text(grid.value, f" {UNSURE}" if row.unsure else "", size),
            Text(grid.interval, row.interval, size, align="right"),
            Text(grid.norm, _norm(row), size, colour=GREY, align="right"),
        ),
        rule=True,
    )
    for text in more:
        yield TextLine(leading(size), (Text(0, text, size, bold),))
    for text in () if beside else wrapped(details, grid.whole - 2, small):
        yield TextLine(leading(small), (Text(1.2, text, small, colour=GREY),))


def _in_columns(section: Section, within: float, size: float, columns: int) -> Iterator[TextLine]:
    """A long section, its rows one below the other in each of several columns."""
    gap = 3.0
    wide = (within - gap * (columns - 1)) / columns
    grid = _Grid.of(section.rows, wide, size)
    if columns > 1 and not grid.roomy:
        yield from _in_columns(section, within, size, columns - 1)
        return
    each = -(-len(section.rows) // columns)
    parts = [section.rows[start : start + each] for start in range(0, len(section.rows), each)]
    stacks = [[line for row in part for line in _row(row, section.details(row), grid, size)] for part in parts]
    yield from list(_section(Section(section.title, ()), grid, size, heads=False))
    yield from _beside(stacks, lambda number: number * (wide + gap))


def _beside(stacks: Sequence[Sequence[TextLine]], left: Callable[[int], float]) -> Iterator[TextLine]:
    """Stacks of lines beside each other; lines of one height share it, the others take the larger."""
    for lines in zip_longest(*stacks, fillvalue=TextLine(0.0)):
        texts = tuple(
            Text(text.x + left(number), text.text, text.size, text.bold, text.colour, text.align)
            for number, line in enumerate(lines)
            for text in line.texts
        )
        yield TextLine(max(line.height for line in lines), texts, all(line.rule for line in lines))


def _norm(row: Row) -> str:
    return f"{row.norm} [{row.source}]" if row.norm else ""
