"""What is known of images, as arrays: the same choices as from scratch, whatever was labelled since."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.active import Pool, choose
from landmarklabel.active.scores import Known
from landmarklabel.active.scoring import ImageScore
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from activelearning.snapshot import Snapshot

NAMES = [f"image {index:02d}" for index in range(20)]
SHAPE = 4


def score(rng: np.random.Generator, mm: bool = True) -> ImageScore:
    error = float(rng.uniform(0.01, 0.1))
    return ImageScore(error, 100 * error if mm else None, rng.normal(size=SHAPE).astype(np.float32))


def known(seed: int) -> Known:
    rng = np.random.default_rng(seed)
    looks = {name: rng.normal(size=63).astype(np.float32) for name in NAMES}
    return Known(looks, {name: score(rng) for name in NAMES[5:]})


def snapshot(facts: Known, unlabelled: set[str]) -> Snapshot:
    labels = {name: (np.zeros((3, 2)), (9, 9)) for name in NAMES if name not in unlabelled}
    contents = {name: name for name in NAMES}
    return Snapshot.of(NAMES, unlabelled, contents, facts, labels, lambda points, size: np.ones(SHAPE, np.float32))


@given(
    st.integers(0, 999), st.lists(st.integers(5, 19), max_size=8, unique=True), st.sampled_from(["mixed", "diverse"])
)
def test_labels_that_come_and_go_count_at_once(seed: int, labelled_since: list[int], strategy: str) -> None:
    facts, before = known(seed), set(NAMES[5:])
    made = snapshot(facts, before)
    in_work = {NAMES[19]}
    for change in (labelled_since, labelled_since[::2], []):
        unlabelled = before - {NAMES[index] for index in change}
        candidates = sorted(unlabelled - in_work)
        if not candidates:
            continue
        rows = [made.rows[name] for name in candidates]
        covered = [made.rows[name] for name in NAMES if name not in unlabelled or name in in_work]
        scratch = Pool(candidates, made.errors[rows], made.features[rows], made.features[covered])
        pool = made.pool(candidates, unlabelled, in_work)
        assert pool.nearest == pytest.approx(scratch.distances(), abs=1e-3)
        assert choose(strategy, pool)[0].id == choose(strategy, scratch)[0].id


def test_errors_are_in_mm_only_if_all_are() -> None:
    facts = known(0)
    assert snapshot(facts, set(NAMES)).unit == "mm"
    facts.scores[NAMES[7]] = score(np.random.default_rng(1), mm=False)
    made = snapshot(facts, set(NAMES))
    assert made.unit == "of the longer side"
    assert made.errors[8] == facts.scores[NAMES[8]].relative
    assert np.isnan(made.errors[0])


def test_what_came_since_can_be_chosen() -> None:
    made = snapshot(known(0), set(NAMES[5:]))
    everything = {*NAMES[5:], "new"}
    pool = made.pool(["new"], everything, set())
    assert choose("mixed", pool)[0].id == "new"
    assert choose("uncertain", made.pool(sorted(everything), everything, set()))[0].id != "new"


def test_nothing_is_known_at_first() -> None:
    made = Snapshot.of(NAMES, set(NAMES), {}, Known(), {}, None)
    assert choose("mixed", made.pool(NAMES, set(NAMES), set()))[0].strategy == "random"
    assert Snapshot.of([], set(), {}, Known(), {}, None).pool([], set(), set()).ids == []


def test_without_labels_the_middle_comes_first_and_then_what_many_are_nearer_to() -> None:
    facts = known(0)
    made = snapshot(facts, set(NAMES))
    first = choose("mixed", made.pool(NAMES, set(NAMES), set()))[0]
    assert first.strategy == "diverse"
    centre = np.linalg.norm(made.features - made.features.mean(axis=0), axis=1)
    assert first.index == int(centre.argmin())
    rest = [name for name in NAMES if name != first.id]
    second = choose("diverse", made.pool(rest, set(NAMES), {first.id}))[0]
    apart = np.linalg.norm(made.features[:, None] - made.features, axis=2)
    nearer = np.maximum(apart[first.index] - apart, 0).sum(axis=1)
    nearer[first.index] = -1
    assert made.rows[second.id] == int(nearer.argmax())


def test_an_image_that_can_not_be_read_is_named() -> None:
    facts = Known({"a": np.empty(0, np.float32)}, {}, {"a": "half a file"})
    made = Snapshot.of(["one"], {"one"}, {"one": "a"}, facts, {}, None)
    assert made.unreadable == {"one": "half a file"}
