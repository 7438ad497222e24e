"""What a model says of structures: the segmentation of an image, and its uv-maps, at the image's own size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .errors import ModelError
from .heatmaps import from_map
from .networks.denseseg import split
from .predictor import Predictor
from .readout import DenseReadout
from .segmentation import Segmentation
from .transforms import Placement
from .uvmaps import Regions


def segment(predictor: Predictor, structures: Sequence[str] | None = None) -> Segmentation:
    """The structures of the image that was set: as the network segments them, or as its landmarks outline them.

    The hull of all landmarks, which DenseSeg needs for those in no structure, is left out where there is any other.

    Args:
        structures: which landmarks outline; None for all closed ones. A network that segments has its own.

    Raises:
        RuntimeError: no image was set.
        ModelError: the protocol has no closed structure.
    """
    ready, placement = predictor.seen()
    if isinstance(predictor.readout, DenseReadout):
        regions = predictor.readout.regions
        masks = masks_from_logits(split(ready[None])[0][0], placement, predictor.readout.stride)
    else:
        regions = outlined(predictor, structures)
        masks = regions.masks(predictor.predict().landmarks.points, placement.source)
    shown = [index for index, hull in enumerate(regions.hull) if not hull] or [0]
    names, titles = (tuple(each[index] for index in shown) for each in (regions.names, regions.titles))
    return Segmentation(names, titles, masks[shown], predictor.geometry)


def outlined(predictor: Predictor, structures: Sequence[str] | None = None) -> Regions:
    """What landmarks outline: the closed structures of the protocol, or those named.

    Raises:
        ModelError: there is none.
        ConfigError: one of those named does not exist, or has no area.
    """
    regions = Regions.of(predictor.protocol, structures)
    if all(regions.hull):
        raise ModelError(
            f"the protocol {predictor.protocol.name} has no closed structure of three landmarks or more, so that its "
            "landmarks outline nothing; add one to its structures"
        )
    return regions


def uv_maps(predictor: Predictor) -> tuple[Regions, NDArray[np.float32]]:
    """The regions of a model with uv-maps, and the maps (R, 2, H, W) of the image that was set, NaN outside a region.

    Raises:
        RuntimeError: no image was set.
        ModelError: the model has no uv-maps.
    """
    readout = dense_readout(predictor)
    ready, placement = predictor.seen()
    logits, uv = (part[0] for part in split(ready[None]))
    width, height = placement.source
    maps = np.full((len(logits), 2, height, width), np.nan, dtype=np.float32)
    for region, each in enumerate(logits.float()):
        box = _box(each, placement, readout.stride)
        if box is not None:
            outside = _enlarged(each, placement, readout.stride, box) <= 0
            for channel in range(2):
                values = _enlarged(uv[region, channel].float(), placement, readout.stride, box).masked_fill(
                    outside, torch.nan
                )
                maps[region, channel][box] = values.cpu().numpy()
    return readout.regions, maps


def dense_readout(predictor: Predictor) -> DenseReadout:
    """How landmarks are read off uv-maps.

    Raises:
        ModelError: the model has none.
    """
    if not isinstance(predictor.readout, DenseReadout):
        raise ModelError(
            f"the model {predictor.config.method} has no uv-maps; train one that has, such as denseseg_light"
        )
    return predictor.readout


def masks_from_logits(logits: torch.Tensor, placement: Placement, stride: int = 1) -> NDArray[np.bool_]:
    """Masks at an image's own size: logits, interpolated linearly, above 0.

    Args:
        logits: (R, H', W').
        placement: how the image lies in the network's input.
        stride: of the logits to that input.

    Returns:
        (R, H, W) in pixels of the image.
    """
    width, height = placement.source
    masks = np.zeros((len(logits), height, width), dtype=bool)
    for mask, each in zip(masks, logits.float(), strict=True):
        box = _box(each, placement, stride)
        if box is not None:
            mask[box] = (_enlarged(each, placement, stride, box) > 0).cpu().numpy()
    return masks


def _box(logits: torch.Tensor, placement: Placement, stride: int) -> tuple[slice, slice] | None:
    """Rows and columns of the image that hold all that can be inside; None if nothing is."""
    inside = (logits > 0).nonzero()
    if not len(inside):
        return None
    corners = torch.stack([inside.amin(dim=0).flip(0) - 1, inside.amax(dim=0).flip(0) + 1]).double()
    low, high = placement.points_back(from_map(corners, stride).cpu().numpy())
    first, last = (
        np.floor(low).astype(int).clip(0),
        np.ceil(high).astype(int).clip(None, np.array(placement.source) - 1),
    )
    return slice(int(first[1]), int(last[1]) + 1), slice(int(first[0]), int(last[0]) + 1)


def _enlarged(logits: torch.Tensor, placement: Placement, stride: int, box: tuple[slice, slice]) -> torch.Tensor:
    """Logits (H', W') of that stride at the image's pixels in a box."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) for part in box)
    x = placement.points(np.stack([columns, np.zeros_like(columns)], axis=-1))[:, 0]
    y = placement.points(np.stack([np.zeros_like(rows), rows], axis=-1))[:, 1]
    height, width = logits.shape
    at_x, at_y = ((2 * values + 1) / (length * stride) - 1 for values, length in ((x, width), (y, height)))
    grid = torch.stack(torch.meshgrid(torch.from_numpy(at_x), torch.from_numpy(at_y), indexing="xy"), dim=-1)
    grid = grid.to(logits)[None]
    return F.grid_sample(logits[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
