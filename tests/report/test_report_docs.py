"""What docs/report.md says works: its commands and its Python, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from landmarklabel.engine.measuring_report import COLUMNS
from landmarklabel.resources import resource

PAGE = resource("sample_data").parent / "docs" / "report.md"


def blocks(language: str) -> list[str]:
    """Code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_columns_that_are_named_exist() -> None:
    paragraph = PAGE.read_text().split("## Tables")[1].split("In Python")[0]
    assert {"reason", "improve", "value"} <= set(re.findall(r"`(\w+)`", paragraph)) & set(COLUMNS)
    named = set(re.findall(r"`(\w+)`", paragraph.split("What nobody knows")[0]))
    assert named <= set(COLUMNS)


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    for command in (*([*("bash", "-eu", "-c"), block] for block in blocks("sh")),
                    [sys.executable, "-c", *blocks("python")]):  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command[-1]}\n{done.stderr[-2000:]}"
    assert len((tmp_path / "measured.csv").read_text().splitlines()) > 90
    assert len(list((tmp_path / "reports").glob("*.pdf"))) == 3
    for page in tmp_path.glob("*.html"):
        assert page.read_bytes() == (tmp_path / "reports" / f"{page.stem}.report.html").read_bytes()
