"""A landmark set holds the protocol's landmarks, each with a state that fits its position."""

import numpy as np
import pytest

from landmarklabel.errors import LabelError
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

POINTS = [[1.0, 5.0], [7.0, 5.0], [4.0, 1.0]]


def test_points_with_nan_are_absent(triangle: Protocol) -> None:
    landmarks = LandmarkSet.from_points(triangle, [[1, 5], [np.nan, 5], [4, 1]], Status.CONFIRMED)
    assert landmarks.status == (Status.CONFIRMED, Status.MISSING, Status.CONFIRMED)
    assert landmarks.placed.tolist() == [True, False, True]
    assert np.isnan(landmarks["right"]).all()


def test_moving_one_landmark_changes_nothing_else(triangle: Protocol) -> None:
    before = LandmarkSet.from_points(triangle, POINTS, confidence=[0.1, 0.2, 0.3])
    after = before.with_point("top", (4.123456789012345, 2.5))
    assert after["top"].tolist() == [4.123456789012345, 2.5]
    assert after.status == (Status.PREDICTED, Status.PREDICTED, Status.CORRECTED)
    assert np.array_equal(after.points[:2], before.points[:2])
    assert before["top"].tolist() == [4.0, 1.0]


def test_a_landmark_can_become_missing_and_come_back(triangle: Protocol) -> None:
    landmarks = LandmarkSet.from_points(triangle, POINTS).without_point("left")
    assert landmarks.status[0] is Status.MISSING
    assert landmarks.with_point("left", (2, 2)).status[0] is Status.CORRECTED


def test_a_template_has_nothing_placed(triangle: Protocol) -> None:
    assert set(LandmarkSet.empty(triangle).status) == {Status.UNDEFINED}


def test_wrong_number_of_points(triangle: Protocol) -> None:
    with pytest.raises(LabelError, match=r"expected 3 landmarks of triangle as an array \(3, 2\), got shape \(2, 2\)"):
        LandmarkSet.from_points(triangle, POINTS[:2])


def test_a_flat_array_is_refused(triangle: Protocol) -> None:
    with pytest.raises(LabelError, match=r"\(x, y\) rows, got shape \(6,\)"):
        LandmarkSet.from_points(triangle, np.zeros(6))


def test_state_and_position_must_fit(triangle: Protocol) -> None:
    with pytest.raises(LabelError, match="left: a landmark that is missing or undefined has no position"):
        LandmarkSet(triangle, np.array(POINTS), (Status.MISSING, *[Status.PREDICTED] * 2), np.full(3, np.nan))


def test_unknown_labels_are_named(triangle: Protocol) -> None:
    with pytest.raises(LabelError, match="'Sella' is not a landmark of triangle, which has left, right, top"):
        LandmarkSet.empty(triangle)["Sella"]


def test_landmarks_outside_the_image_are_named(triangle: Protocol) -> None:
    landmarks = LandmarkSet.from_points(triangle, POINTS)
    landmarks.require_inside(Geometry((8, 6)))
    with pytest.raises(LabelError, match=r"right at \(7.0, 5.0\): outside the image, whose pixels reach .* \(6, 5\)"):
        landmarks.require_inside(Geometry((7, 6)))
