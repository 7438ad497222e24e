"""A data set that a tiny network learns in seconds: a dark disc, a bright disc and a ring at the corners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.data import patient_hash
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import write_markups
from landmarklabel.modelfile import save_model
from landmarklabel.networks import DenseSeg, build_network
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.transforms import AugmentationConfig

SIZE = (64, 48)


def triangle_image(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W) of 8 bits and its landmarks left, right, top (3, 2): the discs and the ring, with noise."""
    rng = np.random.default_rng(seed)
    points = np.array([[14.0, 36.0], [48.0, 34.0], [30.0, 12.0]]) + rng.uniform(-5, 5, (3, 2))
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    image = rng.normal(120, 4, SIZE[::-1])
    left, right, top = (np.hypot(x - px, y - py) for px, py in points)
    image += 90 * (_disc(right, 4) - _disc(left, 4) + _disc(top, 7) - 2 * _disc(top, 4))
    return np.clip(image, 0, 255).astype(np.uint8), points


def protocol_of(landmarks: int) -> Protocol:
    """A protocol of so many landmarks that form nothing."""
    names = [{"label": f"P{index}", "name": f"Point {index}"} for index in range(landmarks)]
    return Protocol.model_validate({"name": f"points_{landmarks}", "title": "Points", "landmarks": names})


def _disc(distance: np.ndarray, radius: float) -> np.ndarray:
    return 1 / (1 + np.exp(2 * (distance - radius)))


def write_studies(folder: Path, protocol: Protocol, number: int, labelled: int | None = None) -> Path:
    """A studies folder with ``number`` images, the first ``labelled`` of which have final labels."""
    (folder / "labels" / "final").mkdir(parents=True)
    for seed in range(number):
        image, points = triangle_image(seed)
        name = f"image_{seed:03d}"
        Image.fromarray(image).save(folder / f"{name}.png")
        if labelled is None or seed < labelled:
            landmarks = LandmarkSet.from_points(protocol, points, Status.CONFIRMED)
            write_markups(landmarks, Geometry(SIZE), folder / "labels" / "final" / f"{name}.mrk.json")
    return folder


def dataset(folder: Path, protocol: Protocol, number: int) -> LandmarkDataset:
    """The same in memory, but for the images; patients are the images."""
    cases = []
    folder.mkdir(exist_ok=True)
    for seed in range(number):
        image, points = triangle_image(seed)
        path = folder / f"image_{seed:03d}.png"
        Image.fromarray(image).save(path)
        cases.append(Case(path.stem, path, points, patient=path.stem))
    return LandmarkDataset("tiny", protocol, tuple(cases))


def config(**changes: object) -> ExperimentConfig:
    """A run of seconds."""
    return ExperimentConfig.model_validate(
        {
            "method": "tiny",
            "network": {"name": "unet", "channels": [16, 32, 64], "residual_units": 2},
            "input": {"height": 48, "width": 64},
            "loss": {"name": "ewc", "sigma": 2},
            "optimizer": {"learning_rate": 0.01, "schedule": "cosine"},
            "augmentation": {
                **AugmentationConfig.none().model_dump(),
                "rotation": 5,
                "scale": 0.05,
                "translation": 0.03,
            },
            "epochs": 8,
            "batch_size": 2,
            "validation": {"fraction": 0.25},
            **changes,
        }
    )


def interactive_config(**changes: object) -> ExperimentConfig:
    """A run of an interactive network, of seconds as well."""
    return config(
        **{
            "network": {
                "name": "interactive",
                "backbone": "hrnet_w18_small",
                "pretrained": False,
                "hint_sigma": 2,
                "fusion": "late",
                "width": 32,
                "keys": 16,
            },
            "input": {"height": 64, "width": 64},
            "loss": {"name": "bce", "sigma": 2},
            "optimizer": {"learning_rate": 1e-3, "schedule": "cosine"},
            "method": "tiny_interactive",
            **changes,
        }
    )


def denseseg_config(**changes: object) -> ExperimentConfig:
    """A run of a network with masks and uv-maps, of seconds as well."""
    return config(
        **{
            "network": {"name": "denseseg", "channels": [8, 16, 32], "features": 8},
            "dense": {"positive": 0.5},
            "method": "tiny_denseseg",
            "epochs": 16,
            "optimizer": {"learning_rate": 5e-3, "schedule": "cosine"},
            **changes,
        }
    )


def untrained_model(path: Path, protocol: Protocol, config: ExperimentConfig, seed: int = 0) -> Path:
    """A model file with fresh weights: it answers at once, anywhere. With uv-maps, it knows the mean triangle."""
    torch.manual_seed(seed)
    network = build_network(config.network, protocol)
    if isinstance(network, DenseSeg):
        network.learn_template(torch.from_numpy(np.stack([triangle_image(seed)[1] for seed in range(5)])))
    save_model(path, network, config, protocol, {}, {})
    return path


def trained_on(path: Path, protocol: Protocol, patients: Sequence[str]) -> Path:
    """A model file that says whom it has seen."""
    network = build_network(config().network, protocol)
    save_model(
        path,
        network,
        config(),
        protocol,
        {"seen": [patient_hash(patient) for patient in patients], "training_images": len(patients) + 1},
        {},
    )
    return path
