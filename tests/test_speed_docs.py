"""What docs/speed.md says works: its command, on a sample model; and what is chosen then answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landmarklabel.backends import ExportRecord
from landmarklabel.phantoms import generate
from landmarklabel.predictor import Predictor
from landmarklabel.resources import resource

PAGE = resource("sample_data").parent / "docs" / "speed.md"


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    shutil.copytree(resource("sample_data") / "models" / "spine_68", tmp_path / "models" / "spine_68")
    [command] = re.findall(r"^```sh\nlandmarklabel (.*?)\n```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    run = [sys.executable, "-m", "landmarklabel.cli", *command.split()]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    record = ExportRecord.model_validate_json((tmp_path / "models/spine_68/landmarks.backend.json").read_bytes())
    assert str(record.backend) in done.stdout
    assert record.figures[str(record.backend)].equal
    points = []
    for precision in ("exported", "fp32"):
        predictor = Predictor.load(tmp_path / "models/spine_68/landmarks.safetensors", "cpu", precision=precision)
        predictor.set_image(generate("spine_68", 77)[0])
        points.append(predictor.predict().landmarks.points)
    assert np.median(np.linalg.norm(points[0] - points[1], axis=1)) < 0.1
