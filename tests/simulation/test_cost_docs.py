"""The commands of docs/cost.md work as they stand, and its pictures are drawn from the figures that are kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import blocks, works

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_page_on_cost(tmp_path: Path) -> None:
    (script,) = blocks("docs/cost.md")
    told = works(script, tmp_path)
    assert "8 images of spine_68 labelled with" in told
    assert "| the shape of labels |" in told
    assert {path.name for path in (tmp_path / "cost").iterdir()} >= {"report.json", "report.png", "log.jsonl"}


def test_every_option_of_the_page_is_one_of_the_command() -> None:
    page = (ROOT / "docs" / "cost.md").read_text()
    options = {
        name for row in re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE) for name in re.findall(r"--[\w-]+", row)
    }
    command = [sys.executable, "-m", "landmarklabel.cli", "simulate", "--help"]
    known = subprocess.run(
        command, capture_output=True, text=True, env={"COLUMNS": "200", "PYTHONPATH": str(ROOT / "lib")}
    )
    assert options
    assert options <= set(re.findall(r"--[\w-]+", known.stdout))
