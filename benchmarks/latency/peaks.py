"""How far landmarks in 16 bits are from those in 32: of networks that have learned, since flat maps have no place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landmarklabel.engine.precision import Precision as TrainingPrecision
from landmarklabel.errors import ModelError
from landmarklabel.io.dataset import read_dataset
from landmarklabel.losses import HeatmapLoss
from landmarklabel.modelfile import load_model
from landmarklabel.networks import LandmarkNetwork
from landmarklabel.phantoms import generate
from landmarklabel.precision import Precision, number_type
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import place_radiograph, to_network
from latency.network import FIRST, PROTOCOL, SECOND, fresh_network, published

Array = NDArray[np.float64]
Looked = Sequence[tuple[Radiograph, Array]]

_SEED, _IMAGES = 52_000, 2
_PRECISIONS: tuple[Precision, ...] = ("fp16", "bf16")


def of_published_network(steps: int) -> dict[str, Any]:
    """Of W32 at 512 x 256, which has learned two spines by heart in some steps in bfloat16: it has peaks on these."""
    spines = _phantoms(PROTOCOL, _IMAGES)
    network, config, protocol = fresh_network(), published(), load_protocol(PROTOCOL)
    network.place(torch.device("cpu")).train()
    placements = [Placement(radiograph.size, config.input.size) for radiograph, _ in spines]
    images = torch.stack([place_radiograph(r, p) for (r, _), p in zip(spines, placements, strict=True)])
    points = torch.stack(
        [torch.from_numpy(p.points(true)).float() for (_, true), p in zip(spines, placements, strict=True)]
    )
    inputs = to_network(images, network.normalisation).contiguous(memory_format=network.memory_format)
    loss, optimizer = HeatmapLoss(config.loss, network.strides), torch.optim.Adam(network.parameters(), lr=1e-3)
    infer = TrainingPrecision("bf16" if native("bf16") else "off", torch.device("cpu")).inferer
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(infer(inputs, network), points).backward()
        optimizer.step()

    def load(precision: Precision) -> Predictor:
        return Predictor(network, config, protocol, "cpu", precision=precision)

    return {"steps": steps, **_differences(load, spines)}


def of_model(path: Path, source: str | None, most: int) -> dict[str, Any]:
    """Of a trained model, on images of a data set; by default on phantoms."""

    def load(precision: Precision) -> Predictor:
        network, header, _ = load_model(path)
        assert isinstance(network, LandmarkNetwork)
        return Predictor(network, header.config, header.protocol, "cpu", precision=precision)

    if source is None:
        return _differences(load, _phantoms(load("fp32").protocol.name, most))
    cases = read_dataset(source, load("fp32").protocol).labelled()[:most]
    return _differences(load, [(case.radiograph(), case.points) for case in cases if case.points is not None])


def _phantoms(protocol: str, count: int) -> Looked:
    return [(r, true.points) for r, true in (generate(protocol, seed) for seed in range(_SEED, _SEED + count))]


def _differences(load: Any, looked: Looked) -> dict[str, Any]:
    """Without clicks and, where the network takes clicks, with two: distances in pixels of the input and the image."""
    reference = load("fp32")
    expected = _answers(reference, looked)
    truth = np.stack([true for _, true in looked for _ in range(len(expected) // len(looked))])
    result: dict[str, Any] = {
        "images": len(looked),
        "input": list(reference.config.input.size),
        "mre_px": float(np.nanmean(np.linalg.norm(expected - truth, axis=-1))),
    }
    scales = [
        np.asarray(Placement(radiograph.size, reference.config.input.size, reference.config.input.fit).scale)
        for radiograph, _ in looked
        for _ in range(len(expected) // len(looked))
    ]
    for precision in filter(native, _PRECISIONS):
        offsets = _answers(load(precision), looked) - expected
        in_input = np.linalg.norm(offsets * np.stack(scales)[:, None], axis=-1)
        in_image = np.linalg.norm(offsets, axis=-1)
        result[precision] = {"px_of_input": _figures(in_input), "px_of_image": _figures(in_image)}
    return result


def _answers(predictor: Predictor, looked: Looked) -> Array:
    """(answers, K, 2): of each image the first, and that after two clicks if the network takes clicks."""
    answers = []
    for radiograph, true in looked:
        predictor.set_image(radiograph)
        answers.append(predictor.predict().landmarks.points)
        if predictor.network.interactive:
            clicks = np.full(true.shape, np.nan)
            clicks[[FIRST, SECOND[0]]] = true[[FIRST, SECOND[0]]]
            predictor.set_clicks(clicks)
            answers.append(predictor.predict().landmarks.points)
    return np.stack(answers)


def _figures(distances: Array) -> dict[str, float]:
    return {
        "median": float(np.median(distances)),
        "p99": float(np.quantile(distances, 0.99)),
        "max": float(distances.max()),
        "within_0.1_percent": float(100 * np.mean(distances <= 0.1)),
    }


def native(precision: Precision) -> bool:
    """Whether this machine computes in it."""
    try:
        number_type(precision, torch.device("cpu"))
    except ModelError:
        return False
    return True
