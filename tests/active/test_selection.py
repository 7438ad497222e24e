"""The strategies, on pools whose right answer is known without them."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.active import STRATEGIES, Pool, choose, combined, distance_to_nearest
from landmarklabel.errors import ConfigError

seeds = st.integers(0, 10_000)


def drawn(seed: int, number: int = 12, covered: int = 3, unknown: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number + covered, 4)).astype(np.float32)
    errors = rng.uniform(1, 9, number)
    errors[:unknown] = np.nan
    ids = [f"i{index:02d}" for index in rng.permutation(number)]
    return Pool(ids, errors, features[:number], features[number:])


def mean_distance(features: np.ndarray, centres: np.ndarray) -> float:
    """How far rows are from their nearest centre, on average, straight from the definition."""
    return float(np.linalg.norm(features[:, None] - centres, axis=2).min(1).mean())


@given(seeds, st.sampled_from(list(STRATEGIES)), st.integers(0, 15), st.integers(0, 3), st.integers(0, 12))
def test_every_strategy_chooses_each_image_once(
    seed: int, strategy: str, number: int, covered: int, unknown: int
) -> None:
    pool = drawn(seed, covered=covered, unknown=unknown)
    chosen = [choice.id for choice in choose(strategy, pool, number, seed)]
    assert len(set(chosen)) == len(chosen) == min(number, len(pool))
    assert set(chosen) <= set(pool.ids)
    assert [choice.id for choice in choose(strategy, pool, number, seed)] == chosen


@given(seeds, st.sampled_from(["mixed", "uncertain", "diverse", "first"]))
def test_the_order_of_a_pool_does_not_matter(seed: int, strategy: str) -> None:
    pool = drawn(seed)
    order = np.random.default_rng(seed + 1).permutation(len(pool))
    other = Pool([pool.ids[i] for i in order], pool.errors[order], pool.features[order], pool.covered)
    one, two = ([choice.id for choice in choose(strategy, each, 5)] for each in (pool, other))
    assert one == two


@given(seeds)
def test_uncertain_takes_the_largest_errors_first(seed: int) -> None:
    pool = drawn(seed)
    chosen = [pool.errors[choice.index] for choice in choose("uncertain", pool, len(pool))]
    assert chosen == sorted(pool.errors, reverse=True)


@given(seeds, st.integers(1, 4))
def test_diverse_brings_images_nearer_almost_as_the_best_choice_does(seed: int, number: int) -> None:
    """1 - 1/e of it, which the greedy choice promises (Cornuejols, Fisher & Nemhauser, 1977)."""
    pool = drawn(seed, number=9)
    before = mean_distance(pool.features, pool.covered)

    def nearer(chosen: Iterable[int]) -> float:
        return before - mean_distance(pool.features, np.concatenate([pool.covered, pool.features[list(chosen)]]))

    chosen = [choice.index for choice in choose("diverse", pool, number)]
    best = max(map(nearer, itertools.combinations(range(9), number)))
    assert nearer(chosen) >= (1 - 1 / np.e) * best - 1e-6
    assert nearer(chosen[:1]) == pytest.approx(max(nearer([index]) for index in range(9)), abs=1e-4)


@given(seeds)
def test_diverse_covers_clusters_before_what_is_like_no_other(seed: int) -> None:
    """Three clusters and three images far from all: a label for each cluster first, where k-center takes the others."""
    rng = np.random.default_rng(seed)
    clusters = np.concatenate([rng.normal(centre, 0.1, (20, 2)) for centre in ((0, 0), (4, 0), (0, 4))])
    features = np.concatenate([clusters, [(7, 7), (-6, 0), (0, -6)]]).astype(np.float32)
    pool = Pool([f"i{index:02d}" for index in range(63)], np.full(63, np.nan), features, features[:1])
    assert sorted(choice.index // 20 for choice in choose("diverse", pool, 2)) == [1, 2]


def test_of_a_large_pool_some_images_are_compared() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5000, 8)).astype(np.float32)
    pool = Pool([str(index) for index in range(5000)], np.full(5000, np.nan), features, features[:1])
    chosen = [choice.index for choice in choose("diverse", pool, 20)]
    assert len(set(chosen)) == 20
    drawn_ones = [choice.index for choice in choose("random", pool, 20, 0)]
    assert mean_distance(features, features[chosen]) < mean_distance(features, features[drawn_ones])


def test_diverse_begins_in_the_middle_and_then_takes_the_farthest() -> None:
    features = np.array([[0, 0], [1, 0], [10, 0], [-9, 0]], dtype=np.float32)
    pool = Pool(["zero", "one", "right", "left"], np.full(4, np.nan), features, features[:0])
    assert [choice.id for choice in choose("diverse", pool, 3)] == ["zero", "right", "left"]


def test_mixed_wants_both() -> None:
    """The surest beside a label comes last; wrong and new comes before what is only one of the two."""
    features = np.array([[9.0], [0.1], [9.0], [0.0]], dtype=np.float32)
    pool = Pool(["both", "wrong", "new", "neither"], np.array([8.0, 9.0, 1.0, 0.5]), features, np.zeros((1, 1), "f4"))
    order = [choice.id for choice in choose("mixed", pool, 4)]
    assert order[0] == "both"
    assert order[-1] == "neither"


def test_what_is_labelled_meanwhile_is_not_asked_for_twice() -> None:
    """Of two alike, mixed takes one; then what is like neither."""
    features = np.array([[5.0, 0], [5.01, 0], [0, 4.0], [0.1, 0]], dtype=np.float32)
    pool = Pool(["a", "twin", "other", "known"], np.array([9.0, 8.9, 7.0, 1.0]), features, np.zeros((1, 2), "f4"))
    assert [choice.id for choice in choose("mixed", pool, 2)] == ["a", "other"]


@given(seeds)
def test_known_distances_are_the_same_as_found_ones(seed: int) -> None:
    pool = drawn(seed)
    nearest = distance_to_nearest(pool.features, pool.covered)
    assert nearest == pytest.approx(np.linalg.norm(pool.features[:, None] - pool.covered, axis=2).min(1), abs=1e-3)
    known = Pool(pool.ids, pool.errors, pool.features, pool.covered[:0], nearest)
    for strategy in ("diverse", "mixed"):
        assert [c.id for c in choose(strategy, known, 4)] == [c.id for c in choose(strategy, pool, 4)]


def test_a_strategy_that_knows_nothing_says_who_stood_in() -> None:
    nothing = Pool.of(["b", "a"])
    assert {choose(name, nothing)[0].strategy for name in ("mixed", "uncertain", "diverse", "random")} == {"random"}
    assert choose("first", nothing)[0].id == "a"
    looks = drawn(0, covered=0, unknown=12)
    assert {choose(name, looks)[0].strategy for name in ("mixed", "uncertain")} == {"diverse"}
    assert choose("mixed", drawn(0))[0].strategy == "mixed"
    assert choose("first", Pool.of([])) == []


def test_what_is_not_scored_yet_comes_before_what_is_known_to_be_easy() -> None:
    pool = Pool(["easy", "new", "hard"], np.array([1.0, np.nan, 5.0]), np.zeros((3, 0), "f4"), np.zeros((0, 0), "f4"))
    assert [choice.id for choice in choose("uncertain", pool, 3)] == ["hard", "new", "easy"]


def test_random_draws_all_alike() -> None:
    counts = dict.fromkeys("abcd", 0)
    for seed in range(2000):
        counts[choose("random", Pool.of("dbca"), 1, seed)[0].id] += 1
    assert min(counts.values()) > 400
    assert choose("random", Pool.of("dbca"), 4, 7) != choose("random", Pool.of("dbca"), 4, 8)


def test_kinds_of_features_count_alike() -> None:
    """A kind in thousands beside one in thousandths: each spreads the images as much as the other."""
    rng = np.random.default_rng(0)
    big, small = rng.normal(5000, 1000, (50, 3)), rng.normal(0, 0.001, (50, 7))
    small[4] = np.nan
    features = combined(big, small)
    assert features[:, :3].var(axis=0).sum() == pytest.approx(1, rel=1e-3)
    assert np.delete(features, 4, axis=0)[:, 3:].var(axis=0).sum() == pytest.approx(1, rel=1e-3)
    assert not features[4, 3:].any()
    assert combined(np.full((3, 0), 0.0)).shape == (3, 0)
    assert combined(np.full((3, 2), np.nan)).shape == (3, 0)


def test_there_is_no_such_strategy() -> None:
    with pytest.raises(ConfigError, match="there is no strategy 'best'; there are mixed, uncertain, diverse"):
        choose("best", Pool.of(["a"]))
