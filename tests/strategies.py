"""What hypothesis draws: geometries and points as real images have them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from landmarklabel.radiograph import Geometry

_lengths = st.integers(2, 3000)
_steps = st.floats(0.02, 3.0)
_offsets = st.floats(-500.0, 500.0)


@st.composite
def geometries(draw: st.DrawFn, oriented: bool = True) -> Geometry:
    """An image anywhere in space; with ``oriented=False``, with its axes along the world's."""
    rotation = np.eye(3)
    if oriented:
        angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
        rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return Geometry(
        size=(draw(_lengths), draw(_lengths)),
        spacing=(draw(_steps), draw(_steps)),
        origin=(draw(_offsets), draw(_offsets), draw(_offsets) if oriented else 0.0),
        direction=tuple(rotation.ravel().tolist()),
    )


@st.composite
def points_in(draw: st.DrawFn, size: tuple[int, int], count: int) -> np.ndarray:
    """``count`` points (count, 2) on an image of that size."""
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).uniform(-0.5, np.array(size) - 0.5, (count, 2))
