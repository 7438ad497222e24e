"""Losses against the papers' formulas, computed one number at a time."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.heatmaps import encode
from landmarklabel.losses import HeatmapLoss, LossConfig
from landmarklabel.losses.cross_entropy import binary_cross_entropy, spatial_cross_entropy
from landmarklabel.losses.pixelwise import adaptive_wing, exponential_weighted_center, squared_error

predictions = st.floats(-1, 2, width=32)
targets = st.floats(0, 1, width=32)


@given(predictions, targets)
def test_exponential_weighted_center(y: float, target: float) -> None:
    """FARNet, Eq. 3."""
    loss = exponential_weighted_center(torch.tensor(y), torch.tensor(target), 40.0).item()
    assert loss == pytest.approx((y - target) ** 2 * 40**target, rel=1e-4, abs=1e-7)


@given(predictions, targets)
def test_squared_error(y: float, target: float) -> None:
    assert squared_error(torch.tensor(y), torch.tensor(target)).item() == pytest.approx((y - target) ** 2, abs=1e-6)


@given(predictions, targets)
def test_adaptive_wing(y: float, target: float) -> None:
    """Wang et al., ICCV 2019, Eq. 3 and 4."""
    omega, theta, epsilon, alpha = 14.0, 0.5, 1.0, 2.1
    error, power = abs(y - target), alpha - target
    a = omega * (1 / (1 + (theta / epsilon) ** power)) * power * (theta / epsilon) ** (power - 1) / epsilon
    c = theta * a - omega * math.log(1 + (theta / epsilon) ** power)
    expected = omega * math.log(1 + (error / epsilon) ** power) if error < theta else a * error - c
    loss = adaptive_wing(torch.tensor(y, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)).item()
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(targets)
def test_adaptive_wing_has_finite_gradients_everywhere(target: float) -> None:
    predicted = torch.tensor([target, target + 0.5, target - 0.5, 3.0], requires_grad=True)
    adaptive_wing(predicted, torch.full((4,), target)).sum().backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


POINTS = torch.tensor([[[10.0, 12.0], [20.5, 8.0]], [[5.0, 5.0], [math.nan, math.nan]]])


def test_the_loss_is_summed_over_coarse_and_fine_maps() -> None:
    """Each has targets of the same sigma in its own pixels (FARNet, 3.4)."""
    config = LossConfig(name="ewc", alpha=40, sigma=2)
    outputs = [torch.zeros(2, 2, 12, 16), torch.zeros(2, 2, 24, 32)]
    total = HeatmapLoss(config, (2, 1))(outputs, POINTS)
    expected = 0.0
    for maps, stride in zip(outputs, (2, 1), strict=True):
        target = encode((POINTS + 0.5) / stride - 0.5, (maps.shape[3], maps.shape[2]), 2.0)
        weighted = target.square() * 40**target
        expected += torch.stack([weighted[0, 0], weighted[0, 1], weighted[1, 0]]).mean().item()
    assert total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["ewc", "mse", "adaptive_wing"])
def test_perfect_maps_cost_nothing(name: str) -> None:
    config = LossConfig(name=name, sigma=2)  # type: ignore[arg-type]
    maps = encode(POINTS, (32, 24), 2.0)
    assert HeatmapLoss(config, (1,))([maps], POINTS).item() == pytest.approx(0, abs=1e-6)


def test_an_absent_landmark_counts_nowhere() -> None:
    loss = HeatmapLoss(LossConfig(sigma=2), (1,))
    maps = encode(POINTS, (32, 24), 2.0)
    maps[1, 1] = 100.0
    maps.requires_grad_()
    total = loss([maps], POINTS)
    total.backward()
    assert total.item() == pytest.approx(0, abs=1e-6)
    assert maps.grad is not None
    assert maps.grad[1, 1].abs().max() == 0


def test_a_batch_without_any_landmark_costs_nothing() -> None:
    maps = torch.ones(1, 2, 8, 8, requires_grad=True)
    total = HeatmapLoss(LossConfig(sigma=2), (1,))([maps], torch.full((1, 2, 2), math.nan))
    total.backward()
    assert total.item() == 0


def test_cross_entropy_and_its_gradient() -> None:
    """Against PyTorch's own, also for logits that are certain; and the gradient against differences."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.double) * 30
    target = torch.rand(2, 3, 5, 6, generator=generator, dtype=torch.double)
    expected = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(-2, -1))
    assert torch.allclose(binary_cross_entropy(logits, target), expected, rtol=1e-8)
    small = (logits / 30).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: binary_cross_entropy(x, target), small)


def test_cross_entropy_over_places_and_its_gradient() -> None:
    """Against PyTorch's own, also for logits that are certain; and the gradient against differences."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.double) * 300
    target = torch.rand(2, 3, 5, 6, generator=generator, dtype=torch.double)
    share = target / target.sum(dim=(-2, -1), keepdim=True)
    expected = F.cross_entropy(logits.flatten(0, 1).flatten(1), share.flatten(0, 1).flatten(1), reduction="none")
    assert torch.allclose(spatial_cross_entropy(logits, target).flatten(), expected, rtol=1e-8)
    small = (logits / 300).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spatial_cross_entropy(x, target), small)
    assert torch.equal(spatial_cross_entropy(logits, torch.zeros_like(target)), torch.zeros(2, 3).double())


@pytest.mark.parametrize("name", ["ewc", "mse", "adaptive_wing", "bce", "cross_entropy"])
def test_how_maps_lie_in_memory_does_not_matter(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    maps, points = torch.randn(2, 3, 16, 24, generator=generator), torch.rand(2, 3, 2, generator=generator) * 16
    loss = HeatmapLoss(LossConfig.model_validate({"name": name, "sigma": 3}), (1,))
    seen = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given = maps.clone(memory_format=memory_format).requires_grad_()
        value = loss([given], points)
        value.backward()
        assert given.grad is not None
        seen.append((value.detach(), given.grad))
    torch.testing.assert_close(seen[0], seen[1])
