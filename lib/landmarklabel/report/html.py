"""A report as one file of HTML that needs no other: the X-ray within it, the fonts of the reader's system."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

from ..measurements.base import Line
from .content import Report, Row
from .drawing import Caption, Dot, Drawing, as_jpeg, shown
from .wording import UNSURE, plain

# No script, nothing from elsewhere: not even if a text got past the escaping.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
body { margin: 1.5em auto; padding: 0 1em; max-width: 80em; color: #1a202c; background: #fff;
  font: 15px/1.35 system-ui, sans-serif; }
h1 { font-size: 1.35em; margin: 0 0 .8em; }
main { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 1.5em; align-items: start; }
svg { display: block; width: 100%; max-height: 92vh; background: #000; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1em .8em; font-size: .85em; }
dt { color: #4a5568; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9em; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15em .3em; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; font-weight: inherit; white-space: normal; overflow-wrap: anywhere; }
tbody { border-top: 1px solid #e2e8f0; }
.section { border-top: 0; break-after: avoid; } .section th { font-weight: 600; padding: .7em 0 .2em; }
thead th { color: #4a5568; font-weight: 400; font-size: .85em; }
td i { display: inline-block; width: .9em; font-style: normal; text-align: left; }
.out th, .out .value { font-weight: 600; } .out .value { color: #9b2c2c; }
.more td { text-align: left; white-space: normal; padding: 0 .3em .15em 1em; }
.more td, footer { color: #4a5568; font-size: .85em; }
sup { line-height: 0; font-size: .75em; }
tbody[id]:hover { background: #edf2f7; }
footer { margin-top: 1em; } footer p { margin: .3em 0; } ol { padding-left: 1.2em; margin: 0; }
@media print {
  @page { size: A4; margin: 9mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 7.5pt; line-height: 1.2; }
  main { gap: 5mm; } th, td { padding: 0 .2em; } svg { max-height: 130mm; } tbody { break-inside: avoid; }
}
@media screen and (max-width: 50em) { main { display: block; } }
"""

# Of the SVG, as attributes: not every program that shows one looks into the page's style.
_THIN = 'fill="none" stroke-width="1.3" vector-effect="non-scaling-stroke"'
_LINE, _OUTLINE = f'{_THIN} stroke="#ffc83c"', f'{_THIN} stroke="#5ac8ff" stroke-opacity="0.7"'
_TEXT = 'text-anchor="middle" dominant-baseline="central" font-family="system-ui, sans-serif"'


def to_html(report: Report) -> str:
    """The page. Every text that comes of a file is escaped."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    keys = {measurement.name: f"m{index}" for index, measurement in enumerate(report.measurements)}
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield '<head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(report.name)}: measurements</title>"
    # Who points at a row of the table sees its lines, without a script.
    pointed = "".join(f"body:has(#{key}:hover) .{key} {{ stroke: #fff; stroke-width: 3; }}\n" for key in keys.values())
    yield f"<style>{_STYLE}{pointed}</style></head>"
    yield f"<body><h1>{_text(report.title)}</h1>"
    yield "<main><div>"
    yield from _picture(report, keys)
    yield "<dl>"
    yield from (f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in report.facts)
    yield "</dl></div><div>"
    yield from _table(report, keys)
    yield "</div></main><footer>"
    yield from (f"<p>{_text(line)}</p>" for line in report.legend)
    if report.sources:
        yield "<p>Norms:</p><ol>"
        yield from (f"<li>{_text(source)}</li>" for source in report.sources)
        yield "</ol>"
    yield f"<p>{_text(report.foot)}</p></footer></body></html>"


def _text(text: str) -> str:
    return escape(plain(text))


def _table(report: Report, keys: dict[str, str]) -> Iterator[str]:
    """All sections in one table, so that their columns are aligned."""
    titles = ("Measurement", "Value", "95 %", "Norm")
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    yield f"<table><thead><tr>{heads}</tr></thead>"
    for section in report.sections:
        yield f'<tbody class="section"><tr><th colspan="4">{_text(section.title)}</th></tr></tbody>'
        yield from (_row(row, section.details(row), keys[row.name]) for row in section.rows)
        if section.also:
            yield f'<tbody><tr class="more"><td colspan="4">{_text(section.also_text)}</td></tr></tbody>'
    yield "</table>"


def _row(row: Row, details: str, key: str) -> str:
    """A measurement: its numbers, and in a row below them what else is to be said."""
    marked = ' class="out"' if row.mark else ""
    unsure = f'<i title="{_text(row.surer)}">{UNSURE}</i>' if row.unsure else "<i></i>"
    source = f"<sup>{row.source}</sup>" if row.source else ""
    more = f'<tr class="more"><td colspan="4">{_text(details)}</td></tr>' if details else ""
    return (
        f'<tbody id="{key}"{marked}><tr><th scope="row">{_text(row.title)}</th>'
        f'<td class="value">{_text(row.signs)}{unsure}</td><td>{_text(row.interval)}</td>'
        f"<td>{_text(row.norm)} {source}</td></tr>{more}</tbody>"
    )


def _picture(report: Report, keys: dict[str, str]) -> Iterator[str]:
    """The X-ray, and above it lines and points in pixels of the image, whose first has its middle at (0, 0)."""
    drawing = Drawing.of(report.radiograph, report.landmarks, report.measurements)
    width, height = drawing.size
    data = base64.b64encode(as_jpeg(shown(report.radiograph))).decode()
    yield f'<svg viewBox="-0.5 -0.5 {width} {height}" role="img" aria-label="X-ray with landmarks and lines">'
    yield (
        f'<image x="-0.5" y="-0.5" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/jpeg;base64,{data}"/>'
    )
    yield from (_polyline(line, _OUTLINE) for line in drawing.outlines)
    for line, names in drawing.lines:
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        yield _polyline(line, f'class="{" ".join(keys[name] for name in names)}" {_LINE}{dashes}')
    yield from (_dot(dot, drawing.radius) for dot in drawing.dots)
    yield from (_caption(caption, drawing.letters) for caption in drawing.captions)
    yield "</svg>"


def _polyline(line: Line, how: str) -> str:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in line.points)
    return f'<polyline {how} points="{points}"/>'


def _dot(dot: Dot, radius: float) -> str:
    """A circle of a model's, a square of a person's; its name comes up under the pointer."""
    name, edge = f"<title>{_text(dot.label)}</title>", f'stroke="#000" stroke-width="{radius / 5:.2f}"'
    if not dot.by_hand:
        return f'<circle {edge} fill="#ff5a46" cx="{dot.x:.2f}" cy="{dot.y:.2f}" r="{radius:.2f}">{name}</circle>'
    x, y, side = dot.x - radius, dot.y - radius, 2 * radius
    where = f'x="{x:.2f}" y="{y:.2f}" width="{side:.2f}" height="{side:.2f}"'
    return f'<rect {edge} fill="#3cbeff" {where}>{name}</rect>'


def _caption(caption: Caption, letters: float) -> str:
    """White on a black edge, which is a text of its own: not every program draws an edge first."""
    where = f'x="{caption.x:.2f}" y="{caption.y:.2f}" font-size="{letters:.2f}"'
    edge = f'fill="none" stroke="#000" stroke-width="{0.2 * letters:.2f}" stroke-linejoin="round" aria-hidden="true"'
    text = _text(caption.text)
    return f'<text {_TEXT} {edge} {where}>{text}</text><text {_TEXT} fill="#fff" {where}>{text}</text>'
