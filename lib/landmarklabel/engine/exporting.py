"""Choosing by measurement what runs a model's network on this machine; see :mod:`~landmarklabel.backends`."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..backends import (
    Backend,
    ExportRecord,
    Figures,
    available,
    library_version,
    network_file,
    open_network,
    processor,
    record_file,
)
from ..errors import ConfigError
from ..files import atomic_path, atomic_write, sha256, storage_errors
from ..modelfile import Model, load_model
from ..networks import LandmarkNetwork
from ..phantoms import available as phantom_protocols
from ..phantoms import generate
from ..predictor import Predictor
from ..protocol import Protocol
from ..radiograph import Radiograph

#: How equal answers must be: this part of the landmarks within so many pixels of the network's input, none farther
#: than the last, and maps within this part of their greatest value. Where a map has two peaks of about one height,
#: which of them is the higher is not decided by rounding in 32 bits either.
WITHIN_PX, PART_WITHIN, FARTHEST_PX, MAPS = 0.1, 0.99, 2.0, 0.05

#: PyTorch in 32 bits stays unless another takes less than this part of its time.
WORTH_IT = 0.9

_PLAIN = Backend("torch", "fp32")
_SEED, _IMAGES = 54_000, 6


def export(
    model: Path, out: Path | None = None, images: Sequence[Radiograph] = (), times: int = 5
) -> tuple[ExportRecord, Path]:
    """Write a model's network as ONNX, and what runs it fastest here with the same answers.

    Args:
        model: its file.
        out: folder of what is written; by default the model's, where a :class:`Predictor` looks for it.
        images: to compare answers on; by default synthetic ones of the model's protocol.
        times: each back end sees each image, by turns.

    Returns:
        what was written, and where.

    Raises:
        ModelError: no such model, or it is damaged.
        ConfigError: ``onnx`` is not installed; or there are no images, and no synthetic ones of the protocol.
        StorageError: the disk is full, or ``out`` can't be written.
    """
    if find_spec("onnx") is None:
        raise ConfigError("export needs the packages onnx, onnxruntime and openvino: pip install 'landmarklabel[fast]'")
    loaded = load_model(model)
    images = list(images) or _synthetic(loaded.header.protocol)
    target = (out or model.parent) / model.name
    with storage_errors(target, "the export"):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(network_file(target), "the network") as temporary:
        write_onnx(loaded.network, loaded.header.config.input.size, temporary)
        predictors = {backend: _predictor(loaded, backend, temporary) for backend in available()}
        figures = measure(predictors, images, times)
        digest = sha256(temporary)
    best = fastest(figures)
    record = ExportRecord(
        model=loaded.header.version,
        network=digest,
        library=best.library,
        bits=best.bits,
        library_version=library_version(best.library) or "",
        processor=processor(),
        threads=torch.get_num_threads(),
        figures={str(backend): each for backend, each in figures.items()},
    )
    atomic_write(record_file(target), record.model_dump_json(indent=1).encode(), "the choice of a back end")
    return record, record_file(target)


def fastest(figures: Mapping[Backend, Figures]) -> Backend:
    """Of those with the same answers; PyTorch in 32 bits where another is hardly faster."""
    equal = {backend: each.network_ms for backend, each in figures.items() if each.equal}
    best = min(equal, key=lambda backend: equal[backend])
    return best if equal[best] < WORTH_IT * equal[_PLAIN] else _PLAIN


def write_onnx(network: LandmarkNetwork, size: tuple[int, int], file: Path) -> None:
    """The finest maps of one image (1, 3, H, W) of ``size`` (W, H), without clicks, as ONNX."""
    example = torch.zeros(1, 3, size[1], size[0])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that shapes are taken as they are, which is what is wanted
        # By tracing: the exporter of graphs can't follow an interactive network, which leaves out empty hints.
        torch.onnx.export(
            _Finest(network).eval(), (example,), str(file), input_names=["image"], output_names=["maps"],
            opset_version=17, dynamo=False,
        )  # fmt: skip


class _Finest(nn.Module):
    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)[-1]


def _predictor(model: Model, backend: Backend, file: Path) -> Predictor:
    run = None if backend.library == "torch" else open_network(file, backend)
    bits = backend.bits if run is None else "fp32"
    return Predictor(model.network, model.header.config, model.header.protocol, "cpu", precision=bits, run=run)


def _synthetic(protocol: Protocol) -> list[Radiograph]:
    if protocol.name not in phantom_protocols():
        raise ConfigError(
            f"there are no synthetic images of {protocol.name} to compare answers on; give some with --images"
        )
    return [generate(protocol.name, _SEED + index)[0] for index in range(_IMAGES)]


def measure(
    predictors: Mapping[Backend, Predictor], images: Sequence[Radiograph], times: int
) -> dict[Backend, Figures]:
    """Time of each, and how far its answers are from those of PyTorch in 32 bits, which is among them."""
    seconds: dict[Backend, list[float]] = {backend: [] for backend in predictors}
    noise = Radiograph.from_array(np.random.default_rng(0).integers(0, 4096, images[0].pixels.shape).astype(np.uint16))
    maps, far = dict.fromkeys(predictors, 0.0), {backend: [np.zeros(0)] for backend in predictors}
    for image in (noise, *images):
        expected = _answer(predictors[_PLAIN], image)
        for backend, predictor in predictors.items():
            found = _answer(predictor, image)
            difference = float((found[0] - expected[0]).abs().max() / expected[0].abs().max())
            maps[backend] = max(maps[backend], difference)
            if image is not noise:  # where nothing is to be seen, no landmark has a place
                far[backend].append(_distances(found[1], expected[1]))
    for _ in range(times):
        for image in images:
            for backend, predictor in predictors.items():
                predictor.set_image(image)
                seconds[backend].append(predictor.predict().timings["network"])
    return {backend: _figures(seconds[backend], maps[backend], np.concatenate(far[backend])) for backend in predictors}


def _answer(predictor: Predictor, image: Radiograph) -> tuple[torch.Tensor, np.ndarray]:
    """Maps (C, H, W), and landmarks (K, 2) in pixels of the network's input."""
    predictor.set_image(image)
    maps, placement = predictor.seen()
    return maps, placement.points(predictor.predict().landmarks.points)


def _distances(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(K,) between points (K, 2); far beyond the limit where only one of them is there."""
    lost, missing = np.isnan(found).any(axis=1), np.isnan(expected).any(axis=1)
    distances = np.nan_to_num(np.linalg.norm(found - expected, axis=1), nan=0.0)
    return np.where(lost != missing, FARTHEST_PX * 1000, distances)


def _figures(seconds: Sequence[float], maps: float, far: np.ndarray) -> Figures:
    within, farthest = float((far <= WITHIN_PX).mean()), float(far.max())
    return Figures(
        network_ms=round(1000 * statistics.median(seconds), 3),
        maps=round(maps, 6),
        within=round(within, 5),
        farthest_px=round(farthest, 4),
        equal=within >= PART_WITHIN and farthest <= FARTHEST_PX and maps <= MAPS,
    )
