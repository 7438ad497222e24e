"""Values, intervals, norms and classes as a reader has them on paper."""

from __future__ import annotations

from ..measurements.base import Measurement, Norm

#: What stands before the value of a measurement that is out of norm, whatever its colour.
ABOVE, BELOW = "▲", "▼"

#: What stands after the value of a measurement that is not to be relied on.
UNSURE = "?"

#: What stands where there is nothing to be said.
NOTHING = "–"

_UNITS = {"deg": "°", "mm2": " mm²", "px2": " px²", "stage": "", "grade": "", "": ""}
_DECIMALS = {"deg": 1, "mm": 1, "px": 1, "%": 1, "": 3, "mm2": 0, "px2": 0, "stage": 0, "grade": 0}

# Probabilities below this are not listed: they say nothing to who reads the page.
_LEAST_PROBABILITY = 0.01


def number(value: float, unit: str) -> str:
    """A value without its unit, in as many decimals as the unit is read in.

    >>> number(-0.04, "deg"), number(0.4857, ""), number(18211.4, "mm2")
    ('0.0', '0.486', '18211')
    """
    text = f"{value:.{_DECIMALS.get(unit, 1)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_unit(value: float, unit: str) -> str:
    """A value with its unit.

    >>> with_unit(82.04, "deg"), with_unit(3.21, "mm"), with_unit(2, "grade")
    ('82.0°', '3.2 mm', '2')
    """
    return number(value, unit) + _UNITS.get(unit, f" {unit}")


def value_text(measurement: Measurement) -> str:
    """Its value with the unit, or a dash where it is absent."""
    return NOTHING if measurement.value is None else with_unit(measurement.value, measurement.unit)


def interval_text(measurement: Measurement) -> str:
    """In which the true value lies with 95 %, without the unit; empty where nobody knows."""
    if measurement.value is None or measurement.interval95 is None:
        return ""
    low, high = (number(end, measurement.unit) for end in measurement.interval95)
    return f"{low} to {high}"


def norm_text(norm: Norm, unit: str) -> str:
    """Mean and standard deviation, in as few digits as say them.

    >>> norm_text(Norm(mean=82, sd=3.5, population="adults", source="a book"), "deg")
    '82 ± 3.5'
    """
    mean = f"{norm.mean:.{_DECIMALS.get(unit, 1) + 1}f}".rstrip("0").rstrip(".")
    return mean if norm.sd is None else f"{mean} ± {norm.sd:g}"


def mark(measurement: Measurement) -> str:
    """A sign where it is out of norm, by its form: above or below; else empty."""
    if not measurement.out_of_norm or measurement.deviation is None:
        return ""
    return ABOVE if measurement.deviation > 0 else BELOW


def deviation_text(measurement: Measurement) -> str:
    """How far out of norm it is, in words; empty where it is not."""
    if not measurement.out_of_norm or measurement.deviation is None:
        return ""
    side = "above" if measurement.deviation > 0 else "below"
    return f"{abs(measurement.deviation):.1f} sd {side} norm"


def classes_text(measurement: Measurement) -> str:
    """The class, or the classes that it may be of with how probable each is, the likeliest first."""
    likely = {name: p for name, p in measurement.probabilities.items() if p >= _LEAST_PROBABILITY}
    if measurement.value is None or not likely:
        return measurement.category or ""
    ordered = sorted(likely, key=lambda name: -likely[name])
    return ", ".join(f"{name} {_percent(likely[name])}" for name in ordered)


def _percent(probability: float) -> str:
    """Never 100 %: it is counted in samples."""
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def unsure(measurement: Measurement) -> bool:
    """Whether it has an interval and is not to be relied on."""
    return measurement.value is not None and measurement.interval95 is not None and not measurement.reliable


def surer_text(measurement: Measurement) -> str:
    """What would make a measurement surer that is not sure; empty where it is, or where nobody knows."""
    return f"check {measurement.improve} first" if unsure(measurement) and measurement.improve else ""


def plain(text: str) -> str:
    """A text on one line, without what can't be printed: names of files may hold anything.

    >>> plain("a\\nb\\x00c")
    'a b c'
    """
    return "".join(character if character.isprintable() else " " for character in text)
