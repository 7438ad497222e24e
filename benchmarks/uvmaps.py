"""uv-maps: how fast they are made, against scipy's griddata, and what reading landmarks off them costs in accuracy.

    python benchmarks/uvmaps.py

Points are those of synthetic radiographs, and of drawn outlines for the wrist. Times are of the processor, of one
thread. The error of decoding alone is that on the true maps and masks, and on maps with smooth noise (deviations of
the noise and of its smoothing in pixels) and masks that are right, or a pixel too narrow or too wide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from common import write
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import griddata

from landmarklabel.phantoms import available, generate
from landmarklabel.protocol import load_protocol
from landmarklabel.uvmaps import Regions, Targets, Template, UVDecoderConfig, decode, likelihoods, uv_map

Array = NDArray[Any]

TRAINING, TEST = 20, 20
SIZES = {"chest_166": (256, 256), "spine_68": (128, 256), "wrist_720": (224, 384)}
SPEED = {**SIZES, "chest_166 at 1024": (1024, 1024)}

METHODS = {
    "softmin, as the paper": UVDecoderConfig(method="softmin"),
    "softmin, sharpness 20": UVDecoderConfig(method="softmin", sharpness=20),
    "softmin, sharpness 60": UVDecoderConfig(method="softmin", sharpness=60),
    "softmin, sharpness 150": UVDecoderConfig(method="softmin", sharpness=150),
    "local linear (default)": UVDecoderConfig(),
    "local linear, bandwidth 1.5": UVDecoderConfig(bandwidth=1.5),
    "local linear, bandwidth 4": UVDecoderConfig(bandwidth=4),
    "local linear, ridge 0.1": UVDecoderConfig(ridge=0.1),
    "local linear, ridge 1": UVDecoderConfig(ridge=1.0),
    "local linear, reach 0.5": UVDecoderConfig(reach=0.5),
    "local linear, no limit of reach": UVDecoderConfig(reach=1e6),
}


class Fault(NamedTuple):
    """What is wrong with maps: noise (deviation, smoothing) in pixels, and masks a pixel too narrow or too wide."""

    noise: float
    smoothing: float
    masks: bool


FAULTS = {
    "true maps": None,
    "true maps, masks off by a pixel": Fault(0.0, 1.0, True),
    "noise 1, smoothed by 4, masks off by a pixel": Fault(1.0, 4.0, True),
    "noise 2, smoothed by 4, masks off by a pixel": Fault(2.0, 4.0, True),
    "noise 2, smoothed by 10, masks off by a pixel": Fault(2.0, 10.0, True),
    "noise 0.7, smoothed by 0.7, masks off by a pixel": Fault(0.7, 0.7, True),
}


def drawn_bones(regions: Regions, size: tuple[int, int], seed: int) -> Array:
    """Outlines of bones side by side, each bent and tilted in its own way: as many, and as dense, as a wrist's."""
    rng = np.random.default_rng(seed)
    points = np.empty((len(regions.home), 2))
    cell = np.array([size[0] / 5, size[1] / 4])
    for region, members in enumerate(regions.members):
        angle = np.linspace(0, 2 * np.pi, len(members), endpoint=False)
        radius = 1 + 0.15 * np.sin(2 * angle + region) + 0.05 * rng.normal() * np.cos(3 * angle)
        shape = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None] * cell * rng.normal(0.38, 0.02, 2)
        turn = rng.normal(0, 0.1)
        shape = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        points[members] = shape + (np.array([region % 5, region // 5]) + 0.5) * cell + rng.normal(0, 2, 2)
    return points


def points_of(name: str, size: tuple[int, int], seeds: range) -> Array:
    """(N, K, 2)"""
    if name in available():
        return np.stack([generate(name, seed, size)[1].points for seed in seeds])
    regions = Regions.of(load_protocol(name))
    return np.stack([drawn_bones(regions, size, seed) for seed in seeds])


def cpu_ms(function: Callable[[], object], times: int = 15) -> float:
    """Median processor time in ms: the machine may have other work."""
    function()
    taken = []
    for _ in range(times):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return round(1e3 * float(np.median(taken)), 3)


def by_griddata(points: Array, uv: Array, low: Array, high: Array) -> Array:
    """(2, h, w) of the pixels from ``low`` to ``high`` (x, y)."""
    y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1].astype(np.float64)
    return np.moveaxis(griddata(points, uv, (x, y), method="linear"), 2, 0)


def speed(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Generation of all maps of one image, ours and griddata's, in ms, and how far apart the maps are."""
    regions = Regions.of(load_protocol(name))
    points = points_of(name, size, range(3))
    template = Template.learn(points[1:], regions)
    mine = uv_map(points[0], size, regions, template)
    whole = np.zeros(2, dtype=int), np.array(size) - 1
    rows: dict[str, Any] = {}
    furthest, border = 0.0, 0
    for region, members in enumerate(regions.members):
        shape, uv = points[0, members], template.uv[region, members]
        box = np.maximum(np.floor(shape.min(0)).astype(int), 0), np.minimum(np.ceil(shape.max(0)).astype(int), whole[1])
        theirs = by_griddata(shape, uv, *whole)
        both = np.isfinite(theirs) & np.isfinite(mine[region])
        furthest = max(furthest, float(np.abs(theirs - mine[region])[both].max()))
        border += int((np.isfinite(theirs) != np.isfinite(mine[region])).any(axis=0).sum())
        alone = Regions(
            regions.names[region : region + 1], regions.titles[:1], (members,), (False,), regions.home, None
        )
        part = Template(template.uv[region, None], template.extent[region, None])
        rows[regions.names[region]] = {
            "uv_map_ms": cpu_ms(lambda alone=alone, part=part: uv_map(points[0], size, alone, part)),
            "griddata_whole_grid_ms": cpu_ms(lambda shape=shape, uv=uv: by_griddata(shape, uv, *whole)),
            "griddata_bounding_box_ms": cpu_ms(lambda shape=shape, uv=uv, box=box: by_griddata(shape, uv, *box)),
        }
    ours = cpu_ms(lambda: uv_map(points[0], size, regions, template))
    grids = {key: sum(row[key] for row in rows.values()) for key in rows[regions.names[0]] if "griddata" in key}
    return {
        "size": size,
        "regions": len(regions),
        "all": {"uv_map_ms": ours, **{key: round(value, 2) for key, value in grids.items()}},
        "times_faster": {key.removesuffix("_ms"): round(value / ours, 2) for key, value in grids.items()},
        "masks_ms": cpu_ms(lambda: regions.masks(points[0], size)),
        "largest_difference": furthest,
        "pixels_in_one_hull_only": border,
        "structures": rows,
    }


def extended(uv: Array) -> Array:
    """A map (2, H, W) beyond its hull: the affine map nearest to it, plus what it differs by at the nearest pixel."""
    inside = np.isfinite(uv[0])
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    y, x = np.mgrid[: uv.shape[1], : uv.shape[2]]
    columns = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float64)
    affine = np.moveaxis(columns @ np.linalg.lstsq(columns[inside], uv[:, inside].T, rcond=None)[0], 2, 0)
    return affine + (uv - affine)[:, nearest[0], nearest[1]]


def spoiled(uv: Array, mask: Array, extent: Array, fault: Fault, rng: np.random.Generator) -> tuple[Array, Array]:
    """A map (2, H, W) and its mask (H, W) as a network that makes mistakes has them."""
    noise = [ndimage.gaussian_filter(rng.standard_normal(mask.shape), fault.smoothing, mode="wrap") for _ in range(2)]
    scaled = np.stack([fault.noise * n / n.std() for n in noise]) / extent[:, None, None]
    change = int(rng.integers(-1, 2)) if fault.masks else 0
    if change:
        mask = (ndimage.binary_dilation if change > 0 else ndimage.binary_erosion)(mask)
    return extended(uv) + scaled, mask


def maps_of(
    points: Array, size: tuple[int, int], regions: Regions, template: Template, fault: Fault | None, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (1, R, H, W) and uv (1, R, 2, H, W)."""
    rng = np.random.default_rng(seed)
    uv, masks = uv_map(points, size, regions, template), regions.masks(points, size)
    if fault is not None:
        parts = [spoiled(*each, fault, rng) for each in zip(uv, masks, template.extent, strict=True)]
        uv, masks = (np.stack(column) for column in zip(*parts, strict=True))
    return torch.from_numpy(masks)[None].float() * 20 - 10, torch.from_numpy(uv)[None].float()


def decoding(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Error of decoding alone in pixels, by what is wrong with the maps and by method."""
    regions = Regions.of(load_protocol(name))
    test, training = points_of(name, size, range(TEST)), points_of(name, size, range(TEST, TEST + TRAINING))
    template = Template.learn(training, regions)
    targets, extent = Targets.landmarks(regions, template), torch.from_numpy(template.extent)
    content: dict[str, Any] = {}
    for title, fault in FAULTS.items():
        errors: dict[str, list[Array]] = {method: [] for method in METHODS}
        for index, points in enumerate(test):
            maps = maps_of(points, size, regions, template, fault, index)
            for method, config in METHODS.items():
                found = decode(*maps, targets, extent, config).points[0].numpy()
                errors[method].append(np.linalg.norm(found - points, axis=1))
        content[title] = {method: _summary(np.stack(values)) for method, values in errors.items()}
        print(name, title, {method: row["mean_px"] for method, row in content[title].items()}, flush=True)
    return content


def _summary(errors: Array) -> dict[str, float]:
    return {"mean_px": round(float(errors.mean()), 3), "percentile_95_px": round(float(np.quantile(errors, 0.95)), 3)}


def decoding_ms(name: str, size: tuple[int, int]) -> dict[str, float]:
    """One image, on one thread."""
    regions = Regions.of(load_protocol(name))
    points = points_of(name, size, range(3))
    template = Template.learn(points[1:], regions)
    targets, extent = Targets.landmarks(regions, template), torch.from_numpy(template.extent)
    maps = maps_of(points[0], size, regions, template, None, 0)
    return {
        "local_linear_ms": cpu_ms(lambda: decode(*maps, targets, extent)),
        "softmin_ms": cpu_ms(lambda: decode(*maps, targets, extent, UVDecoderConfig(method="softmin"))),
        "likelihoods_ms": cpu_ms(lambda: likelihoods(*maps, targets, extent, 4.0), 5),
    }


def main() -> None:
    torch.set_num_threads(1)
    generation = {}
    for title, size in SPEED.items():
        generation[title] = speed(title.split()[0], size)
        print(title, {key: generation[title][key] for key in ("all", "times_faster", "largest_difference")}, flush=True)
    content = {
        "generation": generation,
        "decoding_time": {name: decoding_ms(name, size) for name, size in SIZES.items()},
        "decoding_error": {
            "training": TRAINING,
            "test": TEST,
            **{name: decoding(name, size) for name, size in SIZES.items()},
        },
    }
    print(write("uvmaps", "python benchmarks/uvmaps.py", content))


if __name__ == "__main__":
    main()
