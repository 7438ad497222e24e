"""What can be simulated, and what is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from landmarklabel.errors import ConfigError
from landmarklabel.simulation.settings import VARIANTS, Habits, Settings, as_variant, training_counts

SETTINGS = Settings(
    habits=Habits(tolerance=2, noise=0.5, order="random"), train="at:10,20", server=("--trust", "0.9"), seed=3
)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("at:10,20", (10, 20)), ("at:5", (5,)), ("at:", None), ("at:20,10", None), ("at:0", None), ("at:5,5", None),
        ("at:5,", None), ("at:-5", None), ("10,20", None), ("off", None), ("at:1e3", None),
    ],
)  # fmt: skip
def test_label_counts(text: str, counts: tuple[int, ...] | None) -> None:
    assert training_counts(text) == counts


@pytest.mark.parametrize("train", ["at:20,10", "sometimes", ""])
def test_a_policy_that_there_is_not(train: str) -> None:
    with pytest.raises(ValidationError, match="is not auto, off, or at: and rising label counts"):
        Settings(habits=Habits(tolerance=2), train=train)


def test_a_strategy_that_there_is_not() -> None:
    with pytest.raises(ValidationError, match="there is no strategy 'mxied'; there are mixed, uncertain, diverse, "):
        Settings(habits=Habits(tolerance=2), strategy="mxied")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_what_it_says_and_nothing_else(name: str) -> None:
    before, after = SETTINGS.model_dump(), as_variant(SETTINGS, name).model_dump()
    changes = {**VARIANTS[name], "habits": {**before["habits"], **VARIANTS[name].get("habits", {})}}
    assert after == {**before, **changes, "server": (*before["server"], *VARIANTS[name].get("server", ()))}


def test_a_variant_that_there_is_not() -> None:
    with pytest.raises(
        ConfigError, match="--variant magic: there is none of that name; there are product, again, by-hand"
    ):
        as_variant(SETTINGS, "magic")


REPLAY = SETTINGS.model_copy(update={"train": "off", "replay": "runs/product"})


@pytest.mark.parametrize(
    ("name", "what"),
    [("prior-only", "train"), ("shape-alone", "train"), ("train-once", "train"), ("random-strategy", "strategy")],
)
def test_a_variant_that_a_replay_would_leave_out(name: str, what: str) -> None:
    said = f"--variant {name} changes {what}, which a replay takes from the other simulation; run it without --replay"
    with pytest.raises(ConfigError, match=said):
        as_variant(REPLAY, name)


@pytest.mark.parametrize("name", ["product", "by-hand", "network-only", "no-templates", "trust"])
def test_a_variant_that_can_be_replayed(name: str) -> None:
    assert as_variant(REPLAY, name).replay == REPLAY.replay


@pytest.mark.parametrize(
    "changed", [{"strategy": "random"}, {"wait_for_training": True}, {"experiment": {"method": "fpn"}}]
)
def test_what_a_replay_would_ignore_is_refused(changed: dict[str, Any]) -> None:
    plain = {"habits": SETTINGS.habits, "train": "off", "replay": "runs/product"}
    assert Settings(**plain).strategy == "mixed"
    with pytest.raises(ValueError, match=f"without a replay, {next(iter(changed))} can be chosen"):
        Settings(**plain, **changed)
