"""The morphology-aware loss: which distances and angles are chosen, and what the loss is of given maps."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from landmarklabel.heatmaps import encode
from landmarklabel.losses import MorphologyConfig, MorphologyLoss, MorphologySets, isotropic, morphology_sets
from landmarklabel.losses.morphology_sets import angle_spread, distance_spread, near_arms
from landmarklabel.protocol import Protocol, load_protocol

SIGMA = 4.0


def config(**changes: object) -> MorphologyConfig:
    return MorphologyConfig.model_validate({"criterion": "count", **changes})


@pytest.fixture
def shapes(rng: np.random.Generator) -> np.ndarray:
    """Labels (30, 6, 2), a tenth of them absent."""
    points = rng.uniform(0, 100, (6, 2)) + rng.normal(0, 1, (30, 6, 2)) * np.arange(1, 7)[:, None]
    points[rng.random((30, 6)) < 0.1] = np.nan
    return points


def test_spreads_are_those_of_equation_2(shapes: np.ndarray) -> None:
    """Against the formulas written out, image by image."""
    pairs, spreads = distance_spread(shapes)
    assert {frozenset(pair) for pair in pairs.tolist()} == {frozenset(pair) for pair in combinations(range(6), 2)}
    for (m, n), spread in zip(pairs, spreads, strict=True):
        lengths = [math.dist(s[m], s[n]) for s in shapes if np.isfinite(s[[m, n]]).all()]
        assert spread == pytest.approx(np.std(lengths))
    triplets, spreads = angle_spread(shapes, near_arms(shapes))
    assert len({(frozenset((a, c)), b) for a, b, c in triplets.tolist()}) == len(triplets) == 6 * 10
    for (a, b, c), spread in zip(triplets, spreads, strict=True):
        there = [s for s in shapes if np.isfinite(s[[a, b, c]]).all()]
        turns = [complex(*(s[c] - s[b])) / complex(*(s[a] - s[b])) for s in there]
        mean = np.mean([turn / abs(turn) for turn in turns])
        assert spread == pytest.approx(math.sqrt(-math.log(mean.real**2 + mean.imag**2)), abs=1e-9)


def sheared() -> np.ndarray:
    """Points 0, 1, 2 are a rigid right angle that turns and moves; 3 wanders."""
    rng = np.random.default_rng(3)
    shapes = []
    for turn in np.linspace(-1, 1, 12):
        cos, sin = math.cos(turn), math.sin(turn)
        corner = np.array([[0, 8], [0, 0], [6, 0]]) @ np.array([[cos, sin], [-sin, cos]])
        shapes.append(np.vstack([corner + rng.uniform(0, 50, 2), rng.uniform(0, 50, (1, 2))]))
    return np.array(shapes)


def test_what_is_rigid_is_chosen(triangle: Protocol) -> None:
    chosen = MorphologySets.choose(sheared(), config(count=3), triangle)
    assert set(chosen.pairs) == {(0, 1), (0, 2), (1, 2)}
    assert {vertex for _, vertex, _ in chosen.triplets} == {0, 1, 2}
    assert 3 not in {index for triplet in chosen.triplets for index in triplet}
    by_threshold = config(criterion="threshold", distance_threshold=0.1, angle_threshold=0.01)
    assert MorphologySets.choose(sheared(), by_threshold, triangle) == chosen


def test_high_variance_is_the_other_end(triangle: Protocol) -> None:
    chosen = MorphologySets.choose(sheared(), config(criterion="high_variance", count=3), triangle)
    assert set(chosen.pairs) == {(0, 3), (1, 3), (2, 3)}
    assert all(3 in triplet for triplet in chosen.triplets)


def test_edges_and_angles_of_structures(triangle: Protocol) -> None:
    chosen = MorphologySets.choose(sheared()[:, :3], config(criterion="adjacent"), triangle)
    assert chosen.pairs == ((0, 1), (1, 2), (2, 0))
    assert chosen.triplets == ((2, 0, 1), (0, 1, 2), (1, 2, 0))
    spine = MorphologySets.choose(np.zeros((1, 68, 2)), config(criterion="adjacent"), load_protocol("spine_68"))
    assert len(spine.pairs) == len(spine.triplets) == 17 * 4


def test_what_is_hardly_ever_there_is_not_trusted(triangle: Protocol) -> None:
    """Twice the same by chance is no regularity."""
    points = np.concatenate([sheared(), np.full((12, 1, 2), np.nan)], axis=1)
    points[:2, 4] = points[:2, 0] + [1, 2]
    points[2:, 4] = np.nan
    chosen = MorphologySets.choose(points, config(count=70), triangle)
    assert 4 not in {index for pair in chosen.pairs for index in pair}
    assert len(chosen.pairs) == 6


def test_many_landmarks_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Arms lead to the nearest then, and the candidates are as many as the limit allows."""
    line = np.stack([np.arange(40.0), np.zeros(40)], axis=1) + rng.normal(0, 0.01, (5, 40, 2))
    monkeypatch.setattr(morphology_sets, "MOST_TRIPLETS", 40 * 6)
    arms = near_arms(line)
    assert arms.shape == (40, 4)  # six angles each
    assert set(arms[20]) == {18, 19, 21, 22}
    monkeypatch.setattr(morphology_sets, "MOST_TRIPLETS", 250_000)
    assert len(angle_spread(line, near_arms(line))[1]) == 40 * 39 * 38 // 2
    assert near_arms(np.zeros((1, 68, 2))).shape == (68, 67)
    arms = near_arms(np.zeros((1, 720, 2))).shape[1]
    assert 720 * arms * (arms - 1) / 2 <= 250_000


