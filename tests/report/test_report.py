"""Pages of HTML and PDF: they say what was measured, legibly, and hold nothing that a file could put into them."""

from __future__ import annotations

import itertools
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_pages import PROTOCOLS, Page, sample_report

from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.measurements.base import Measurement, Norm
from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.report import Report, to_html, to_pdf
from landmarklabel.report.content import LONG_SECTION
from landmarklabel.report.drawing import Drawing
from landmarklabel.report.pdf import page
from landmarklabel.report.wording import value_text

HOSTILE = "<script>alert('x')</script> & \"$\\frac{1}{0}$\" \x00\u202e\udcff"


def shown(figure: Figure) -> list[str]:
    """The texts of a page, in the order in which they were put there."""
    return [text.get_text() for text in figure.texts]


def test_every_number_is_that_of_the_measurement() -> None:
    report = sample_report("cephalometric_19")
    rows = {row[0]: row for row in Page(to_html(report)).rows if len(row) == 4}
    texts = shown(page(report, 40))
    for measurement in report.measurements:
        _, value, interval, norm = rows[measurement.title]
        assert measurement.value is not None
        number = float(re.findall(r"-?\d+\.?\d*", value)[0])
        assert number == pytest.approx(measurement.value, abs=0.051 if measurement.unit else 0.00051)
        assert measurement.interval95 is not None
        ends = [float(end) for end in interval.split(" to ")]
        assert ends == pytest.approx(measurement.interval95, abs=0.051 if measurement.unit else 0.00051)
        assert (measurement.norm is None) == (not norm.strip())
        if measurement.norm is not None:
            assert float(norm.split()[0]) == measurement.norm.mean
        assert ("▲" in value) == bool(measurement.out_of_norm and measurement.deviation > 0)
        assert ("▼" in value) == bool(measurement.out_of_norm and measurement.deviation < 0)
        assert ("?" in value) == (not measurement.reliable)
        assert interval in texts
        assert any(text.endswith(value_text(measurement)) for text in texts)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_html_is_whole_and_needs_nothing_from_elsewhere(name: str) -> None:
    html = to_html(sample_report(name))
    found = Page(html)
    assert "script" not in {tag for tag, _ in found.tags}
    for _, attributes in found.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(key) or "data:").startswith("data:")
    assert not re.search(r"@import|url\(|@font-face|https?:", html)
    identities = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(identities) == len(set(identities)) == len(sample_report(name).measurements)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_pdf_is_one_page_and_the_same_each_time(name: str) -> None:
    report = sample_report(name)
    first = to_pdf(report)
    assert len(re.findall(rb"/Type\s*/Page\b", first)) == 1
    assert b"/MediaBox [ 0 0 595" in first
    assert b"CreationDate" not in first
    assert name != "cephalometric_19" or to_pdf(report) == first


def _many(report: Report, number: int) -> Report:
    """With many long measurements of all kinds, more than a page holds if ``number`` is large."""
    norm = Norm(mean=12.25, sd=3.5, population="adults of both sexes", source="A journal with a long name 12, 1999")
    made = [
        Measurement(
            f"m{index}",
            f"A rather long title of measurement {index}" if index % 3 else f"Short {index}",
            None if index % 7 == 0 else 100.0 + index,
            "px2" if index % 5 == 0 else "deg",
            ("S",),
            ("One", "Two", "Three")[index % 3 : index % 3 + 1],
            reason="needs the landmark Go, which is missing" if index % 7 == 0 else None,
            note="upper end vertebra T5, lower end vertebra T11" if index % 4 == 0 else "",
            interval95=(90.0, 110.0 + index),
            norm=norm if index % 2 else None,
            deviation=2.5 if index % 2 else None,
            out_of_norm=True if index % 2 else None,
            improve="Go",
        )
        for index in range(number)
    ]
    return replace(report, measurements=made)


@pytest.mark.parametrize("name", [*PROTOCOLS, "few", "many", "too many"])
def test_no_text_covers_another_or_leaves_the_page(name: str) -> None:
    counts = {"few": 1, "many": 50, "too many": 600}
    report = _many(sample_report("cephalometric_19"), counts[name]) if name in counts else sample_report(name)
    figure = page(report, 72)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    width, height = figure.bbox.size
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.texts]
    boxes.append(axes.get_window_extent())
    spans = np.array([(*box.min, *box.max) for box in boxes])
    assert (spans[:, :2] >= 20).all()
    assert (spans[:, 2:] <= np.array([width, height]) - 20).all()
    middle = spans + 0.18 * (spans[:, [3]] - spans[:, [1]]) * np.array([0, 1, 0, -1])  # letters' own room above, below
    sides = np.minimum(middle[:, None, 2:], middle[:, 2:]) - np.maximum(middle[:, None, :2], middle[:, :2])
    covering = np.argwhere(np.triu((sides > 0.5).all(axis=2), 1))
    assert not len(covering), [figure.texts[i].get_text() for i in covering[0] if i < len(figure.texts)]
    said = any("the report as HTML has all" in text for text in shown(figure))
    assert said == (name == "too many")
    assert min(text.get_fontsize() for text in figure.texts) > 4.2


