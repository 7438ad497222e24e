"""The ensemble learns a known relation of shape and age, the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic_bones import PROTOCOL, aged_data, children

from landmarklabel.boneage import (
    AgeClasses,
    AgedData,
    AgedImage,
    BoneAgeConfig,
    BoneAgeNetwork,
    Trained,
    mean_absolute_error,
    train_bone_age,
)
from landmarklabel.errors import ConfigError, DataError
from landmarklabel.io.cases import Case

UNSEEN = children(150, seed=9)
UNSEEN_POINTS = np.stack([points for _, _, points in UNSEEN])
UNSEEN_AGES = np.array([months for _, months, _ in UNSEEN])
TINY = BoneAgeConfig(members=2, epochs=1, class_months=12, bone_features=4, hidden=8, seed=3)


def test_the_error_is_less_than_half_that_of_the_mean_age(trained: Trained) -> None:
    error = mean_absolute_error(trained.ensemble.estimate(UNSEEN_POINTS).months, UNSEEN_AGES)
    assert error < 0.5 * np.abs(UNSEEN_AGES - UNSEEN_AGES.mean()).mean()
    assert trained.metrics["val_mae"] < 0.5 * trained.metrics["val_mae_mean_age"]
    assert trained.metrics["val_r2"] > 0.7


@pytest.mark.slow
def test_the_papers_settings_come_below_a_third() -> None:
    metrics = train_bone_age(aged_data(300)).metrics
    assert metrics["val_mae"] < metrics["val_mae_mean_age"] / 3


def test_together_they_are_no_worse_than_one_by_one(trained: Trained) -> None:
    each = trained.ensemble.estimate_each(UNSEEN_POINTS)
    errors = [mean_absolute_error(one.months, UNSEEN_AGES) for one in each]
    together = trained.ensemble.estimate(UNSEEN_POINTS)
    assert len(set(errors)) == len(errors) == 3  # they are not copies
    assert mean_absolute_error(together.months, UNSEEN_AGES) <= np.mean(errors)
    np.testing.assert_allclose(together.months, np.mean([one.months for one in each], axis=0))


def test_the_most_probable_class_where_wanted(trained: Trained) -> None:
    ensemble = replace(trained.ensemble, readout="argmax")
    estimates = ensemble.estimate(UNSEEN_POINTS)
    np.testing.assert_allclose(estimates.months, ensemble.classes.centres[estimates.probabilities.argmax(axis=1)])
    assert mean_absolute_error(estimates.months, UNSEEN_AGES) < 0.6 * np.abs(UNSEEN_AGES - UNSEEN_AGES.mean()).mean()


def test_answers_with_few_landmarks_are_ages_too(trained: Trained) -> None:
    """Every third landmark lost costs little, since the others and the mean bone say where it is."""
    sparse = UNSEEN_POINTS.copy()
    sparse[:, ::3] = np.nan
    error = mean_absolute_error(trained.ensemble.estimate(sparse).months, UNSEEN_AGES)
    assert error < 0.6 * np.abs(UNSEEN_AGES - UNSEEN_AGES.mean()).mean()


def test_ages_beyond_training_end_at_its_classes(trained: Trained) -> None:
    """A three-year-old, as training had none, is answered by the youngest classes, not by any number."""
    data = aged_data(60)
    older = AgedData(PROTOCOL, tuple(image for image in data.images if image.months > 100), "mm")
    ensemble = train_bone_age(older, TINY).ensemble
    months = ensemble.estimate(UNSEEN_POINTS).months
    assert ensemble.classes.start == 96
    assert months.min() >= 96
    assert months.max() <= ensemble.classes.end
    assert trained.ensemble.classes.start <= 24


def test_the_same_seed_gives_the_same_weights() -> None:
    state = torch.random.get_rng_state()
    first, again = (train_bone_age(aged_data(30), TINY) for _ in range(2))
    other = train_bone_age(aged_data(30), TINY.model_copy(update={"seed": 4}))
    for a, b in zip(first.ensemble.networks, again.ensemble.networks, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert first.metrics == again.metrics
    assert first.metrics != other.metrics
    assert torch.equal(state, torch.random.get_rng_state())  # nobody else's random numbers change


def test_no_patient_is_on_both_sides() -> None:
    """With two patients one is held out, and both its images with it."""
    data = aged_data(40)
    images = [
        replace(image, case=Case(image.case.id, image.case.image, patient=f"P{index % 2}"))
        for index, image in enumerate(data.images)
    ]
    result = train_bone_age(replace(data, images=tuple(images)), TINY)
    assert (result.data["images"], result.data["landmark_sets"], result.metrics["val_images"]) == (20, 40, 20)
    alone = train_bone_age(data, TINY.model_copy(update={"validation": 0.0}))
    assert (alone.data["images"], alone.metrics) == (40, {"val_images": 0})


def test_shapes_of_the_parameters() -> None:
    """Of 17 bones with up to 72 landmarks and 50 classes, by hand."""
    network = BoneAgeNetwork(bones=17, coordinates=144, classes=50)
    shapes = [tuple(p.shape) for p in network.parameters()]
    block = [(17 * 32,), (17 * 32,)]  # batch norm
    assert shapes == [
        (17 * 32, 144, 1), *block, (17 * 32, 32, 1), *block, (17 * 32, 32, 1), *block,
        (64, 17 * 32), (64,), (50, 64), (50,),
    ]  # fmt: skip
    assert network.eval()(torch.zeros(2, 17, 144)).shape == (2, 50)


def test_a_bone_has_weights_of_its_own_and_is_seen_by_itself() -> None:
    """Its features change with it alone, and two equal bones give different features."""
    torch.manual_seed(0)
    network = BoneAgeNetwork(bones=3, coordinates=8, classes=4, features=5).eval()
    outlines = torch.randn(1, 1, 8).repeat(1, 3, 1)
    changed = outlines.clone()
    changed[:, 1] += 1
    before, after = (network.each_bone(x.flatten(1)[..., None]).view(3, 5) for x in (outlines, changed))
    assert (before != after).any(dim=1).tolist() == [False, True, False]
    assert not torch.equal(before[0], before[2])


@given(st.lists(st.floats(0, 240), min_size=1, max_size=20), st.sampled_from([4.0, 12.0, 2.5]))
def test_every_age_is_in_its_class(ages: list[float], months: float) -> None:
    classes = AgeClasses.learn(ages, months)
    index = classes.of(ages)
    assert set(index) >= {0, classes.number - 1}  # none at the ends is empty
    assert (np.abs(classes.centres[index] - ages) <= months / 2 + 1e-9).all()
    assert classes.of([classes.start - 50, classes.end + 50]).tolist() == [0, classes.number - 1]


def test_too_little_to_learn_from() -> None:
    data = aged_data(10)
    same = tuple(AgedImage(image.case, 50, image.true, None) for image in data.images)
    with pytest.raises(DataError, match=r"of 50 to 50 months; expected several in two or more classes of 12 months"):
        train_bone_age(replace(data, images=same), TINY)
    nothing = tuple(replace(image, true=np.full((36, 2), np.nan), predicted=None) for image in data.images)
    with pytest.raises(DataError, match="none of the 10 images with an age has landmarks of bones"):
        train_bone_age(replace(data, images=nothing), TINY)
    with pytest.raises(ConfigError, match="structures: thumb"):
        train_bone_age(data, TINY.model_copy(update={"structures": ("thumb",)}))


def test_one_image_too_many_for_a_batch() -> None:
    """Batch norm has no statistics of one sample: three are not two and one."""
    images = tuple(AgedImage(i.case, i.months, i.true, None) for i in aged_data(3).images)
    config = TINY.model_copy(update={"batch_size": 2, "validation": 0.0})
    assert train_bone_age(AgedData(PROTOCOL, images, "mm"), config).data["landmark_sets"] == 3
