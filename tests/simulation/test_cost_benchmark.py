"""What the benchmark of cost simulates: every variant, and those that replay the product by its images and models."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
from cost import REPLAYED, TRAINED, settings_of

from landmarklabel.simulation.settings import VARIANTS

ARGUMENTS = Namespace(work=Path("work"), pace=(0.3, 2.0), train="auto", wait_for_training=True)


def test_every_variant_is_measured_once() -> None:
    assert sorted([*TRAINED, *REPLAYED]) == sorted(VARIANTS)


@pytest.mark.parametrize("variant", REPLAYED)
def test_a_replay_is_of_the_product_and_trains_nothing(variant: str) -> None:
    settings = settings_of("aasce", variant, ARGUMENTS)
    assert (settings.replay, settings.train, settings.habits.click_s) == ("work/aasce/product", "off", 0)


@pytest.mark.parametrize("variant", TRAINED)
def test_the_others_are_at_a_pace(variant: str) -> None:
    settings = settings_of("aasce", variant, ARGUMENTS)
    assert (settings.replay, settings.wait_for_training) == ("", True)
    assert (settings.habits.tolerance, settings.habits.look_s, settings.habits.click_s) == (20, 0.3, 2)


def test_what_replays_are_compared_with_differs_in_nothing() -> None:
    again, trusting = (settings_of("aasce", variant, ARGUMENTS) for variant in ("again", "trust-80"))
    assert VARIANTS["again"] == {}
    assert trusting.habits == again.habits.model_copy(update={"trust": 0.8})
