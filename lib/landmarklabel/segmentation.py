"""The segmentation of one image: a mask per structure, which may overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import LabelError, listed
from .radiograph import Geometry

# Found by farthest-point search in CIELAB over sRGB colours with enough chroma and lightness to stand out from grey,
# with the least distance over normal vision, protanopia and deuteranopia (simulated after Machado et al., IEEE TVCG
# 15(6), 2009). Any two differ by 29 or more, by 15 or more for a dichromat; the first five by 71 and 38.
_PALETTE = (
    (220, 130, 25), (160, 10, 250), (10, 250, 250), (250, 10, 115), (145, 130, 220), (190, 250, 145),
    (250, 235, 10), (205, 40, 40), (190, 55, 145), (250, 145, 175), (160, 100, 250), (250, 205, 85),
    (235, 130, 100), (85, 250, 175), (55, 130, 55), (25, 205, 250), (10, 160, 130), (235, 10, 190),
)  # fmt: skip

#: How many structures have a colour of their own.
COLOURS = len(_PALETTE)


def colour(index: int) -> tuple[int, int, int]:
    """RGB, 8 bit, of the structure at that place of a segmentation; after :data:`COLOURS` they repeat."""
    return _PALETTE[index % COLOURS]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Which pixels of an image belong to which structure.

    Attributes:
        names: keys of the R structures, as in the protocol; each once.
        titles: their names in words.
        masks: (R, H, W) bool, in pixels of the original image; a pixel may be in several.
        geometry: the image's map between pixels and the world.
        confidence: (R,) in [0, 1], NaN where nobody gave one; None if there is none at all.

    Raises:
        LabelError: these do not fit each other.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    masks: NDArray[np.bool_]
    geometry: Geometry
    confidence: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated or not self.names:
            raise LabelError(f"a segmentation has one structure or more, each once; got {listed(repeated) or 'none'}")
        if len(self.titles) != len(self.names):
            raise LabelError(f"expected a title for each of {len(self.names)} structures, got {len(self.titles)}")
        width, height = self.geometry.size
        if self.masks.shape != (len(self.names), height, width) or self.masks.dtype != np.bool_:
            raise LabelError(
                f"expected masks of {len(self.names)} structures on {width} x {height} pixels as a boolean array "
                f"({len(self.names)}, {height}, {width}), got {self.masks.dtype} of shape {self.masks.shape}"
            )
        if self.confidence is not None:
            self._require_confidences(self.confidence)

    def _require_confidences(self, values: NDArray[np.float64]) -> None:
        if values.shape != (len(self.names),) or ((values < 0) | (values > 1)).any():
            raise LabelError(
                f"expected a confidence from 0 to 1 for each of {len(self.names)} structures, got {values.tolist()}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        """Mask (H, W) of a structure.

        Raises:
            LabelError: there is no such structure.
        """
        if name not in self.names:
            raise LabelError(f"'{name}' is not a structure of this segmentation, which has {listed(self.names, 30)}")
        return self.masks[self.names.index(name)]
