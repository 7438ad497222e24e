"""Points of every composed measurement: drawn at random, where they are what a person would place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from landmarklabel.phantoms import chest, spine
from landmarklabel.protocol import Protocol, load_protocol

Array = NDArray[np.float64]


def lateral(bodies: int = 3, points: int = 6) -> Protocol:
    """A lateral spine: bodies A, B, ... of six points, or of four corners."""
    names = "ABCDEFG"[:bodies]
    labels = [f"{name}{index}" for name in names for index in range(points)]
    return Protocol.model_validate(
        {
            "name": "lateral",
            "title": "Lateral spine",
            "landmarks": [{"label": label, "name": label} for label in labels],
            "structures": [
                {"name": name, "landmarks": [label for label in labels if label.startswith(name)]} for name in names
            ],
            "measurements": [{"name": "genant", "composed": "genant", "structures": list(names)}],
        }
    )


def body(anterior: float, middle: float, posterior: float, depth: float = 30.0, at: float = 0.0) -> Array:
    """(6, 2), a body from the side whose front is on the right, with a flat inferior end plate at y = ``at``."""
    top = [(depth, at - anterior), (depth / 2, at - middle), (0, at - posterior)]
    return np.array([*top, (0, at), (depth / 2, at), (depth, at)], dtype=np.float64)


def neck(depths: tuple[float, float, float], shapes: tuple[float, float], width: float = 12.0) -> Array:
    """(13, 2) of cervical_13: borders as deep as parts of their length, bodies as high as parts of their width."""
    points = [(0.0, 0.0), (width / 2, -depths[0] * width), (width, 0.0)]
    for number, (deep, shape) in enumerate(zip(depths[1:], shapes, strict=True)):
        top, foot = 5.0 + 25 * number, 5.0 + 25 * number + shape * width
        points += [(0, top), (width, top), (0, foot), (width / 2, foot - deep * width), (width, foot)]
    return np.array(points)


def _spine(rng: np.random.Generator) -> Array:
    return spine.draw_patient(rng).landmarks


def _chest(rng: np.random.Generator) -> Array:
    return chest.draw_patient(rng).landmarks


def _neck(rng: np.random.Generator) -> Array:
    depths, shapes = rng.uniform(-0.05, 0.2, 3), rng.uniform(0.6, 1.3, 2)
    return neck(tuple(depths.tolist()), tuple(shapes.tolist())) + rng.normal(0, 0.2, (13, 2))


def _lateral(rng: np.random.Generator) -> Array:
    heights = rng.uniform(12, 30, (3, 3))
    return np.concatenate([body(*each, at=40.0 * place) for place, each in enumerate(heights)]) + rng.normal(0, 0.3)


#: Kind, its protocol, and what draws points of it.
ALL: dict[str, tuple[Protocol, Callable[[np.random.Generator], Array]]] = {
    "cobb": (load_protocol("spine_68"), _spine),
    "cobb_end_plates": (load_protocol("spine_68"), _spine),
    "vertebral_heights": (load_protocol("spine_68"), _spine),
    "genant": (lateral(), _lateral),
    "cervical_maturation": (load_protocol("cervical_13"), _neck),
    "cardiothoracic": (load_protocol("chest_166"), _chest),
    "lung_areas": (load_protocol("chest_166"), _chest),
}


def structures(kind: str) -> tuple[str, ...]:
    return ("A", "B", "C") if kind == "genant" else ()