def test_hostile_texts_are_texts(triangle: Protocol) -> None:
    fields = triangle.model_dump(exclude={"landmarks", "structures", "symmetry", "rules", "measurements"})
    labels = ["<b>left</b>", '"right"', "$top$"]
    protocol = Protocol.model_validate(
        {**fields, "title": HOSTILE, "landmarks": [{"label": label, "name": label} for label in labels]}
    )
    landmarks = LandmarkSet.from_points(
        protocol, [[5.0, 30.0], [40.0, 30.0], [np.nan, np.nan]], provenance={"model": HOSTILE, "version": HOSTILE}
    )
    norm = Norm(mean=1, sd=1, population=HOSTILE, source=HOSTILE)
    measurements = [
        Measurement("a", HOSTILE, 1.0, "deg", (labels[0],), (HOSTILE,), note=HOSTILE, norm=norm, category=HOSTILE),
        Measurement("b", HOSTILE, None, "deg", (labels[2],), (HOSTILE,), reason=HOSTILE),
    ]
    radiograph = Radiograph.from_array(np.zeros((48, 64), np.uint8))
    report = Report(HOSTILE, radiograph, landmarks, measurements, {"user": HOSTILE, "ts": float("nan"), "tag": HOSTILE})
    html = to_html(report)
    html.encode()
    found = Page(html)
    assert {tag for tag, _ in found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "main", "div", "svg", "image", "circle", "text", "dl",
        "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "i", "sup", "footer", "p", "ol", "li",
    }  # fmt: skip
    assert found.text.count("<script>alert('x')</script> & \"$\\frac{1}{0}$\"") >= 10
    assert "<b>left</b>" in found.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of letters that it has not
        assert to_pdf(report).startswith(b"%PDF")
        texts = shown(page(report, 40))
    assert any("<script>" in text for text in texts)


def test_who_placed_what_is_said() -> None:
    report = sample_report("cephalometric_19")
    landmarks = report.landmarks.with_point("N", report.landmarks["N"], Status.CONFIRMED).without_point("Go")
    report = replace(report, landmarks=landmarks, label={"user": "Dr Röntgen", "ts": 1_700_000_000, "tag": "final"})
    facts = dict(report.facts)
    assert facts["Landmarks"] == "19 of cephalometric_19: 16 predicted, 1 corrected, 1 confirmed, 1 missing"
    assert facts["Corrected by hand"] == "S"
    assert facts["Confirmed"] == "N"
    assert facts["Not in the image"] == "Go"
    assert facts["Model"] == "farnet, version 0123456789ab"
    assert facts["Label"] == "'final', saved by Dr Röntgen, 2023-11-14 22:13 UTC"
    text, paper = Page(to_html(report)).text, " ".join(shown(page(report, 40)))
    for fact in facts.values():
        assert fact in text
        assert fact in paper or fact.split(",")[0] in paper
    dots = {dot.label: dot.by_hand for dot in Drawing.of(report.radiograph, landmarks, ()).dots}
    assert {label for label, by_hand in dots.items() if by_hand} == {"S", "N"}
    assert "Go" not in dots


def test_without_spacing_the_unit_is_pixels_and_that_is_said() -> None:
    report = sample_report("cephalometric_19", spacing_known=False)
    report = replace(report, radiograph=Radiograph.from_array(report.radiograph.pixels))
    assert "lengths are in pixels" in dict(report.facts)["Scale"]
    values = [row[1] for row in Page(to_html(report)).rows if len(row) == 4]
    assert any(" px" in value for value in values)
    assert not any(" mm" in value for value in values)


def test_what_is_absent_says_why() -> None:
    report = sample_report("cephalometric_19")
    landmarks = report.landmarks.without_point("Go")
    measurements = measure(landmarks.protocol, landmarks.points, report.radiograph.spacing)
    report = replace(report, landmarks=landmarks, measurements=measurements)
    absent = [measurement for measurement in measurements if measurement.value is None]
    assert absent
    text, paper = Page(to_html(report)).text, " ".join(" ".join(shown(page(report, 40))).split())
    for measurement in absent:
        assert measurement.reason
        assert measurement.reason in text
        assert measurement.reason.split(",")[0] in paper
        assert not any(measurement.name in names for _, names in Drawing.of(
            report.radiograph, landmarks, measurements).lines)  # fmt: skip
    assert "No intervals" in text


def test_each_measurement_is_in_one_section_and_named_in_the_others() -> None:
    report = sample_report("cephalometric_19")
    rows = [row.name for section in report.sections for row in section.rows]
    assert sorted(rows) == sorted(measurement.name for measurement in report.measurements)
    sections = {section.title: section for section in report.sections}
    for measurement in report.measurements:
        first, *others = measurement.analyses
        assert measurement.name in {row.name for row in sections[first].rows}
        assert all(measurement.title in sections[other].also for other in others if other in sections)
    assert any(section.long for section in sample_report("spine_68").sections)
    assert LONG_SECTION < 17


@pytest.mark.parametrize("name", PROTOCOLS)
def test_captions_lie_on_the_image_beside_each_other(name: str) -> None:
    report = sample_report(name)
    drawing = Drawing.of(report.radiograph, report.landmarks, report.measurements)
    half = [np.array([0.62 * len(c.text), 1.1]) * drawing.letters / 2 for c in drawing.captions]
    middles = [np.array([c.x, c.y]) for c in drawing.captions]
    for middle, size in zip(middles, half, strict=True):
        assert (middle - size > -1).all()
        assert (middle + size < np.array(drawing.size) + 1).all()
    for a, b in itertools.combinations(range(len(half)), 2):
        assert (np.abs(middles[a] - middles[b]) >= half[a] + half[b] - 1e-9).any()


def test_a_line_that_several_measurements_share_is_drawn_once() -> None:
    report = sample_report("cephalometric_19")
    lines = Drawing.of(report.radiograph, report.landmarks, report.measurements).lines
    ways = [frozenset(tuple(np.round(point, 2)) for point in line.points) for line, _ in lines]
    assert len(ways) == len(set(ways))
    shared = {name for line, names in lines for name in names}
    assert shared == {m.name for m in report.measurements if m.lines}
