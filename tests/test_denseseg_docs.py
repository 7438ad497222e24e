"""What docs/denseseg.md says works: its commands and its Python, in their order, on spines that it makes itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landmarklabel.engine.config import available_experiments, load_experiment
from landmarklabel.io.dataset import read_dataset
from landmarklabel.markups import read_named_points
from landmarklabel.protocol import load_protocol
from landmarklabel.resources import resource

PAGE = resource("sample_data").parent / "docs" / "denseseg.md"


def blocks(*languages: str) -> list[str]:
    """Code blocks of these languages, in order."""
    kinds = "|".join(languages)
    return re.findall(rf"^```(?:{kinds})\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_what_is_named_exists() -> None:
    text = PAGE.read_text()
    named = set(re.findall(r"`((?:denseseg|heatreg)\w*)`", text))
    models = {path.stem for path in (resource("configs") / "models").glob("*.yaml")}
    assert named <= models | set(available_experiments())
    settings = dict(re.findall(r"--set '?((?:network|dense)\.\w+)=([^'`]+)'?`", text))
    assert len(settings) == 4
    for key, value in settings.items():
        load_experiment("denseseg_light", {key: json.loads(value) if value in ("false", "0") else _listed(value)})
    [markups] = blocks("json")
    assert json.loads(markups)["markups"][0]["type"] == "Fiducial"


def _listed(value: str) -> str | list[str]:
    return value.strip("[]").split(", ") if value.startswith("[") else value


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    [markups] = blocks("json")
    (tmp_path / "new.mrk.json").write_text(markups)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    for block in blocks("sh"):
        done = subprocess.run(
            ["bash", "-eu", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stderr[-2000:]}"
    code = "\n".join(
        [*blocks("python"), "print(landmarks.points.shape, structures.masks.shape, maps.shape, points.shape)"]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "(68, 2) (17, 224, 96) (17, 2, 224, 96) (1, 2)", done.stderr[-2000:]

    figures = json.loads((tmp_path / "runs" / "spine" / "evaluation.json").read_text())
    assert (figures["structures"]["images"], figures["structures"]["unit"]) == (8, "mm")
    assert set(figures["structures"]["structures"]["L1"]) == {"dsc", "asd", "assd", "hd95", "tre", "missed", "spurious"}
    assert len(list((tmp_path / "predictions").glob("*.seg.nrrd"))) == 8
    assert len(list((tmp_path / "carried").iterdir())) == 7
    assert (tmp_path / "searches" / "spine" / "pareto.png").exists()
    # The point of the page is where it says: in the middle of the first lumbar vertebra.
    case = read_dataset(f"studies:{tmp_path / 'studies' / 'spine'}", "spine_68").cases[0]
    radiograph = case.radiograph()
    assert case.points is not None
    corners = case.points[load_protocol("spine_68").indices("L1")]
    placed = read_named_points(tmp_path / "new.mrk.json", radiograph.geometry)["L1-C"]
    assert np.linalg.norm(np.array(placed) - corners.mean(axis=0)) < 2
