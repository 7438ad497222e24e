"""Expected errors: the formula, by drawing true places; units; what is not answered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.active import expected_errors


def test_they_are_the_root_mean_square_of_drawn_errors(rng: np.random.Generator) -> None:
    mean, points = rng.uniform(0, 100, (2, 4, 2))
    roots = rng.normal(0, 3, (4, 2, 2))
    covariances = roots @ roots.transpose(0, 2, 1)
    truth = mean + np.einsum("kij,nkj->nki", roots, rng.normal(size=(200_000, 4, 2)))
    unit = np.array([0.5, 0.25])
    drawn = np.sqrt(((((truth - points) * unit) ** 2).sum(-1)).mean(0))
    assert expected_errors(points, mean, covariances, unit) == pytest.approx(drawn, rel=0.01)


@given(st.floats(0.01, 100), st.floats(0, 50), st.floats(0, 50))
def test_more_doubt_and_more_disagreement_are_more_error(unit: float, doubt: float, offset: float) -> None:
    def error(doubt: float, offset: float) -> float:
        return float(expected_errors([[offset, 0.0]], [[0.0, 0.0]], [np.eye(2) * doubt], unit)[0])

    assert error(doubt + 1, offset) > error(doubt, offset) >= 0
    assert error(doubt, offset + 1) > error(doubt, offset)
    assert error(0, offset) == pytest.approx(offset * unit)


def test_nothing_is_expected_of_what_is_not_answered() -> None:
    errors = expected_errors([[np.nan, np.nan], [1, 1]], np.zeros((2, 2)), [np.eye(2)] * 2)
    assert np.isnan(errors[0])
    assert errors[1] == pytest.approx(2.0)
