"""A report as one file of HTML that needs no other: the X-ray within it, the fonts of the reader's system."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

from ..measurements.base import Line
from .content import Report, Row, Section
from .drawing import Caption, Dot, Drawing, as_jpeg, shown
from .wording import plain

# No script, nothing from elsewhere: not even if a text got past the escaping.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light; }
body { margin: 1.5rem auto; padding: 0 1rem; max-width: 78rem; color: #1a202c; background: #fff;
  font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; }
main { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 1.5rem; align-items: start; }
svg { display: block; width: 100%; max-height: 92vh; background: #000; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; font-size: .85rem; }
dt { color: #4a5568; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .9rem 0 .2rem; }
table:first-child caption { padding-top: 0; }
th, td { text-align: right; padding: .18rem .4rem; vertical-align: top; border-top: 1px solid #e2e8f0; }
th:first-child { text-align: left; font-weight: inherit; overflow-wrap: anywhere; }
thead th { color: #4a5568; font-weight: 400; font-size: .8rem; border-top: 0; white-space: nowrap; }
td { white-space: nowrap; }
.out th, .out td { font-weight: 600; } .out .value { color: #9b2c2c; }
small { display: block; color: #4a5568; font-weight: 400; }
tbody tr:hover { background: #edf2f7; }
footer, ol { font-size: .8rem; color: #4a5568; }
footer { margin-top: 1rem; } ol { padding-left: 1.2rem; }
.line { fill: none; stroke: #ffc83c; stroke-width: 1.3px; vector-effect: non-scaling-stroke; }
.dashed { stroke-dasharray: 5 4; }
.outline { fill: none; stroke: #5ac8ff; stroke-opacity: .7; stroke-width: 1px; vector-effect: non-scaling-stroke; }
.model { fill: #ff5a46; } .hand { fill: #3cbeff; }
.dot { stroke: #000; stroke-width: .6px; vector-effect: non-scaling-stroke; }
svg text { fill: #fff; stroke: #000; stroke-width: .18em; paint-order: stroke; text-anchor: middle;
  dominant-baseline: central; font-family: system-ui, sans-serif; }
@media print {
  @page { size: A4; margin: 9mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 8pt; line-height: 1.25; }
  th, td { padding: .08rem .2rem; } svg { max-height: 120mm; } tr { break-inside: avoid; }
}
@media screen and (max-width: 56rem) { main { display: block; } }
"""


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
    pointed = "".join(
        f"body:has(#{key}:hover) .{key} {{ stroke: #fff; stroke-width: 3px; }}\n" for key in keys.values()
    )
    yield f"<style>{_STYLE}{pointed}</style></head>"
    yield f"<body><h1>{_text(report.title)}</h1>"
    yield "<main><div>"
    yield from _picture(report, keys)
    yield "<dl>"
    yield from (f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in report.facts)
    yield "</dl></div><div>"
    for section in report.sections:
        yield from _table(section, keys)
    yield "</div></main><footer>"
    yield from (f"<p>{_text(line)}</p>" for line in report.legend)
    if report.sources:
        yield "<p>Norms:</p><ol>"
        yield from (f"<li>{_text(source)}</li>" for source in report.sources)
        yield "</ol>"
    yield f"<p>{_text(report.foot)}</p></footer></body></html>"


def _text(text: str) -> str:
    return escape(plain(text))


def _table(section: Section, keys: dict[str, str]) -> Iterator[str]:
    yield f"<table><caption>{_text(section.title)}</caption>"
    titles = ("Measurement", "Value", "95 %", "Norm")
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for row in section.rows:
        yield _row(row, keys[row.name])
    yield "</tbody></table>"
    if section.also:
        yield f"<small>{_text(section.also_text)}</small>"


def _row(row: Row, key: str) -> str:
    details = "".join(f"<small>{_text(detail)}</small>" for detail in (*row.details, row.surer) if detail)
    source = f" <sup>{row.source}</sup>" if row.source else ""
    marked = ' class="out"' if row.mark else ""
    return (
        f'<tr id="{key}"{marked}>'
        f'<th scope="row">{_text(row.title)}{details}</th><td class="value">{_text(row.signs)}</td>'
        f"<td>{_text(row.interval)}</td><td>{_text(row.norm)}{source}</td></tr>"
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
    yield from (_polyline(line, "outline") for line in drawing.outlines)
    for line, names in drawing.lines:
        yield _polyline(line, " ".join(["line", *(["dashed"] if line.dashed else []), *(keys[name] for name in names)]))
    yield from (_dot(dot, drawing.radius) for dot in drawing.dots)
    yield from (_caption(caption, drawing.letters) for caption in drawing.captions)
    yield "</svg>"


def _polyline(line: Line, classes: str) -> str:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in line.points)
    return f'<polyline class="{classes}" points="{points}"/>'


def _dot(dot: Dot, radius: float) -> str:
    """A circle of a model's, a square of a person's; its name comes up under the pointer."""
    name = f"<title>{_text(dot.label)}</title>"
    if not dot.by_hand:
        return f'<circle class="dot model" cx="{dot.x:.2f}" cy="{dot.y:.2f}" r="{radius:.2f}">{name}</circle>'
    x, y, side = dot.x - radius, dot.y - radius, 2 * radius
    return f'<rect class="dot hand" x="{x:.2f}" y="{y:.2f}" width="{side:.2f}" height="{side:.2f}">{name}</rect>'


def _caption(caption: Caption, letters: float) -> str:
    return f'<text x="{caption.x:.2f}" y="{caption.y:.2f}" font-size="{letters:.2f}">{_text(caption.text)}</text>'
