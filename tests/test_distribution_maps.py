"""Maps that are distributions: trained by cross-entropy, read like heat maps, and honest about what they can't tell."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import tiny
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.trainer import train
from landmarklabel.heatmaps import decode, distribution_as_heatmaps, encode
from landmarklabel.losses import HeatmapLoss, LossConfig
from landmarklabel.losses.cross_entropy import spatial_cross_entropy
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol

SIZE = (24, 18)


def gaussians(*points: tuple[float, float], sigma: float = 1.5) -> torch.Tensor:
    """(K, H, W), each of sum 1."""
    maps = encode(torch.tensor(points, dtype=torch.float64), SIZE, sigma)
    return maps / maps.sum((-2, -1), keepdim=True)


def test_cross_entropy_is_that_of_the_distributions() -> None:
    """Against the sum over pixels, one by one."""
    logits = torch.randn(18, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = gaussians((10, 7))[0]
    shares = [math.exp(value) for value in logits.flatten().tolist()]
    expected = -sum(
        t * math.log(share / sum(shares)) for t, share in zip(target.flatten().tolist(), shares, strict=True)
    )
    assert spatial_cross_entropy(logits, 3 * target).item() == pytest.approx(expected)


def test_what_can_not_be_told_apart_is_shared_as_it_occurs() -> None:
    """One map for cases of which a quarter lie left: its minimum is a quarter and three quarters."""
    left, right = gaussians((5, 9), (18, 9))
    logits = torch.zeros(18, 24, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = 0.25 * spatial_cross_entropy(logits, left) + 0.75 * spatial_cross_entropy(logits, right)
        value.backward()
        return value

    optimizer.step(loss)
    share = logits.detach().flatten().softmax(0).view(18, 24)[:, :12].sum()
    assert share.item() == pytest.approx(0.25, abs=0.01)


def test_the_surest_distribution_is_a_heat_map_of_height_one() -> None:
    target = gaussians((10.3, 7.6), (4.8, 12.1))[None]
    maps = distribution_as_heatmaps(target.clamp(min=1e-30).log(), 1.5)
    np.testing.assert_allclose(maps.sum((-2, -1)), 2 * math.pi * 1.5**2, rtol=1e-6)
    points, confidence = decode(maps, 1.5)
    np.testing.assert_allclose(points[0], [[10.3, 7.6], [4.8, 12.1]], atol=0.05)
    assert (confidence > 0.9).all()
    unsure = distribution_as_heatmaps(torch.zeros(1, 1, 18, 24), 1.5)
    assert decode(unsure, 1.5)[1].item() < 0.05


def test_a_landmark_outside_the_map_counts_nowhere() -> None:
    """Nor does one that is missing, nor one less than half of whose Gaussian lies inside."""
    loss = HeatmapLoss(LossConfig(name="cross_entropy", sigma=1.5), (1,))
    logits = torch.randn(1, 3, 18, 24, generator=torch.Generator().manual_seed(0))
    inside = torch.tensor([[[10.0, 7.0]]])
    alone = loss([logits[:, :1]], inside)
    beside = torch.cat([inside, torch.tensor([[[math.nan, math.nan], [-2.0, 5.0]]])], dim=1)
    assert loss([logits], beside).item() == pytest.approx(alone.item())


@pytest.mark.slow
def test_training_and_prediction(tmp_path: Path, triangle: Protocol) -> None:
    """The error falls to a fifth of the first epoch's, and a prediction is what validation measured."""
    loss = {"name": "cross_entropy", "sigma": 1.5}
    errors: list[float] = []
    result = train(
        tiny.config(loss=loss, posterior={"sharpness": 1, "floor": 1e-4}),
        tiny.dataset(tmp_path / "images", triangle, 24),
        tmp_path / "run",
        quiet=True,
        on_epoch=lambda report: errors.append(report.metrics["val_mre"]),
    )
    assert result.metrics["val_mre"] == min(errors) < errors[0] / 5
    predictor = Predictor.load(result.model, "cpu")
    measured = evaluate(predictor, result.validation).summary().mre
    assert measured == pytest.approx(result.metrics["val_mre"], rel=1e-3)
    # Regions were measured on those images, and are stated accordingly.
    spread: NDArray[np.float64] = np.array(predictor.config.posterior.spread)
    assert spread.shape == (4,)
    assert (spread != 1).any()
