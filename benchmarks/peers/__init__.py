"""Contenders of the benchmarks, one a file, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np


class Contender(Protocol):
    """A method that is trained and asked, with its own data pipeline, targets, loss and decoding.

    All of them get the same images at the same size, and points in pixels of that size.
    """

    parameters: int

    def __init__(self, images: np.ndarray, points: np.ndarray, seed: int) -> None:
        """Take training images (N, H, W) in [0, 1] and points (N, K, 2), (x, y)."""

    def steps_of_epoch(self) -> int:
        """Training steps for one pass over the images."""

    def train_epoch(self, part: float) -> None:
        """One pass; ``part`` of the run, in [0, 1], is done already."""

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Points (K, 2) of an image (H, W)."""


def contenders() -> dict[str, Callable[..., Contender]]:
    """All of them by name; each imports what it needs only when it is made."""

    def ours(config: str, **changes: object) -> Callable[..., Contender]:
        def make(*arguments: object) -> Contender:
            from .ours import Ours

            return Ours(config, changes, *arguments)  # type: ignore[arg-type]

        return make

    def monai(*arguments: object) -> Contender:
        from .monai_unet import MonaiUNetRegressor

        return MonaiUNetRegressor(*arguments)  # type: ignore[arg-type]

    def landmarker(*arguments: object) -> Contender:
        from .landmarker_scn import LandmarkerSCN

        return LandmarkerSCN(*arguments)  # type: ignore[arg-type]

    return {
        "landmarklabel farnet_light": ours("farnet_light"),
        "landmarklabel farnet_light with FR": ours("farnet_light", **{"network.refinement": "fr"}),
        "landmarklabel farnet (densenet121)": ours("farnet_isbi2015"),
        "plain MONAI UNet": monai,
        "landmarker SCN": landmarker,
    }
