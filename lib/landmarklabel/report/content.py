"""What a report says, in words, whatever kind of page it is put on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from .. import __version__
from ..landmarks import LandmarkSet, Status
from ..measurements.base import Measurement, Norm
from ..radiograph import Radiograph
from .wording import (
    classes_text,
    deviation_text,
    interval_text,
    mark,
    norm_text,
    surer_text,
    unsure,
    value_text,
)

#: The section of measurements that belong to no analysis.
OTHER = "Measurements"

#: A section of more rows than this is long.
LONG_SECTION = 12

#: What a page is and is not, at its foot.
FOOT = "Not a medical device. To be checked by a reader before any use."


@dataclass(frozen=True)
class Row:
    """A measurement in the table.

    Attributes:
        title: its name in words.
        mark: a sign by its form where it is out of norm.
        value: with the unit; a dash where it is absent.
        interval: of 95 %, without the unit.
        norm: mean and deviation.
        source: number of the norm's source in :attr:`Report.sources`, from 1; 0 without one.
        details: the reason why it is absent; else class, deviation and note.
        unsure: whether it is not to be relied on.
        surer: which landmark to check first, then.
        name: its key.
    """

    title: str
    mark: str
    value: str
    interval: str
    norm: str
    source: int
    details: tuple[str, ...]
    unsure: bool
    surer: str
    name: str

    @property
    def signs(self) -> str:
        """The value with the sign that stands before it."""
        return f"{self.mark} {self.value}".strip()


@dataclass(frozen=True)
class Section:
    """The measurements of an analysis.

    Attributes:
        title: its name.
        rows: of the table.
        also: titles of those that belong to it, too, and are in an earlier section.
    """

    title: str
    rows: tuple[Row, ...]
    also: tuple[str, ...] = ()

    @property
    def long(self) -> bool:
        """Whether it has so many rows that each should be short."""
        return len(self.rows) > LONG_SECTION

    def details(self, row: Row) -> str:
        """What is said below a row; which landmark to check would be said in every row of a long section."""
        return "; ".join(filter(None, (*row.details, "" if self.long else row.surer)))

    @property
    def also_text(self) -> str:
        """The same in words; empty where there are none."""
        return f"with {', '.join(self.also)}, see above" if self.also else ""


@dataclass(frozen=True)
class Report:
    """What a page says of one image.

    Attributes:
        name: id of the image. Nothing else of the file's own texts is shown: a DICOM's hold the patient's name.
        radiograph: the image.
        landmarks: that were measured.
        measurements: of them.
        label: what the label store knows of the label: ``user``, ``ts`` (seconds), ``tag``; empty for a prediction.
    """

    name: str
    radiograph: Radiograph
    landmarks: LandmarkSet
    measurements: Sequence[Measurement]
    label: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Of the page."""
        return self.landmarks.protocol.title or self.landmarks.protocol.name

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Each measurement once, under the first of its analyses; all in the protocol's order, which is of weight."""
        found: dict[str, list[Row]] = {}
        also: dict[str, list[str]] = {}
        for measurement in self.measurements:
            title, *others = measurement.analyses or (OTHER,)
            found.setdefault(title, []).append(self._row(measurement))
            for other in others:
                also.setdefault(other, []).append(measurement.title)
        return tuple(Section(title, tuple(rows), tuple(also.get(title, ()))) for title, rows in found.items())

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Of the norms that are shown: who was measured, and where that is published."""
        return tuple(dict.fromkeys(_source(m.norm) for m in self.measurements if m.norm is not None))

    @cached_property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What was measured, by whom and how: names and texts."""
        return tuple((name, text) for name, text in self._facts() if text)

    @property
    def foot(self) -> str:
        """Which program made the page, and what it is not."""
        return f"landmarklabel {__version__}. {FOOT}"

    @cached_property
    def legend(self) -> tuple[str, ...]:
        """What the signs of the table mean, as far as it has them."""
        lines = []
        if any(m.interval95 is not None for m in self.measurements):
            lines.append(
                "95 %: the true value lies there with a probability of 95 %, as far as the model knows itself."
            )
        else:
            lines.append("No intervals: nothing is known of how sure these landmarks are.")
        if any(map(unsure, self.measurements)):
            lines.append("?: unsure; the interval reaches into another class, or a landmark is hard to place.")
        if self.sources:
            lines.append("▲ ▼: more than one standard deviation (sd) above or below the norm.")
        return tuple(lines)

    def _row(self, measurement: Measurement) -> Row:
        norm = measurement.norm
        return Row(
            measurement.title,
            mark(measurement),
            value_text(measurement),
            interval_text(measurement),
            "" if norm is None else norm_text(norm, measurement.unit),
            0 if norm is None else self.sources.index(_source(norm)) + 1,
            tuple(filter(None, _details(measurement))),
            unsure(measurement),
            surer_text(measurement),
            measurement.name,
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        width, height = self.radiograph.size
        yield "Image", f"{self.name}, {width} × {height} pixels"
        yield "Scale", self._scale()
        protocol = self.landmarks.protocol
        yield "Landmarks", f"{len(protocol)} of {protocol.name}: {self._states()}"
        yield "Model", self._model()
        yield "Corrected by hand", self._labels(Status.CORRECTED)
        yield "Confirmed", self._labels(Status.CONFIRMED)
        yield "Not in the image", self._labels(Status.MISSING)
        yield "Not placed", self._labels(Status.UNDEFINED)
        yield "Label", self._saved()

    def _scale(self) -> str:
        if not self.radiograph.spacing_known:
            return "unknown: lengths are in pixels, areas in square pixels, and no norm in mm applies"
        x, y = self.radiograph.spacing
        each = f"{x:.4g}" if abs(x - y) < 1e-6 * x else f"{x:.4g} × {y:.4g}"
        return f"{each} mm a pixel ({self.radiograph.spacing_source.value})"

    def _states(self) -> str:
        states = self.landmarks.status
        return ", ".join(f"{states.count(state)} {state.value}" for state in Status if state in states)

    def _model(self) -> str:
        known = self.landmarks.provenance
        if known.get("model"):
            return f"{known['model']}, version {known.get('version', 'unknown')}"
        return "not known of this label" if Status.PREDICTED in self.landmarks.status else ""

    def _labels(self, status: Status) -> str:
        """All landmarks of a state."""
        of_state = [label for label, state in zip(self.landmarks.labels, self.landmarks.status, strict=True)
                    if state is status]  # fmt: skip
        return "all" if len(of_state) == len(self.landmarks) > 1 else ", ".join(of_state)

    def _saved(self) -> str:
        """Who saved the label, when, and as what; as far as its info says."""
        if not self.label:
            return ""
        who, when, tag = (self.label.get(key) for key in ("user", "ts", "tag"))
        parts = [f"'{tag}'" if tag else "", f"saved by {who}" if isinstance(who, str) and who else "", _day(when)]
        return ", ".join(filter(None, parts))


def _details(measurement: Measurement) -> Iterator[str]:
    if measurement.value is None:
        yield measurement.reason or "absent"
        return
    yield classes_text(measurement)
    yield deviation_text(measurement)
    yield measurement.note


def _source(norm: Norm) -> str:
    return f"{norm.population}: {norm.source}"


def _day(seconds: Any) -> str:
    """A day and minute, in UTC, of a time in seconds; empty for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return ""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""
