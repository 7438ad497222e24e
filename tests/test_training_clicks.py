"""Clicks in training: how many, on which landmarks, and what the network is shown of its own maps."""

import math
from typing import Literal

import pytest
import torch

from landmarklabel.engine.clicks import NUMBER_OF_CLICKS, ClickTrainingConfig, TrainingClicks, draw_clicked
from landmarklabel.heatmaps import DecoderConfig, encode
from landmarklabel.networks import InteractiveNetwork

SIZE = (96, 64)
SIGMA = 4.0


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_numbers_of_clicks_are_as_published() -> None:
    """1/8, 1/2, 1/4, 1/16 and so on, to three standard errors of 40,000 draws; they sum to 1."""
    assert sum(NUMBER_OF_CLICKS) == 1
    assert (NUMBER_OF_CLICKS[3], NUMBER_OF_CLICKS[11], NUMBER_OF_CLICKS[12]) == (1 / 16, 1 / 4096, 1 / 4096)
    draws = 40_000
    counts = draw_clicked(torch.ones(draws, 68, dtype=torch.bool), seeded()).sum(dim=1).bincount(minlength=13)
    for count, chance in zip(counts.tolist(), NUMBER_OF_CLICKS, strict=True):
        assert abs(count - draws * chance) < 3 * math.sqrt(draws * chance)


def test_any_visible_landmark_is_clicked_as_often_as_another() -> None:
    visible = torch.tensor([True, True, False, True, True]).expand(20_000, -1)
    clicked = draw_clicked(visible, seeded())
    assert clicked[:, 2].sum() == 0
    often = clicked.float().mean(dim=0)[[0, 1, 3, 4]]
    assert (often / often.mean() - 1).abs().max() < 0.05


def test_no_more_clicks_than_landmarks() -> None:
    """Of 13 landmarks or of 2; and of an image without any."""
    assert draw_clicked(torch.ones(5000, 2, dtype=torch.bool), seeded()).sum(dim=1).max() == 2
    assert not draw_clicked(torch.zeros(50, 4, dtype=torch.bool), seeded()).any()


class Recorder(InteractiveNetwork):
    """Sees landmarks at given points, whatever is clicked; remembers what it was shown."""

    def __init__(self, sees: torch.Tensor, sees_previous: bool = True) -> None:
        torch.nn.Module.__init__(self)
        self.maps, self.sees_previous = encode(sees, SIZE, SIGMA), sees_previous
        self.shown: list[tuple[torch.Tensor, torch.Tensor | None]] = []

    def forward(
        self, images: torch.Tensor, clicks: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert clicks is not None
        self.shown.append((clicks, previous))
        return [self.maps]


POINTS = torch.tensor([[20.0, 20.0], [60.0, 20.0], [60.0, 50.0], [30.0, 40.0], [math.nan, math.nan], [10.0, -30.0]])


def run(
    network: Recorder, seed: int, unit: tuple[float, float] = (1.0, 1.0), **changes: object
) -> tuple[torch.Tensor, torch.Tensor | None]:
    clicks = TrainingClicks(ClickTrainingConfig.model_validate(changes), SIGMA, DecoderConfig())
    return clicks(network, torch.zeros(1, 3, *SIZE[::-1]), POINTS[None], torch.tensor([unit]), seeded(seed))


def with_rounds(passes: int, **changes: object) -> tuple[Recorder, torch.Tensor, torch.Tensor | None]:
    """A run of so many passes that began without a click."""
    seen = torch.tensor([[[22.0, 20.0], [60.0, 29.0], [66.0, 50.0], [30.0, 40.0], [5.0, 5.0], [5.0, 5.0]]])
    for seed in range(500):
        network = Recorder(seen).train()
        clicks, previous = run(network, seed, **changes)  # type: ignore[arg-type]
        first = network.shown[0][0] if network.shown else clicks
        if len(network.shown) == passes and first.isnan().all():
            return network, clicks, previous
    raise AssertionError("no seed draws that")


def test_each_round_clicks_the_landmark_that_is_worst() -> None:
    """Number 1 is 9 px off, number 2 6 px; the absent one and the one outside never count."""
    network, clicks, previous = with_rounds(2)
    assert network.training
    first, second = network.shown
    assert torch.isfinite(second[0][0, :, 0]).tolist() == [False, True, False, False, False, False]
    assert torch.isfinite(clicks[0, :, 0]).tolist() == [False, True, True, False, False, False]
    assert torch.equal(clicks[0, 1:3], POINTS[1:3])
    assert first[1] is None
    assert second[1] is network.maps
    assert previous is network.maps


def test_the_worst_is_so_in_millimetres() -> None:
    _, clicks, _ = with_rounds(1, unit=(2.0, 1.0))
    assert torch.isfinite(clicks[0, :, 0]).nonzero().flatten().tolist() == [2]


def test_no_round_no_pass() -> None:
    network, _, previous = with_rounds(0, rounds=0)
    assert network.shown == []
    assert previous is None


@pytest.mark.parametrize("whose", ["all", "modified"])
def test_whose_previous_maps_are_shown(whose: Literal["all", "modified"]) -> None:
    network, clicks, previous = with_rounds(1, previous=whose)
    assert previous is not None
    there = previous.amax(dim=(2, 3))[0] > 0
    clicked = torch.isfinite(clicks[0, :, 0])
    assert there.tolist() == ([True] * 6 if whose == "all" else clicked.tolist())
    assert torch.equal(previous[0, clicked], network.maps[0, clicked])


def test_a_network_without_inputs_for_previous_maps_is_shown_none() -> None:
    for seed in range(6):
        network = Recorder(torch.zeros(1, 6, 2), sees_previous=False)
        assert run(network, seed)[1] is None


def test_noise_of_clicks() -> None:
    """Of the standard deviation that was asked for, the same click in every round."""
    offsets = []
    for seed in range(400):
        network = Recorder(torch.zeros(1, 6, 2))
        clicks, _ = run(network, seed, noise=2.0)
        offsets.append((clicks[0] - POINTS)[torch.isfinite(clicks[0, :, 0])].flatten())
        for earlier, _ in network.shown:
            kept = torch.isfinite(earlier)
            assert torch.equal(earlier[kept], clicks[kept])
    assert torch.cat(offsets).std().item() == pytest.approx(2.0, rel=0.1)


def test_the_same_seed_gives_the_same_clicks() -> None:
    network = Recorder(torch.zeros(1, 6, 2))
    runs = [run(network, seed, noise=1.0)[0] for seed in (5, 5, 6)]
    assert torch.equal(runs[0].nan_to_num(-1), runs[1].nan_to_num(-1))
    assert not torch.equal(runs[0].nan_to_num(-1), runs[2].nan_to_num(-1))
