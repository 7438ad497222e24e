"""What docs/bone-age.md says works: its commands on a made-up data set, its settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from layout_folders import plausible_points, write_outlines

from landmarklabel.boneage import BoneAgeConfig, load_bone_age
from landmarklabel.landmarks import LandmarkSet
from landmarklabel.markups import write_markups
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Geometry

ROOT = Path(__file__).parents[2]
SIZE = (240, 320)


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "bone-age.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_settings_are_the_defaults() -> None:
    [block] = blocks("yaml")
    assert BoneAgeConfig.model_validate(yaml.safe_load(block)) == BoneAgeConfig()
    assert set(yaml.safe_load(block)) == set(BoneAgeConfig.model_fields)


@pytest.mark.slow
def test_the_commands_work(tmp_path: Path) -> None:
    """On ten wrists of 720 landmarks, in the layout of GRAZPEDWRI-DX; two of them have an age, as the page has it."""
    rng = np.random.default_rng(0)
    wrist = load_protocol("wrist_720")
    points = {
        f"{patient:04d}_{timestamp:04d}": plausible_points("wrist_720", SIZE) + rng.normal(0, 0.3, (720, 2))
        for patient, timestamp in [(1, 345), (2, 117), *((n, 1) for n in range(3, 11))]
    }
    write_outlines(tmp_path / "data" / "graz", points, SIZE)
    (tmp_path / "predictions").mkdir()
    for name, predicted in points.items():
        landmarks = LandmarkSet.from_points(wrist, predicted + 0.2)
        write_markups(landmarks, Geometry(SIZE), tmp_path / "predictions" / f"{name}.mrk.json")
    [ages] = blocks("text")
    others = "".join(f"{name},{80 + 5 * n}\n" for n, name in enumerate(list(points)[2:]))
    (tmp_path / "ages.csv").write_text(ages + others)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks("sh"):
        done = subprocess.run(
            ["bash", "-eu", "-c", block], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert load_bone_age(tmp_path / "age.safetensors").header.unit == "px"
    assert len((tmp_path / "estimated.csv").read_text().splitlines()) == 1 + len(points)
