"""The example of docs/measurements.md works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from landmarklabel.measurements.definition import MeasurementDefinition
from landmarklabel.protocol import load_protocol
from landmarklabel.resources import resource

PAGE = (resource("sample_data").parent / "docs" / "measurements.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example(tmp_path: Path) -> None:
    (tmp_path / "knee_4.yaml").write_text(block("yaml"))
    command = [sys.executable, "-c", block("python")]
    result = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines == ["medial_gap: 10.01 mm", "lateral_gap: 7.21 mm", "gaps: 1.39", "opening: 3.95 deg open"]


def test_every_kind_and_every_analysis_is_on_the_page() -> None:
    kinds = [name for name, field in MeasurementDefinition.model_fields.items() if field.default is None]
    for name in set(kinds) - {"norm"}:
        assert f"`{name}`" in PAGE
    for definition in load_protocol("cephalometric_19").measurements:
        for analysis in definition.analyses:
            assert f"| {analysis} |" in PAGE
