"""Training the ensemble: the same seed and data give the same weights, on the processor, in a minute or so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..errors import DataError
from ..io.splits import hold_out
from ..landmarks import Points
from .bones import Bones, BoneShapes
from .config import BoneAgeConfig
from .data import AgedData, AgedImage
from .ensemble import AgeClasses, BoneAgeEnsemble
from .metrics import mean_absolute_error, r_squared
from .network import BoneAgeNetwork


class Trained(NamedTuple):
    """What a training gives.

    Attributes:
        ensemble: ready to answer.
        metrics: on the held-out patients, in months: MAE and R^2 of the ensemble, the mean MAE of its members, and
            the MAE of always saying the training images' mean age; without any, the number of images alone.
        data: what it was trained on: numbers of images and landmark sets, range of ages.
    """

    ensemble: BoneAgeEnsemble
    metrics: dict[str, Any]
    data: dict[str, Any]


def train_bone_age(
    data: AgedData, config: BoneAgeConfig | None = None, progress: Callable[[], object] | None = None
) -> Trained:
    """Train an ensemble on images with ages; predicted and true landmarks of an image both count.

    Args:
        progress: called after each epoch of each member.

    Raises:
        ConfigError: the protocol has no such bones.
        DataError: there are too few images, or all ages fall into one class.
    """
    config = config or BoneAgeConfig()
    bones = Bones.of(data.protocol, config.structures)
    images = _with_bones(data.images, bones)
    training, held_out = _split(images, config)
    points, months = _samples(training)
    classes = AgeClasses.learn(months, config.class_months)
    if len(training) < 2 or classes.number < 2:
        raise DataError(
            f"{len(training)} images to train on, of {months.min():g} to {months.max():g} months; expected several "
            f"in two or more classes of {config.class_months:g} months"
        )
    shapes = BoneShapes.learn(points, bones)
    inputs, targets = torch.from_numpy(shapes.inputs(points)), torch.from_numpy(classes.of(months))
    networks = [
        _train_member(inputs, targets, classes.number, config, config.seed + member, progress or (lambda: None))
        for member in range(config.members)
    ]
    ensemble = BoneAgeEnsemble(networks, shapes, classes, config.readout)
    summary = {
        "images": len(training),
        "landmark_sets": len(points),
        "youngest_months": float(months.min()),
        "oldest_months": float(months.max()),
    }
    return Trained(ensemble, _measure(ensemble, held_out, float(np.mean([i.months for i in training]))), summary)


def _with_bones(images: Sequence[AgedImage], bones: Bones) -> list[AgedImage]:
    """The images with their landmark sets of which some bone has two landmarks: one alone has no shape."""

    def usable(points: Points | None) -> Points | None:
        if points is None or np.isfinite(bones.gather(points[None])).all(axis=-1).sum(axis=-1).max() < 2:
            return None
        return points

    kept = [AgedImage(image.case, image.months, usable(image.true), usable(image.predicted)) for image in images]
    kept = [image for image in kept if image.sources]
    if not kept:
        raise DataError(f"none of the {len(images)} images with an age has landmarks of bones")
    return kept


def _split(images: Sequence[AgedImage], config: BoneAgeConfig) -> tuple[list[AgedImage], list[AgedImage]]:
    """Training and held-out images, by patient."""
    if not config.validation:
        return list(images), []
    kept, _ = hold_out([image.case for image in images], config.validation, config.seed)
    ids = {case.id for case in kept}
    return [i for i in images if i.case.id in ids], [i for i in images if i.case.id not in ids]


def _samples(images: Sequence[AgedImage]) -> tuple[Points, NDArray[np.float64]]:
    """Landmarks (N, K, 2) and ages (N,), predicted and true landmarks of an image one after the other."""
    pairs = [(points, image.months) for image in images for points in image.sources]
    return np.stack([points for points, _ in pairs]), np.array([months for _, months in pairs])


def _train_member(
    inputs: torch.Tensor,
    targets: torch.Tensor,
    classes: int,
    config: BoneAgeConfig,
    seed: int,
    progress: Callable[[], object],
) -> BoneAgeNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BoneAgeNetwork(inputs.shape[1], inputs.shape[2], classes, config.bone_features, config.hidden)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    # Equal parts, none of one sample, of which batch norm has no statistics.
    batches = max(1, len(inputs) // config.batch_size)
    for _ in range(config.epochs):
        for batch in torch.randperm(len(inputs), generator=order).tensor_split(batches):
            optimizer.zero_grad()
            F.cross_entropy(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        progress()
    return network.eval()


def _measure(ensemble: BoneAgeEnsemble, images: Sequence[AgedImage], mean_age: float) -> dict[str, Any]:
    if not images:
        return {"val_images": 0}
    true = np.array([image.months for image in images])
    points = np.stack([image.tested for image in images])
    months = ensemble.estimate(points).months
    members = [mean_absolute_error(each.months, true) for each in ensemble.estimate_each(points)]
    return {
        "val_images": len(images),
        "val_mae": mean_absolute_error(months, true),
        "val_r2": _or_none(r_squared(months, true)),
        "val_mae_members": float(np.mean(members)),
        "val_mae_mean_age": mean_absolute_error(np.full_like(true, mean_age), true),
    }


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if np.isfinite(value) else None
