"""Landmarks of one kind share a heat map: which peak is whose, the shape of the labels says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.engine.trainer import train
from landmarklabel.errors import ConfigError, ModelError
from landmarklabel.heatmaps import encode, to_map
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.modelfile import save_model
from landmarklabel.networks import FPN, FPNConfig, build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Geometry, Radiograph
from landmarklabel.readout import SharedReadout

SIZE = (64, 96)
LEVELS = 4
CORNERS = ("UL", "UR", "LL", "LR")


@pytest.fixture(scope="module")
def column() -> Protocol:
    """Four vertebrae, the corners of each in the protocol's order, and a landmark that is like no other."""
    labels = [f"V{level}-{corner}" for level in range(LEVELS) for corner in CORNERS]
    structures = [
        {"name": f"V{level}", "kind": "vertebra", "landmarks": [f"V{level}-{c}" for c in ("UL", "UR", "LR", "LL")]}
        for level in range(LEVELS)
    ]
    landmarks = [{"label": label, "name": label} for label in [*labels, "top"]]
    return Protocol.model_validate(
        {"name": "column", "title": "A column", "landmarks": landmarks, "structures": structures}
    )


def a_column(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W) of four bright blocks in a row, a disc over it, and its landmarks (17, 2)."""
    rng = np.random.default_rng(seed)
    x0, y0 = np.array([32.0, 22.0]) + rng.uniform(-8, 8, 2)
    height, width, lean = 12 + rng.uniform(-1, 1), 14 + rng.uniform(-1, 1), rng.uniform(-0.15, 0.15)
    image, (y, x) = rng.normal(90, 4, SIZE[::-1]), np.mgrid[: SIZE[1], : SIZE[0]]
    points = []
    for level in range(LEVELS):
        top = y0 + level * (height + 5)
        left = x0 - width / 2 + lean * (top - y0)
        image[(y >= top) & (y <= top + height) & (x >= left) & (x <= left + width)] += 100
        points += [(left, top), (left + width, top), (left, top + height), (left + width, top + height)]
    points.append((x0, y0 - 9))
    image -= 60 * (np.hypot(x - points[-1][0], y - points[-1][1]) < 4)
    return np.clip(image, 0, 255).astype(np.uint8), np.array(points)


def columns(folder: Path, protocol: Protocol, number: int) -> LandmarkDataset:
    folder.mkdir(parents=True)
    cases = []
    for seed in range(number):
        image, points = a_column(seed)
        path = folder / f"column_{seed:03d}.png"
        Image.fromarray(image).save(path)
        cases.append(Case(path.stem, path, points, patient=path.stem))
    return LandmarkDataset("columns", protocol, tuple(cases))


def config(**changes: object) -> ExperimentConfig:
    backbone = {"backbone": "resnet10t", "pretrained": False}
    return tiny.config(
        **{
            "network": {"name": "fpn", **backbone, "width": 32, "stride": 2, "shared": True},
            "input": {"height": SIZE[1], "width": SIZE[0]},
            "loss": {"name": "cross_entropy", "sigma": 1.5},
            "posterior": {"sharpness": 1, "floor": 1e-4, "discount": 5, "fade": 1},
            "optimizer": {"learning_rate": 0.003, "schedule": "cosine"},
            "batch_size": 4,
            "epochs": 24,
            **changes,
        }
    )  # fmt: skip


def test_the_same_corner_of_every_vertebra_is_one_kind(column: Protocol) -> None:
    kinds = column.kinds.tolist()
    assert kinds == [0, 1, 2, 3] * LEVELS + [4]
    spine = load_protocol("spine_68")
    assert [sorted(spine.labels[i][-2:] for i in np.flatnonzero(spine.kinds == kind)) for kind in range(4)] == [
        [corner] * 17 for corner in CORNERS
    ]
    for other in ("cephalometric_19", "chest_166"):
        assert load_protocol(other).kinds.tolist() == list(range(len(load_protocol(other))))


def test_landmarks_of_a_kind_share_a_map_and_no_others_do(column: Protocol) -> None:
    torch.manual_seed(0)
    network = build_network(config().network, column).eval()
    (maps,) = network(torch.rand(2, 3, 96, 64))
    assert maps.shape == (2, len(column), 48, 32)
    for one in range(len(column)):
        for other in range(len(column)):
            same = bool((maps[:, one] == maps[:, other]).all())
            assert same == (column.kinds[one] == column.kinds[other])
    assert isinstance(network, FPN)
    assert network.sharing.tolist() == [LEVELS] * 4 * LEVELS + [1]


def test_a_network_that_has_not_learned_says_so(column: Protocol) -> None:
    settings = config()
    predictor = Predictor(build_network(settings.network, column), settings, column, "cpu")
    predictor.set_image(Radiograph(a_column(0)[0], Geometry(SIZE)))
    with pytest.raises(ModelError, match="has no shape of labels yet"):
        predictor.predict()


def test_weights_of_other_kinds_are_not_gone_on_with(column: Protocol, tmp_path: Path) -> None:
    """A protocol that says now which landmarks are corners of vertebrae, or no longer."""
    plain = Protocol.model_validate({**column.model_dump(mode="json"), "structures": []})
    assert plain.fingerprint == column.fingerprint
    before = config()
    save_model(tmp_path / "model.safetensors", build_network(before.network, plain), before, plain, {}, {})
    data = columns(tmp_path / "images", column, 8)
    with pytest.raises(ModelError, match="other landmarks are of one kind than in this protocol"):
        train(before, data, tmp_path / "run", device="cpu", quiet=True, start_from=tmp_path / "model.safetensors")


@pytest.mark.parametrize("seed", range(5))
def test_the_shape_says_which_peak_is_whose(column: Protocol, seed: int) -> None:
    """From maps in which every corner of a kind stands out alike, each landmark is read at its own."""
    labels = np.stack([a_column(number)[1] for number in range(100, 140)])
    shape = ShapePrior.fit(labels, np.tile(SIZE, (len(labels), 1)))
    network = build_network(config().network, column)
    assert isinstance(network, FPN)
    network.learn_shape(shape.in_pixels(SIZE))
    readout = SharedReadout(network, config().loss, config().posterior)
    truth = a_column(seed)[1]
    each = encode(to_map(torch.from_numpy(truth).float(), 2), (32, 48), 1.5)
    maps = torch.stack([each[torch.from_numpy(column.kinds == kind)].sum(0) for kind in column.kinds])
    points, confidence = readout.points((maps / network.sharing[:, None, None])[None])
    errors = np.linalg.norm(points[0].numpy() - truth, axis=1)
    mean = shape.in_pixels(SIZE).mean.numpy()
    assert errors.max() < 4.0  # to the next of its kind it is 17
    assert errors.mean() < np.linalg.norm(mean - truth, axis=1).mean() / 3
    assert (confidence > 0.5).all()
    nothing, unsure = readout.points(torch.zeros_like(maps)[None])
    assert np.abs(nothing[0].numpy() - mean).max() < 0.5
    assert (unsure == 0).all()


@pytest.mark.slow
def test_a_dozen_labels_teach_how_a_corner_looks(column: Protocol, tmp_path: Path) -> None:
    """The error falls to a third of the mean shape's; a click moves the others further by the same maps."""
    data = columns(tmp_path / "images", column, 16)
    result = train(config(), data, tmp_path / "run", device="cpu", quiet=True)
    predictor = Predictor.load(result.model, "cpu")
    assert predictor.shape is not None
    found, by_shape = [], []
    for case in columns(tmp_path / "others", column, 40).cases[30:]:
        radiograph = case.radiograph()
        predictor.set_image(radiograph)
        found.append(np.linalg.norm(predictor.predict().landmarks.points - case.points, axis=1).mean())
        belief = predictor.belief()
        assert belief is not None
        # By the labels in the image's own pixels, or in those of the network's input: it is the same answer.
        assert np.abs(belief.mean - predictor.predict().landmarks.points).max() < 0.5
        by_shape.append(np.linalg.norm(predictor.shape.in_pixels(SIZE).mean.numpy() - case.points, axis=1).mean())
    assert np.mean(found) < np.mean(by_shape) / 3
    again = columns(tmp_path / "again", column, 20)
    second = train(config(epochs=2), again, tmp_path / "more", device="cpu", quiet=True, start_from=result.model)
    before, after = (Predictor.load(path, "cpu").network for path in (result.model, second.model))
    assert isinstance(before, FPN)
    assert isinstance(after, FPN)
    assert not torch.equal(before.mean, after.mean)  # of the labels that there are now


def test_a_window_fits_the_network() -> None:
    with pytest.raises(ConfigError, match="augmentation.window .*: fpn needs sides in multiples of 32"):
        load_experiment("fpn_shared", {"augmentation.window": [100, 224]})
    with pytest.raises(ConfigError, match="augmentation.window: interactive learns from whole images"):
        load_experiment("interactive_light", {"augmentation.window": [64, 64]})
    assert load_experiment("fpn_shared").augmentation.window == (160, 224)
    assert FPNConfig().shared is False
