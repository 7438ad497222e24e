"""Shapes whose truth is known: ellipses that move, turn, grow and bend."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZE = (400, 500)
LANDMARKS = 16


def outlines(count: int, seed: int) -> NDArray[np.float64]:
    """(count, LANDMARKS, 2), in pixels of an image of SIZE."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, LANDMARKS, endpoint=False)
    shapes = []
    for _ in range(count):
        bend, turn = rng.normal(0, 0.15), rng.normal(0, 0.1)
        radii = np.array([100, 150]) * (1 + rng.normal(0, 0.1, 2))
        x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
        x = x + bend * y**2 / 150
        turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
        shapes.append(turned + rng.normal((200, 250), 25))
    return np.stack(shapes)


def manual_revision(errors: ArrayLike, clicks: int) -> NDArray[np.float64]:
    """(clicks + 1,), mean of errors (K,) after the worst are put right one by one, and nothing else moves."""
    worst_first = np.sort(np.asarray(errors, dtype=np.float64))[::-1]
    return np.array([worst_first[click:].sum() / worst_first.size for click in range(clicks + 1)])
