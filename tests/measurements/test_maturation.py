"""Cervical vertebral maturation by the published rules."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import neck

from landmarklabel.errors import ProtocolError
from landmarklabel.measurements.composed import COMPOSED
from landmarklabel.measurements.measure import measure
from landmarklabel.measurements.uncertainty import JointErrors
from landmarklabel.protocol import load_protocol

CERVICAL = load_protocol("cervical_13")
FLAT, DEEP = 0.02, 0.12  # of a border's length; 0.07 is concave
LOW, SQUARE, HIGH = 0.7, 1.0, 1.2  # height over width


@pytest.mark.parametrize(
    ("depths", "shapes", "stage"),
    [
        ((FLAT, FLAT, FLAT), (LOW, LOW), 1),
        ((DEEP, FLAT, FLAT), (LOW, LOW), 2),
        ((DEEP, DEEP, FLAT), (LOW, LOW), 3),
        ((DEEP, DEEP, DEEP), (LOW, LOW), 4),
        ((DEEP, DEEP, DEEP), (SQUARE, LOW), 5),
        ((DEEP, DEEP, DEEP), (LOW, SQUARE), 5),
        ((DEEP, DEEP, DEEP), (SQUARE, SQUARE), 5),
        ((DEEP, DEEP, DEEP), (SQUARE, HIGH), 6),
        ((DEEP, DEEP, DEEP), (HIGH, HIGH), 6),
    ],
)
def test_stages(depths, shapes, stage):
    found = {each.name: each for each in measure(CERVICAL, neck(depths, shapes), None)}
    assert (found["cvm_stage"].value, found["cvm_stage"].category) == (stage, f"CS{stage}")
    assert found["cvm_stage"].note == ""
    assert found["C3_concavity"].value == pytest.approx(100 * depths[1])
    assert found["C3_concavity"].category == ("concave" if depths[1] == DEEP else "flat")
    assert found["C4_shape"].value == pytest.approx(shapes[1])


def test_a_border_that_bulges_is_not_concave():
    found = {each.name: each for each in measure(CERVICAL, neck((-DEEP, FLAT, FLAT), (LOW, LOW)), None)}
    assert found["C2_concavity"].value == pytest.approx(-100 * DEEP)
    assert found["cvm_stage"].value == 1


def test_an_unusual_order_is_said():
    found = measure(CERVICAL, neck((FLAT, DEEP, FLAT), (LOW, LOW)), None)[0]
    assert found.value == 2
    assert "of C3" in found.note


def test_stages_have_probabilities():
    """C3's border is as deep as the limit: it is concave in half of the samples."""
    points = neck((DEEP, 0.07, FLAT), (LOW, LOW))
    errors = JointErrors(np.zeros((13, 2, 1)), np.tile(0.09 * np.eye(2), (13, 1, 1)), np.zeros(13, dtype=bool))
    stage = measure(CERVICAL, points, (1.0, 1.0), errors)[0]
    assert stage.probabilities["CS2"] + stage.probabilities["CS3"] > 0.9
    assert 0.3 < stage.probabilities["CS3"] < 0.7
    assert not stage.reliable


def test_structures_of_other_sizes_are_refused():
    with pytest.raises(ProtocolError, match="structure 'C3' has 5 landmarks; expected 3"):
        COMPOSED["cervical_maturation"].parts(CERVICAL, ("C3", "C3", "C4"))
