"""What a simulated reader does: what is looked at ends within the tolerance, and nothing is clicked that is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refinement import refine
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.protocol import Protocol
from landmarklabel.simulation.reader import Reader, Reading, Screen, errors_of
from landmarklabel.simulation.settings import Habits

SIZE = (400, 300)
ORDERS = st.sampled_from(["model", "oracle", "random"])
SEEDS = st.integers(0, 2**20)


def draw(seed: int, landmarks: int = 9, off: float = 12.0) -> tuple[np.ndarray, Screen]:
    """A truth, and a prediction beside it."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(40, 260, (landmarks, 2))
    order = tuple(int(index) for index in rng.permutation(landmarks))
    return truth, Screen(truth + rng.normal(0, off, truth.shape), order, np.zeros(landmarks, dtype=bool))


class Frozen:
    """Nothing follows."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.asked = screen, 0

    def refine(self, placed: Mapping[int, np.ndarray], missing: Collection[int]) -> Screen:
        self.asked += 1
        screen = self.screen
        for index, point in placed.items():
            screen = screen.with_point(index, point)
        for index in missing:
            screen = screen.with_point(index, np.full(2, np.nan))
        return screen


class Rigid(Frozen):
    """Everything moves by as much as what was placed last."""

    def refine(self, placed: Mapping[int, np.ndarray], missing: Collection[int]) -> Screen:
        last = list(placed)[-1]
        points = self.screen.points + placed[last] - self.screen.points[last]
        self.screen = Screen(points, self.screen.order, self.screen.trusted)
        return super().refine(placed, missing)


class OfLabels:
    """The product's own answer, without a network: how landmarks lie in labels."""

    def __init__(self, protocol: Protocol, prior: ShapePrior) -> None:
        self._protocol, self._posterior = protocol, Posterior(prior.in_pixels(SIZE))

    def refine(self, placed: Mapping[int, np.ndarray], missing: Collection[int] = ()) -> Screen:
        labels = self._protocol.labels
        named = {labels[index]: point for index, point in placed.items()}
        answer = refine(self._posterior, self._protocol, named, [labels[index] for index in missing])
        order = tuple(self._protocol.index(label) for label in answer.review_order)
        return Screen(answer.landmarks.points, order, np.zeros(len(labels), dtype=bool))


def reader(truth: np.ndarray, seed: int = 0, spacing: tuple[float, float] = (1.0, 1.0), **habits: object) -> Reader:
    return Reader(Habits(**{"tolerance": 8, **habits}), truth, spacing, SIZE, np.random.default_rng(seed))


def clicked(reading: Reading) -> list[int]:
    return [act.index for act in reading.acts if act.kind != "look"]


