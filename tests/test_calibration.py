"""Stated regions: what they are multiplied by, so that they hold what they say."""

import numpy as np
import pytest
from scipy.stats import chi2

from landmarklabel.engine.calibration import DOUBLINGS, LEVEL, by_doublings, spread_of
from landmarklabel.interaction.posterior import PosteriorConfig


def test_variances_that_are_too_small_are_made_as_large_as_the_errors() -> None:
    """Of errors twice as large as stated, the variance is four times; after a click they are as stated."""
    rng = np.random.default_rng(0)
    deviations = np.sqrt(chi2.rvs(2, size=(400, 2, 30), random_state=rng)) * np.array([2.0, 1.0])[:, None]
    found = spread_of(deviations)
    assert found == pytest.approx((4.0, 1.0), rel=0.05)
    held = deviations[:, 0] ** 2 / found[0] <= chi2.ppf(LEVEL, 2)
    assert held.mean() == pytest.approx(LEVEL, abs=0.005)


def test_what_was_placed_is_not_counted_and_few_are_not_trusted_far() -> None:
    deviations = np.full((3, 3, 4), np.nan)
    deviations[:, 0, :2] = 100.0
    deviations[:, 1, :2] = 0.0
    assert spread_of(deviations) == (25.0, 0.25, 0.25)


def test_more_clicks_than_were_measured_count_as_the_last() -> None:
    config = PosteriorConfig(spread=(3.0, 2.0))
    assert [config.spread_after(clicks) for clicks in (0, 1, 2, 9)] == [3, 2, 2, 2]


@pytest.mark.parametrize("best", [-DOUBLINGS, -2, -1, 0, 1, 2, DOUBLINGS])
def test_the_best_factor_is_found_either_way_and_no_more_is_measured_than_that_takes(best: int) -> None:
    asked: list[float] = []

    def measured(factor: float) -> float:
        asked.append(factor)
        return factor

    assert by_doublings(measured, lambda factor: abs(np.log2(factor) - best)) == 2.0**best
    assert len(asked) == len(set(asked)) <= abs(best) + 3
    assert max(abs(np.log2(asked))) <= DOUBLINGS


def test_a_factor_that_is_no_better_is_not_taken() -> None:
    assert by_doublings(lambda factor: factor, lambda factor: 1.0) == 1.0
