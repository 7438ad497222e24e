"""Clicks of a simulated reader while an interactive network learns (interactive keypoints, Section 2.1)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..heatmaps import DecoderConfig, decode, from_map
from ..networks import InteractiveNetwork

#: How many landmarks are clicked at first: 1/8 none, 1/2 one, 1/4 two, then 1/16, halving to 1/4096 at 11 and at 12.
NUMBER_OF_CLICKS = (1 / 8, 1 / 2, 1 / 4, *(2.0**-power for power in range(4, 13)), 2.0**-12)


class ClickTrainingConfig(BaseModel):
    """What an interactive network is shown while it learns; other networks are shown no clicks.

    Attributes:
        rounds: at most how many passes without gradient come before a step, each of which adds the worst landmark as
            a click; drawn from 0 to this.
        noise: standard deviation of the clicks, in pixels of the input.
        previous: whose maps of the last pass are seen: those of ``all`` landmarks as published, or of the ``modified``
            ones alone, as in a prediction. Nobody's where the network itself has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rounds: int = Field(2, ge=0)
    noise: float = Field(0.0, ge=0)
    previous: Literal["all", "modified"] = "all"


class TrainingClicks:
    """Draws clicks for a batch, and lets the network go first.

    Args:
        config: of the clicks.
        sigma: of the maps, in their pixels.
        decoder: how landmarks are read off, to find the worst.
    """

    def __init__(self, config: ClickTrainingConfig, sigma: float, decoder: DecoderConfig) -> None:
        self.config, self._sigma, self._decoder = config, sigma, decoder

    def __call__(
        self,
        network: InteractiveNetwork,
        inputs: torch.Tensor,
        points: torch.Tensor,
        unit: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Clicks (B, K, 2), NaN where there is none, and the previous maps (B, K, H, W), None if there are none.

        Args:
            network: is in training mode afterwards.
            inputs: images (B, 3, H, W) as the network takes them.
            points: true (B, K, 2) in pixels of the input. One that is absent or outside is never clicked.
            unit: (B, 2), mm of such a pixel.
            generator: on the CPU, so that the same seed gives the same clicks on every device.
        """
        true = visible_points(points, (inputs.shape[-1], inputs.shape[-2]))
        noise = torch.randn(points.shape, generator=generator).to(points) * self.config.noise
        clicked = draw_clicked(torch.isfinite(true[..., 0]).cpu(), generator).to(points.device)
        rounds = int(torch.randint(self.config.rounds + 1, (), generator=generator))
        clicks, previous = _only(true + noise, clicked), None
        for _ in range(rounds):
            maps = self._maps(network, inputs, clicks, previous)
            worst = self._worst(maps, true, unit, clicked, network.strides[-1])
            clicked = clicked | worst
            clicks, previous = _only(true + noise, clicked), self._shown(maps, clicked, network)
        network.train()
        return clicks, previous

    @staticmethod
    @torch.no_grad()
    def _maps(
        network: InteractiveNetwork, inputs: torch.Tensor, clicks: torch.Tensor, previous: torch.Tensor | None
    ) -> torch.Tensor:
        return network.eval()(inputs, clicks, previous)[-1]

    def _worst(
        self, maps: torch.Tensor, true: torch.Tensor, unit: torch.Tensor, clicked: torch.Tensor, stride: int
    ) -> torch.Tensor:
        """Which landmark (B, K) of each image is farthest off; none where all that are there are clicked."""
        found = from_map(decode(maps, self._sigma, self._decoder)[0], stride)
        errors = ((found - true) * unit[:, None]).norm(dim=-1)
        errors = torch.where(clicked | errors.isnan(), -1.0, errors)
        farthest = torch.zeros_like(clicked).scatter(1, errors.argmax(dim=1, keepdim=True), True)
        return farthest & (errors >= 0)

    def _shown(self, maps: torch.Tensor, clicked: torch.Tensor, network: InteractiveNetwork) -> torch.Tensor | None:
        if not network.sees_previous:
            return None
        return maps if self.config.previous == "all" else maps * clicked[..., None, None]


def visible_points(points: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The points (B, K, 2), in pixels, that lie within an image of ``size`` (W, H); NaN for the others."""
    limit = points.new_tensor(size) - 0.5
    inside = ((points >= -0.5) & (points <= limit)).all(dim=-1)
    return torch.where(inside[..., None], points, torch.nan)


def draw_clicked(visible: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Which landmarks (B, K) a reader has clicked: a number by :data:`NUMBER_OF_CLICKS`, any of those that are visible.

    Numbers above that of the landmarks are never drawn; no more are clicked than are visible.
    """
    batch, landmarks = visible.shape
    chances = torch.tensor(NUMBER_OF_CLICKS[: landmarks + 1])
    number = torch.multinomial(chances, batch, replacement=True, generator=generator)
    order = torch.rand(batch, landmarks, generator=generator).masked_fill(~visible, 2.0)
    rank = order.argsort(dim=1).argsort(dim=1)
    return (rank < number[:, None]) & visible


def _only(points: torch.Tensor, clicked: torch.Tensor) -> torch.Tensor:
    return torch.where(clicked[..., None], points, torch.nan)
