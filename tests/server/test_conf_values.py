"""Settings of the server, ``--conf NAME VALUE``: read in one way, and refused in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.errors import ConfigError
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from conf_values import number, probability, text, whole, yes_or_no
from trust import Trust

KINDS: dict[str, Callable[..., Any]] = {
    "text": partial(text, default="a"),
    "yes or no": yes_or_no,
    "number": partial(number, default=2.5),
    "whole": partial(whole, default=3, least=2),
    "probability": partial(probability, default=0.5),
}
DEFAULTS = {"text": "a", "yes or no": False, "number": 2.5, "whole": 3, "probability": 0.5}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_given_or_blank_is_the_default(kind: str) -> None:
    for conf in ({}, {"other": "1"}, {"name": ""}, {"name": "  "}):
        assert KINDS[kind](conf, "name") == DEFAULTS[kind]


@pytest.mark.parametrize(
    ("given", "expected"), [("yes", True), ("True", True), (" 1 ", True), ("NO", False), ("0", False)]
)
def test_yes_and_no(given: str, expected: bool) -> None:
    assert yes_or_no({"name": given}, "name") is expected


@given(st.integers(2, 10**8), st.floats(1e-6, 9e8), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_numbers_come_back(count: int, size: float, level: float) -> None:
    conf = {"count": f" {count} ", "size": str(size), "level": repr(level)}
    assert whole(conf, "count", 2, least=2) == count
    assert number(conf, "size", 1.0) == size
    assert probability(conf, "level", 0.5) == level


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("yes or no", "maybe", "yes or no"),
        *[("number", given, "a number above 0, below 1e+09") for given in ("much", "0", "-1", "nan", "inf", "1e9")],
        *[("whole", given, "a whole number of 2 or more") for given in ("1", "-3", "2.5", "٣", "9" * 30, "1e3")],
        *[("probability", given, "a probability between 0 and 1, such as 0.5") for given in ("0", "1", "nan", "p")],
    ],
)
def test_anything_else_is_refused_in_one_sentence(kind: str, given: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KINDS[kind]({"name": given}, "name")
    assert str(caught.value) == f"--conf name {given[:40]}: expected {expected}"


def test_bounds_are_inside() -> None:
    assert number({"growth": "1"}, "growth", 1.5, least=1) == 1
    with pytest.raises(ConfigError, match="growth 0.9: expected a number of 1 or more"):
        number({"growth": "0.9"}, "growth", 1.5, least=1)
    assert [whole({"threads": each}, "threads", 1, least=1, most=4) for each in "14"] == [1, 4]
    for each in "05":
        with pytest.raises(ConfigError, match=f"threads {each}: expected a whole number from 1 to 4"):
            whole({"threads": each}, "threads", 1, least=1, most=4)


def test_how_sure_is_sure() -> None:
    assert (Trust.of({}).level, Trust.of({"trust": "0.9"}).level) == (0.95, 0.9)
    with pytest.raises(ConfigError, match="trust 95: expected a probability between 0 and 1, such as 0.95"):
        Trust.of({"trust": "95"})