def test_isotropic_points_know_the_stretch() -> None:
    """A square of 30 mm in an input that is twice as fine along x; the area of a pixel stays."""
    square = torch.tensor([[[0.0, 0.0], [60.0, 0.0], [60.0, 30.0], [0.0, 30.0]]])
    made = isotropic(square, torch.tensor([[0.5, 1.0]]))
    side = (made[0, 1] - made[0, 0]).norm()
    assert side == (made[0, 2] - made[0, 1]).norm()
    assert side.item() ** 2 == pytest.approx(60 * 30, rel=1e-5)


TRUE = torch.tensor([[[20.0, 20.0], [60.0, 20.0], [60.0, 50.0]]])
UNIT = torch.ones(1, 2)
SETS = MorphologySets(pairs=((0, 1), (1, 2)), triplets=((0, 1, 2),))


def loss_of(points: torch.Tensor, true: torch.Tensor = TRUE, **changes: object) -> torch.Tensor:
    """Of perfect maps of ``points``."""
    made = MorphologyLoss(config(weight=1, angle_weight=1, **changes), SETS, 1, SIGMA, logits=False)
    return made(encode(points, (96, 72), SIGMA), true, UNIT.expand(len(points), -1))


def test_the_truth_costs_nothing() -> None:
    for criterion in ("count", "coordinates"):
        assert loss_of(TRUE, criterion=criterion).item() < 0.02
    moved = TRUE + torch.tensor([5.0, -4.0])
    assert loss_of(moved).item() < 0.02
    assert loss_of(moved, criterion="coordinates").item() == pytest.approx(4.5, abs=0.02)


def test_what_errors_cost() -> None:
    """One edge 10 too long: 10 / 2 pairs. The other arm turned by 90 degrees: 1 - cos 90."""
    longer = TRUE.clone()
    longer[0, 0, 0] = 10.0
    assert loss_of(longer).item() == pytest.approx(5.0, abs=0.05)
    turned = TRUE.clone()
    turned[0, 2] = torch.tensor([30.0, 20.0])
    assert loss_of(turned).item() == pytest.approx(1.0, abs=0.01)
    mirrored = TRUE.clone()
    mirrored[0, 2, 1] = 20.0 - 15.0
    assert loss_of(mirrored).item() > 1.9  # an angle has a sense: 90 is not -90


def test_missing_landmarks_are_left_out() -> None:
    true = TRUE.clone()
    true[0, 2] = math.nan
    wrong = TRUE.clone()
    wrong[0, 2] = torch.tensor([5.0, 5.0])
    assert loss_of(wrong, true).item() < 0.02
    assert loss_of(wrong, torch.full_like(TRUE, math.nan)).item() == 0


@pytest.mark.parametrize("criterion", ["count", "coordinates"])
def test_the_gradient_pulls_a_landmark_to_where_it_belongs(criterion: str) -> None:
    """Landmark 0 is 2 px too far left of the others: its logits are to fall on the left and to rise on the right."""
    off = TRUE.clone()
    off[0, 0, 0] -= 2
    maps = encode(off, (96, 72), SIGMA).clamp(1e-4, 1 - 1e-4)
    logits = torch.logit(maps).requires_grad_()
    loss = MorphologyLoss(config(criterion=criterion), SETS, 1, SIGMA, logits=True)
    loss(logits, TRUE, UNIT).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    row = logits.grad[0, 0, 20]
    assert row[12:18].sum() > 0 > row[19:25].sum()


def test_gradients_are_finite_at_the_border_and_where_landmarks_coincide() -> None:
    """Also before anything is learned."""
    corner = torch.zeros(1, 3, 2)
    for maps in (encode(corner, (96, 72), SIGMA), torch.zeros(1, 3, 72, 96)):
        logits = maps.clone().requires_grad_()
        loss = MorphologyLoss(config(), SETS, 1, SIGMA, logits=True)(logits, TRUE, UNIT)
        loss.backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_thresholds_are_needed_where_they_decide() -> None:
    with pytest.raises(ValidationError, match="criterion 'threshold' needs distance_threshold and angle_threshold"):
        config(criterion="threshold")
