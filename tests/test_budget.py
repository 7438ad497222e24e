"""Runs that the clock ends: whole, validated, and with a learning rate that has fallen by then."""

import json
from pathlib import Path

import pytest

import tiny
from landmarklabel.engine.budget import Budget
from landmarklabel.engine.report import EpochReport
from landmarklabel.engine.trainer import train
from landmarklabel.modelfile import load_model
from landmarklabel.protocol import Protocol


def test_without_a_bound_epochs_decide() -> None:
    budget = Budget()
    budget.begin()
    budget.note_validation(1e6)
    assert (budget.spent, budget.is_over, budget.left, budget.allows_validation) == (0, False, float("inf"), True)
    assert budget.epochs_done(3, 10) == 3


def test_what_is_further_decides() -> None:
    budget = Budget(1e-9)
    budget.begin()
    while not budget.is_over:  # until the clock has ticked
        pass
    assert (budget.spent, budget.left) == (1, 0)
    assert budget.epochs_done(3, 10) == 10
    assert Budget(1e9).epochs_done(3, 10) == 3


def test_a_validation_waits_until_it_is_a_small_part() -> None:
    budget = Budget(1e9)
    budget.begin()
    assert budget.allows_validation
    budget.note_validation(1e6)
    assert not budget.allows_validation


@pytest.mark.slow
def test_a_run_that_the_clock_ends_is_a_whole_one(tmp_path: Path, triangle: Protocol) -> None:
    reports: list[EpochReport] = []
    data = tiny.dataset(tmp_path / "images", triangle, 12)
    config = tiny.config(epochs=100_000)
    out = tmp_path / "run"
    result = train(config, data, out, device="cpu", quiet=True, seconds=2.0, on_epoch=reports.append)
    assert 1 <= result.epochs < 100_000
    assert result.model.is_file()
    load_model(result.model)
    epochs = json.loads((out / "metrics.json").read_text())["epochs"]
    assert "val_mre" in epochs[-1]
    assert epochs[0]["learning_rate"] == pytest.approx(0.01)
    assert epochs[-1]["learning_rate"] < epochs[0]["learning_rate"] or len(epochs) == 1
    assert reports[-1].time_left == 0
    assert [report.time_left for report in reports] == sorted((r.time_left for r in reports), reverse=True)
