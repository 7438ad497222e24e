"""Measurements in a protocol's YAML: a line is enough, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from landmarklabel.errors import ProtocolError
from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import Protocol, load_protocol, shipped_protocols

TRIANGLE = """\
name: triangle
title: A triangle
landmarks:
  - {label: left, name: Left corner}
  - {label: right, name: Right corner}
  - {label: top, name: Top}
structures: [{name: outline, landmarks: [left, right, top]}]
measurements:
"""


def protocol_with(folder: Path, *lines: str) -> Protocol:
    path = folder / "triangle.yaml"
    path.write_text(TRIANGLE + "".join(f"  - {line}\n" for line in lines))
    return load_protocol(path)


def test_a_line_of_yaml_is_a_measurement(tmp_path: Path) -> None:
    protocol = protocol_with(tmp_path, "{name: apex, angle: [left, top, right]}")
    (apex,) = measure(protocol, [[0, 10], [10, 10], [5, 5]], (0.1, 0.1))
    assert (apex.name, apex.title, apex.unit, apex.landmarks) == ("apex", "apex", "deg", ("left", "top", "right"))
    assert apex.value == pytest.approx(90)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{name: x, angle: [left, top, bottom]}", ["'x'", "bottom", "left, right, top"]),
        ("{name: x, angle: [left, top]}", ["measurements[0].angle", "[A, vertex, B]", "line 9"]),
        ("{name: x, angle: [left, top, top]}", ["twice", "top"]),
        ("{name: x, angel: [left, top, right]}", ["angel", "did you mean 'angle'?"]),
        ("{name: x}", ["'x'", "no kind", "distance"]),
        ("{name: x, distance: [left, top], angle: [left, top, right]}", ["distance, angle", "exactly one"]),
        ("{name: x, distance: {from: left, to: top}}", ["[A, B]", "from"]),
        ("{name: x, distance: left}", ["[A, B]", "'left'"]),
        ("{name: x, ratio: [[left, top], [left, left]]}", ["twice", "left"]),
        ("{name: x, signed_distance: {point: top, line: [left, right]}}", ["towards", "away_from"]),
        ("{name: x, signed_distance: {point: top, line: [left, right], to: top}}", ["to", "towards"]),
        ("{name: x, sum: [y, z]}", ["'x'", "'y'", "above"]),
        ("{name: x, composed: cob}", ["'x'", "'cob'", "cobb"]),
        ("{name: x, composed: cobb}", ["cobb", "vertebra"]),
        ("{name: x, composed: cobb, classes: [{name: a, above: 1}]}", ["'x'", "classes"]),
        ("{name: x, distance: [left, top], structures: [outline]}", ["'structures'", "composed"]),
        ("{name: x, distance: [left, top], norm: {mean: 1, sd: 0, population: p, source: s}}", ["norm.sd", "greater"]),
        ("{name: x, distance: [left, top], norm: {mean: 1}}", ["norm", "missing"]),
        ("{name: x, distance: [left, top], classes: [{name: a}]}", ["'a'", "no limit"]),
        ("{name: x, distance: [left, top], classes: [{name: a, from: 2, to: 1}]}", ["'a'", "no value"]),
        ("{name: x, distance: [left, top], classes: [{name: a, from: 1, above: 1}]}", ["'above'", "'from'"]),
        ("{name: x, distance: [left, top], classes: [{name: a, to: 1}, {name: b, from: 1}]}", ["a", "b", "overlap"]),
        ("{name: x, distance: [left, top], classes: [{name: a, below: 1}, {name: a, above: 1}]}", ["one name"]),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(tmp_path: Path, line: str, words: list[str]) -> None:
    with pytest.raises(ProtocolError) as caught:
        protocol_with(tmp_path, line)
    sentence = str(caught.value)
    assert sentence.startswith("triangle.yaml")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_names_are_unique(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="measurements.*'x' is already the name"):
        protocol_with(tmp_path, "{name: x, distance: [left, top]}", "{name: x, distance: [left, right]}")


def test_what_is_added_is_alike(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="'both' adds length, deg"):
        protocol_with(
            tmp_path,
            "{name: side, distance: [left, top]}",
            "{name: apex, angle: [left, top, right]}",
            "{name: both, sum: [side, apex]}",
        )


def test_sums_and_differences(tmp_path: Path) -> None:
    protocol = protocol_with(
        tmp_path,
        "{name: a, distance: [left, right]}",
        "{name: b, distance: [left, top]}",
        "{name: c, distance: [top, right]}",
        "{name: around, sum: [a, b, c]}",
        "{name: less, difference: [around, a, b]}",
    )
    a, b, c, around, less = (each.value for each in measure(protocol, [[0, 0], [3, 0], [3, 4]], None))
    assert (a, b, c) == (3, 5, 4)
    assert (around, less) == pytest.approx((12, 4))


@pytest.mark.parametrize("name", shipped_protocols())
def test_a_protocol_survives_being_written(name: str) -> None:
    """Model files hold protocols as JSON, servers' tests as YAML."""
    protocol = load_protocol(name)
    assert protocol.flip_order is None or len(protocol.flip_order) == len(protocol)  # which it keeps from now on
    assert Protocol.model_validate_json(protocol.model_dump_json()) == protocol
    assert Protocol.model_validate(yaml.safe_load(yaml.safe_dump(protocol.model_dump(mode="json")))) == protocol


@pytest.mark.parametrize("name", shipped_protocols())
def test_shipped_measurements_say_what_they_are(name: str) -> None:
    for definition in load_protocol(name).measurements:
        assert definition.composed or (definition.title and definition.description.endswith("."))
        assert definition.analyses or definition.composed


def test_a_model_of_before_measurements_serves_the_same_landmarks(cephalometric: Protocol) -> None:
    old = cephalometric.model_copy(update={"measurements": ()})
    assert old.fingerprint == Protocol.model_validate(old.model_dump()).fingerprint
    assert np.array_equal(old.indices("mandible"), cephalometric.indices("mandible"))
