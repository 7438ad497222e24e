"""A click among the 720 landmarks of a wrist: a made-up shape and made-up maps, no network."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from landmarklabel.heatmaps import encode
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.interaction.refinement import refine
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.protocol import Protocol, load_protocol

Array = NDArray[np.float64]

SIZE = (800, 1200)
_LABELS, _STRIDE, _SIGMA = 60, 8, 3.0


def outlines(protocol: Protocol, seed: int) -> Array:
    """(K, 2) in pixels of an image of SIZE: an ellipse a bone, all deformed by the same smooth field."""
    points = np.empty((len(protocol), 2))
    columns = 4
    for number, structure in enumerate(protocol.structures):
        indices = protocol.indices(structure.name)
        angle = np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
        centre = np.array([number % columns + 0.75, number // columns + 0.75]) * (170, 210)
        points[indices] = centre + np.stack([60 * np.cos(angle), 80 * np.sin(angle)], axis=1)
    rng = np.random.default_rng(seed)
    relative = points / max(SIZE)
    field = np.zeros_like(points)
    for wave in itertools.product(range(3), range(3)):
        phase = 2 * np.pi * (relative @ np.array(wave, dtype=float) / 1.5 + rng.uniform())
        field += np.cos(phase)[:, None] * rng.normal(0, 25 / (1 + sum(wave)), 2)
    return points + field + rng.normal(0, 0.5, points.shape)


def wrist_click() -> Callable[[], object]:
    """A second click, elsewhere each time: shape in pixels, posterior, confidence and order, as the server does it."""
    protocol = load_protocol("wrist_720")
    labels = np.stack([outlines(protocol, seed) for seed in range(_LABELS)])
    shape = ShapePrior.fit(labels, np.tile(np.array(SIZE), (_LABELS, 1)))
    true = outlines(protocol, _LABELS)
    maps = encode(torch.from_numpy(true / _STRIDE).float()[None], (SIZE[0] // _STRIDE, SIZE[1] // _STRIDE), _SIGMA)[0]
    config = PosteriorConfig()
    scale = np.full(2, float(_STRIDE))
    evidence = MapEvidence.from_maps(maps, scale, np.zeros(2), config.sharpness, config.floor)
    first, second = protocol.labels[100], protocol.labels[500]
    step = itertools.count(1)

    def click() -> object:
        placed = {first: true[100], second: true[500] + 0.1 * (next(step) % 50)}
        return refine(Posterior(shape.in_pixels(SIZE), evidence, config), protocol, placed, tolerance=5.0)

    return click