def distances(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.hypot(*(points - truth).T)


@given(SEEDS, ORDERS)
def test_by_hand_exactly_what_is_off_is_clicked(seed: int, order: str) -> None:
    truth, screen = draw(seed)
    reading = reader(truth, order=order, follow=False).read(screen, Frozen(screen))
    off = distances(screen.points, truth) > 8
    assert sorted(clicked(reading)) == list(np.flatnonzero(off))
    assert reading.looks == len(truth)  # nothing moved: one look at each
    np.testing.assert_array_equal(reading.points, np.where(off[:, None], truth, screen.points))


@given(SEEDS, ORDERS, st.booleans())
def test_with_the_shape_of_labels_all_end_within_the_tolerance(
    triangle: Protocol, seed: int, order: str, confirm: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.array([[100, 200], [300, 190], [210, 60]]) + rng.uniform(-55, 55, (8, 3, 2))
    desk = OfLabels(triangle, ShapePrior.fit(labels[:-1], np.tile(SIZE, (7, 1))))
    reading = reader(labels[-1], order=order, confirm=confirm).read(desk.refine({}), desk)
    assert (distances(reading.points, labels[-1]) <= 8).all()
    assert len(clicked(reading)) == len(set(clicked(reading))) == reading.placed.sum()
    np.testing.assert_array_equal(reading.points[reading.placed], labels[-1][reading.placed])


@given(SEEDS, ORDERS)
def test_what_moves_as_one_takes_one_click(seed: int, order: str) -> None:
    truth, screen = draw(seed)
    shifted = Screen(truth + np.array([30.0, -20.0]), screen.order, screen.trusted)
    reading = reader(truth, order=order, confirm=False).read(shifted, Rigid(shifted))
    assert len(clicked(reading)) == 1
    np.testing.assert_allclose(reading.points, truth)
    assert reading.looks == 1 + len(truth) - 1  # the one that was off, then the others, which all had moved


def test_the_order_of_looks_is_the_tools_the_worst_first_or_any() -> None:
    truth, screen = draw(3)
    looked = {}
    for order in ("model", "oracle", "random"):
        reading = reader(truth, order=order, follow=False).read(screen, Frozen(screen))
        looked[order] = [act.index for act in reading.acts if act.kind == "look"]
    assert looked["model"] == list(screen.order)
    assert looked["oracle"] == list(np.argsort(-distances(screen.points, truth)))
    assert looked["random"] not in (looked["model"], looked["oracle"], list(range(len(truth))))
    assert sorted(looked["random"]) == list(range(len(truth)))


def test_the_worst_one_is_first_of_those_that_are_off() -> None:
    truth, screen = draw(3)
    reading = reader(truth, order="oracle").read(screen, Frozen(screen))
    errors = [act.error for act in reading.acts if act.kind == "click"]
    assert errors == sorted(errors, reverse=True)
    assert min(errors) > 8


@given(SEEDS)
def test_without_a_prediction_every_landmark_is_placed(seed: int) -> None:
    truth, screen = draw(seed)
    truth[2] = np.nan
    desk = Frozen(screen)
    reading = reader(truth).read(None, desk)
    assert clicked(reading) == list(range(len(truth)))
    assert [act.index for act in reading.acts if act.kind == "missing"] == [2]
    assert (reading.looks, desk.asked) == (0, 0)
    np.testing.assert_array_equal(reading.points, truth)


def test_what_is_not_in_the_image_is_taken_away_and_what_lacks_is_placed() -> None:
    truth, screen = draw(1, off=0.1)
    points = screen.points.copy()
    truth[4], points[6] = np.nan, np.nan
    screen = Screen(points, screen.order, screen.trusted)
    reading = reader(truth).read(screen, Frozen(screen))
    assert {(act.kind, act.index) for act in reading.acts if act.kind != "look"} == {("missing", 4), ("click", 6)}
    assert np.isnan(reading.points[4]).all()
    assert np.isfinite(np.delete(reading.points, 4, axis=0)).all()


def test_what_is_in_neither_is_not_looked_at() -> None:
    truth, screen = draw(1, off=0.1)
    truth[4] = np.nan
    screen = screen.with_point(4, np.full(2, np.nan))
    reading = reader(truth).read(screen, Frozen(screen))
    assert 4 not in [act.index for act in reading.acts]


def test_nobody_looks_where_the_tool_is_sure_and_errors_slip_through_there() -> None:
    truth, screen = draw(5, off=0.1)
    points = screen.points.copy()
    points[[0, 1]] += 50
    trusted = np.zeros(len(truth), dtype=bool)
    trusted[[0, 7]] = True
    screen = Screen(points, screen.order, trusted)
    trusting = reader(truth, trust=0.95).read(screen, Frozen(screen))
    assert clicked(trusting) == [1]
    assert {act.index for act in trusting.acts if act.kind == "look"} == set(range(len(truth))) - {0, 7}
    assert list(np.flatnonzero(distances(trusting.points, truth) > 8)) == [0]
    assert sorted(clicked(reader(truth).read(screen, Frozen(screen)))) == [0, 1]


def test_what_is_confirmed_stays_and_the_others_follow_it() -> None:
    truth, screen = draw(7, landmarks=3, off=0)
    start = Screen(truth + np.array([[30, 0], [5, 0], [0, 40]]), (1, 0, 2), screen.trusted)
    asked = []

    class Noting(Frozen):
        def refine(self, placed: Mapping[int, np.ndarray], missing: Collection[int]) -> Screen:
            asked.append({index: tuple(point - truth[index]) for index, point in placed.items()})
            return super().refine(placed, missing)

    elsewhere = Screen(truth + np.array([[30, 0], [-20, 0], [0, 40]]), (1, 0, 2), screen.trusted)
    reading = reader(truth).read(start, Noting(elsewhere))
    assert asked == [{1: (5, 0), 0: (0, 0)}, {1: (5, 0), 0: (0, 0), 2: (0, 0)}]
    assert (reading.looks, reading.clicks) == (3, 2)
    np.testing.assert_allclose(reading.points, truth + np.array([[0, 0], [5, 0], [0, 0]]))
    assert list(reading.placed) == [True, False, True]


def test_what_drifts_out_of_tolerance_is_seen_by_however_little() -> None:
    truth, screen = draw(7, landmarks=2, off=0)
    start = Screen(truth + np.array([[30, 0], [7.9, 0]]), (1, 0), screen.trusted)
    moved = Screen(truth + np.array([[0, 0], [8.1, 0]]), (1, 0), screen.trusted)
    reading = reader(truth, confirm=False).read(start, Frozen(moved))
    assert [(act.kind, act.index) for act in reading.acts] == [
        ("look", 1), ("look", 0), ("click", 0), ("look", 1), ("click", 1),
    ]  # fmt: skip


def test_what_hardly_moves_is_not_looked_at_again() -> None:
    truth, screen = draw(7, landmarks=2, off=0)
    start = Screen(truth + np.array([[30, 0], [1, 0]]), (1, 0), screen.trusted)
    moved = Screen(truth + np.array([[0, 0], [1.5, 0]]), (1, 0), screen.trusted)
    reading = reader(truth, confirm=False).read(start, Frozen(moved))
    assert [act.kind for act in reading.acts] == ["look", "look", "click"]


def test_the_tolerance_is_in_millimetres_of_both_axes() -> None:
    truth, screen = draw(2, landmarks=2, off=0)
    start = Screen(truth + np.array([[9.0, 0], [0, 9.0]]), screen.order, screen.trusted)
    reading = reader(truth, spacing=(0.5, 1.0)).read(start, Frozen(start))
    assert clicked(reading) == [1]


@given(SEEDS)
def test_the_hand_slips_alike_whatever_is_clicked_first(seed: int) -> None:
    truth, screen = draw(seed)
    placed = [
        reader(truth, seed, order=order, noise=1.5, tolerance=0.001, spacing=(0.5, 2.0)).read(screen, Frozen(screen))
        for order in ("oracle", "random")
    ]
    np.testing.assert_array_equal(placed[0].points, placed[1].points)
    assert (placed[0].points != truth).any()


def test_the_hand_slips_by_as_much_as_is_said_and_never_off_the_image() -> None:
    truth = np.tile([[200.0, 150.0]], (4000, 1))
    slips = reader(truth, noise=3, spacing=(0.5, 2.0)).read(None, Frozen(draw(0)[1])).points - truth
    assert np.std(slips, axis=0) == pytest.approx([6, 1.5], rel=0.05)
    edge = np.tile([[0.0, 299.0]], (500, 1))
    points = reader(edge, noise=30).read(None, Frozen(draw(0)[1])).points
    assert (points >= 0).all()
    assert (points <= np.array(SIZE) - 1).all()


def test_time_is_spent_on_looks_and_clicks() -> None:
    truth, screen = draw(4)
    spent: list[float] = []
    habits = Habits(tolerance=8, look_s=0.25, click_s=2)
    reading = Reader(habits, truth, (1, 1), SIZE, np.random.default_rng(0), spent.append).read(screen, Frozen(screen))
    assert sum(spent) == pytest.approx(0.25 * reading.looks + 2 * reading.clicks)
    assert reading.clicks > 0


@pytest.mark.parametrize("follow", [True, False])
def test_each_look_and_click_has_its_second(follow: bool) -> None:
    truth, screen = draw(4)
    habits = Habits(tolerance=8, look_s=0.25, click_s=2, follow=follow)
    acts = Reader(habits, truth, (1, 1), SIZE, np.random.default_rng(0)).read(screen, Frozen(screen)).acts
    took = [0.25 if act.kind == "look" else 2 for act in acts]
    waited = [0.0, *(act.wait for act in acts[:-1])]
    np.testing.assert_allclose([act.at for act in acts], np.cumsum(took) + np.cumsum(waited))
    assert any(waited) == follow


def test_what_is_there_and_should_not_be_is_as_wrong_as_can_be() -> None:
    points = np.array([[0.0, 0.0], [np.nan, np.nan], [5.0, 5.0], [np.nan, np.nan]])
    truth = np.array([[3.0, 2.0], [4.0, 4.0], [np.nan, np.nan], [np.nan, np.nan]])
    np.testing.assert_allclose(errors_of(points, truth, (1.0, 2.0)), [5.0, np.inf, np.inf, np.nan])


def test_what_lies_beside_the_image_can_t_be_confirmed() -> None:
    truth = np.array([[100.0, 2.0], [200.0, 200.0]])
    screen = Screen(truth + np.array([[0, -5.0], [0, 30.0]]), (0, 1), np.zeros(2, dtype=bool))
    asked = []

    class Noting(Frozen):
        def refine(self, placed: Mapping[int, np.ndarray], missing: Collection[int]) -> Screen:
            asked.append(set(placed))
            return super().refine(placed, missing)

    assert clicked(reader(truth).read(screen, Noting(screen))) == [1]
    assert asked == [{1}]
