"""Protocols and points that the tests of uv-maps share."""

from __future__ import annotations

import numpy as np

from landmarklabel.protocol import Protocol
from landmarklabel.uvmaps import Regions, Template

COUNT = 7
SIZE = (72, 56)


def protocol(*structures: dict[str, object], symmetric: bool = False, single: int = 0) -> Protocol:
    """Two outlines ``a`` and ``b`` of 7 landmarks, and ``single`` landmarks that are in none."""
    outlines = [f"{name}{index}" for name in "ab" for index in range(COUNT)]
    labels = outlines + [f"single{index}" for index in range(single)]
    pairs = [[f"a{index}", f"b{index}"] for index in range(COUNT)]
    return Protocol.model_validate(
        {
            "name": "two",
            "title": "Two outlines",
            "landmarks": [{"label": label, "name": label} for label in labels],
            "structures": [*(outline(name) for name in "ab"), *structures],
            "symmetry": {"pairs": pairs, "midline": labels[2 * COUNT :]} if symmetric else None,
        }
    )


def outline(name: str) -> dict[str, object]:
    return {"name": name, "landmarks": [f"{name}{index}" for index in range(COUNT)]}


def draw(seed: int, single: int = 0) -> np.ndarray:
    """Points of :func:`protocol` on an image of SIZE: two irregular star-shaped outlines side by side."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * (np.arange(COUNT) + rng.uniform(-0.3, 0.3, (2, COUNT))) / COUNT
    radii = rng.uniform(9, 17, (2, COUNT))
    middle = np.array([[20.0, 28.0], [52.0, 28.0]]) + rng.uniform(-2, 2, (2, 2))
    points = middle[:, None] + radii[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.concatenate([points.reshape(-1, 2), rng.uniform(5, 50, (single, 2))])


def learned(number: int = 5) -> tuple[Regions, Template]:
    regions = Regions.of(protocol())
    return regions, Template.learn(np.stack([draw(1000 + seed) for seed in range(number)]), regions)


def grid(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 2), (x, y) of each pixel."""
    y, x = np.mgrid[: size[1], : size[0]]
    return np.stack([x, y], axis=-1).astype(np.float64)


def turned(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(shift)
