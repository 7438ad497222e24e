"""What a model says of structures: the segmentation of an image, and its uv-maps, at the image's own size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from .errors import ModelError
from .heatmaps import from_map
from .landmarks import Points
from .networks.denseseg import split
from .predictor import Predictor
from .protocol import Protocol
from .radiograph import Geometry
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
    if not isinstance(predictor.readout, DenseReadout):
        points = predictor.predict().landmarks.points
        return outline(predictor.protocol, points, predictor.geometry, structures)
    ready, placement = predictor.seen()
    masks = masks_from_logits(in_one_piece(split(ready[None])[0][0]), placement, predictor.readout.stride)
    return _shown(predictor.readout.regions, masks, predictor.geometry)


def outline(
    protocol: Protocol, points: Points, geometry: Geometry, structures: Sequence[str] | None = None
) -> Segmentation:
    """Structures as landmarks (K, 2), in pixels of the image, outline them; the errors are those of :func:`outlined`.

    Args:
        structures: which; None for all closed ones.
    """
    regions = outlined(protocol, structures)
    return _shown(regions, regions.masks(points, geometry.size), geometry)


def outlined(protocol: Protocol, structures: Sequence[str] | None = None) -> Regions:
    """What landmarks outline: the closed structures of the protocol, or those named.

    Raises:
        ModelError: there is none.
        ConfigError: one of those named does not exist, or has no area.
    """
    if structures is None and not outlines_anything(protocol):
        raise ModelError(
            f"the protocol {protocol.name} has no closed structure of three landmarks or more, so that its "
            "landmarks outline nothing; add one to its structures"
        )
    return Regions.of(protocol, structures)


def outlines_anything(protocol: Protocol) -> bool:
    """Whether a protocol has a closed structure of three landmarks or more."""
    return any(structure.closed and len(structure.landmarks) >= 3 for structure in protocol.structures)


def _shown(regions: Regions, masks: NDArray[np.bool_], geometry: Geometry) -> Segmentation:
    """Those of the regions' masks (R, H, W) that are structures."""
    shown = shown_regions(regions)
    names, titles = (tuple(each[index] for index in shown) for each in (regions.names, regions.titles))
    return Segmentation(names, titles, masks[shown], geometry)


def shown_regions(regions: Regions) -> list[int]:
    """Which regions a segmentation has: not the hull of all landmarks, where there is any other."""
    return [index for index, hull in enumerate(regions.hull) if not hull] or [0]


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
    for region, each in enumerate(in_one_piece(logits)):
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


def in_one_piece(logits: torch.Tensor) -> torch.Tensor:
    """Logits (R, H, W) of which each region is one piece, as a closed outline is: specks beside it are turned negative.

    Of several pieces, that which holds most probability stays.
    """
    logits = logits.float().clone()
    for each in logits:
        pieces, count = ndimage.label((each > 0).cpu().numpy(), structure=np.ones((3, 3)))
        if count > 1:
            held = ndimage.sum_labels(each.sigmoid().cpu().numpy(), pieces, np.arange(1, count + 1))
            beside = torch.from_numpy((pieces > 0) & (pieces != 1 + held.argmax())).to(each.device)
            each[beside] = -each[beside]
    return logits


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
