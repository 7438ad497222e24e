"""A finger whose age is in its shape: three outlines of a known relation to age, with noise.

The epiphysis is 0.4 + 0.6 (age / 192 months) times as wide as the shaft, whatever the size of the child; a carpal bone
is not there before 60 months.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmarklabel.boneage import (
    AgedData,
    AgedImage,
    BoneAgeConfig,
    mean_absolute_error,
    r_squared,
    train_bone_age,
)
from landmarklabel.io.cases import Case
from landmarklabel.io.writing import write_nrrd
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import write_markups
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph

Points = NDArray[np.float64]

YOUNGEST, OLDEST = 24.0, 192.0
SIZE = (160, 220)
SPACING = (0.5, 0.5)
_COUNTS = {"shaft": 16, "epiphysis": 12, "carpal": 8}

PROTOCOL = Protocol.model_validate(
    {
        "name": "finger",
        "title": "A finger",
        "landmarks": [
            {"contour": name, "count": count, "label": f"{name}{{index:02d}}", "name": f"{name} {{index}}"}
            for name, count in _COUNTS.items()
        ],
    }
)

#: Learns these bones in some seconds, whatever the seed and the processor: at a higher rate some end much worse.
QUICK = BoneAgeConfig(members=3, epochs=80, class_months=12)


def width_ratio(months: float) -> float:
    """Width of the epiphysis by that of the shaft."""
    return 0.4 + 0.6 * months / OLDEST


def finger(months: float, rng: np.random.Generator, noise: float = 0.3) -> Points:
    """Landmarks (36, 2) in mm, (x, y); each is off by a deviation of ``noise`` mm."""
    size = rng.normal(1, 0.1)
    bones = [
        _ellipse(_COUNTS["shaft"], (40, 70), (10 * size, 25 * size)),
        _ellipse(_COUNTS["epiphysis"], (40, 35), (10 * size * width_ratio(months), 4 * size)),
        _ellipse(_COUNTS["carpal"], (40, 20), (6 * size, 5 * size)),
    ]
    if months < 60:
        bones[2][:] = np.nan
    points = np.concatenate(bones) + rng.uniform(-4, 4, 2)
    return points + rng.normal(0, noise, points.shape)


def _ellipse(count: int, centre: tuple[float, float], radii: tuple[float, float]) -> Points:
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + centre


def children(number: int, seed: int = 0) -> list[tuple[str, float, Points]]:
    """Id, age in months, and landmarks in mm."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(YOUNGEST, OLDEST, number)
    return [(f"child{seed}_{index:03d}", float(age), finger(age, rng)) for index, age in enumerate(ages)]


def aged_data(number: int, seed: int = 0) -> AgedData:
    """Such children in mm, each with a predicted and a true set; without files."""
    rng = np.random.default_rng(seed + 1000)
    images = [
        AgedImage(Case(name, Path(name), patient=name), months, points, points + rng.normal(0, 0.2, points.shape))
        for name, months, points in children(number, seed)
    ]
    return AgedData(PROTOCOL, tuple(images), "mm")


def write_studies(folder: Path, group: Sequence[tuple[str, float, Points]], known_spacing: bool = True) -> Path:
    """Black images of 0.5 mm a pixel, or of none that is known, with final labels, and ``ages.csv`` beside."""
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    radiograph = Radiograph.from_array(np.zeros(SIZE[::-1], dtype=np.uint8), SPACING if known_spacing else None)
    rows = ["id,age_months"]
    for name, months, points in group:
        write_nrrd(radiograph, folder / f"{name}.nrrd")
        write_label(labels / f"{name}.mrk.json", points, radiograph)
        rows.append(f"{name},{months:.1f}")
    (folder.parent / f"{folder.name}.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_label(path: Path, points: Points, radiograph: Radiograph) -> None:
    """Landmarks in mm of the finger, as a label of an image of 0.5 mm a pixel."""
    landmarks = LandmarkSet.from_points(PROTOCOL, points / SPACING, Status.CONFIRMED)
    write_markups(landmarks, radiograph.geometry, path)


def _table() -> None:
    """The figures of docs/bone-age.md: ``python tests/boneage/synthetic_bones.py``."""
    ensemble = train_bone_age(aged_data(300)).ensemble
    group = children(500, seed=9)
    points, true = np.stack([points for _, _, points in group]), np.array([months for _, months, _ in group])
    for readout in ("expectation", "argmax"):
        chosen = replace(ensemble, readout=readout)
        months = chosen.estimate(points).months
        each = np.mean([mean_absolute_error(one.months, true) for one in chosen.estimate_each(points)])
        figures = f"MAE {mean_absolute_error(months, true):.1f}, R^2 {r_squared(months, true):.3f}"
        print(f"{readout}: {figures}, members by themselves {each:.1f}")
    print(f"the mean age: MAE {mean_absolute_error(np.full_like(true, true.mean()), true):.1f}")


if __name__ == "__main__":
    _table()
