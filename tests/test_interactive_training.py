"""The interactive network from training to prediction: it learns, follows clicks, and comes back from its file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import tiny
from landmarklabel.engine import trainer as engine
from landmarklabel.engine.config import ExperimentConfig, available_experiments, load_experiment
from landmarklabel.engine.trainer import train
from landmarklabel.errors import ConfigError, LabelError
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.landmarks import Status
from landmarklabel.losses import MorphologySets
from landmarklabel.modelfile import read_header
from landmarklabel.networks import InteractiveNetwork, build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry, Radiograph

NETWORK: dict[str, Any] = {
    "name": "interactive",
    "backbone": "hrnet_w18_small",
    "pretrained": False,
    "hint_sigma": 2,
    "width": 32,
    "keys": 16,
}


def config(**changes: object) -> ExperimentConfig:
    """A run of ten seconds."""
    return tiny.config(
        **{
            "network": NETWORK,
            "input": {"height": 64, "width": 64},
            "loss": {"name": "bce", "sigma": 2},
            "morphology": {"criterion": "count", "count": 2},
            "optimizer": {"learning_rate": 1e-3, "schedule": "cosine"},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> LandmarkDataset:
    return tiny.dataset(tmp_path_factory.mktemp("tiny"), triangle, 24)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: LandmarkDataset) -> tuple[Path, list[engine.EpochReport]]:
    """The model of a finished run and what it reported after each epoch."""
    reports: list[engine.EpochReport] = []
    out = tmp_path_factory.mktemp("run")
    return train(config(), data, out, device="cpu", quiet=True, on_epoch=reports.append).model, reports


@pytest.mark.slow
def test_the_error_falls_to_a_tenth(finished: tuple[Path, list[engine.EpochReport]]) -> None:
    errors = [report.metrics["val_mre"] for report in finished[1]]
    assert min(errors) < errors[0] / 10
    assert min(errors) < 1.5


def hidden(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W) of 8 bits that does not show the landmark ``top``, which lies anywhere; and the landmarks."""
    image, points = tiny.triangle_image(seed)
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: tiny.SIZE[1], : tiny.SIZE[0]]
    ring = np.hypot(columns - points[2, 0], rows - points[2, 1]) < 12
    image[ring] = rng.normal(120, 4, ring.sum())
    points[2] = rng.uniform([8, 8], [56, 24])
    return image, points


@pytest.mark.slow
def test_hints_are_followed(triangle: Protocol, tmp_path: Path) -> None:
    """Where images show nothing, a network that was trained with clicks finds the landmark where the click is."""
    cases = []
    for seed in range(24):
        image, points = hidden(seed)
        path = tmp_path / f"image_{seed:03d}.png"
        Image.fromarray(image).save(path)
        cases.append(Case(path.stem, path, points, patient=path.stem))
    settings = config(network={**NETWORK, "fusion": "late"}, epochs=14, validation={"fraction": 0.1, "every": 14})
    data = LandmarkDataset("hidden", triangle, tuple(cases))
    predictor = Predictor.load(train(settings, data, tmp_path / "run", device="cpu", quiet=True).model, "cpu")
    before, after = [], []
    for seed in range(100, 108):
        image, points = hidden(seed)
        predictor.set_image(Radiograph(image.astype(np.float32), Geometry(tiny.SIZE)))
        before.append(np.linalg.norm(predictor.evidence().places[2, 0] - points[2]))
        predictor.set_clicks([[np.nan, np.nan], [np.nan, np.nan], points[2]])
        after.append(np.linalg.norm(predictor.evidence().places[2, 0] - points[2]))
    assert np.median(before) > 8
    assert np.median(after) < 2


@pytest.mark.slow
def test_a_run_that_stopped_goes_on_to_the_same_end(
    data: LandmarkDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clicks, rounds, dropout and all."""
    monkeypatch.setattr(engine, "STATE_INTERVAL_S", 0.0)
    few = data.subset([case.id for case in data.cases[:10]])
    short = config(epochs=3)

    def stop(report: engine.EpochReport) -> None:
        if report.metrics["epoch"] == 1:
            raise KeyboardInterrupt

    whole = train(short, few, tmp_path / "whole", device="cpu", quiet=True)
    with pytest.raises(KeyboardInterrupt):
        train(short, few, tmp_path / "parts", device="cpu", quiet=True, on_epoch=stop)
    parts = train(short, few, tmp_path / "parts", device="cpu", quiet=True)
    expected, found = (load_file(path / "state.safetensors") for path in (tmp_path / "whole", tmp_path / "parts"))
    assert whole.epochs == parts.epochs == 3
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.slow
def test_bf16_learns_as_well(data: LandmarkDataset, tmp_path: Path) -> None:
    """The loss stays in 32 bits, and so do the weights."""
    result = train(config(amp="bf16"), data, tmp_path, device="cpu", quiet=True)
    losses = [row["loss"] for row in json.loads((tmp_path / "metrics.json").read_text())["epochs"]]
    assert losses[-1] < losses[0] / 3
    assert result.metrics["val_mre"] < 5
    assert torch.bfloat16 not in {value.dtype for value in load_file(result.model).values()}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, data: LandmarkDataset) -> Path:
    """The model of an epoch on four images."""
    few = data.subset([case.id for case in data.cases[:4]])
    return train(config(epochs=1), few, tmp_path_factory.mktemp("quick"), device="cpu", quiet=True).model


@pytest.mark.slow
def test_the_model_says_what_its_loss_looked_at(quick: Path, data: LandmarkDataset, tmp_path: Path) -> None:
    """Chosen from the training set, the same each time; older files, and other networks, have nothing to say."""
    chosen = read_header(quick).morphology
    assert chosen is not None
    assert len(chosen.pairs) == len(chosen.triplets) == 2
    plain = train(tiny.config(epochs=1), data, tmp_path, device="cpu", quiet=True).model
    assert read_header(plain).morphology is None
    old = json.loads(read_header(plain).model_dump_json(exclude={"morphology"}))
    assert type(read_header(plain)).model_validate(old).morphology is None


def test_a_criterion_that_takes_nothing_is_said(data: LandmarkDataset, tmp_path: Path) -> None:
    nothing = {"criterion": "threshold", "distance_threshold": 1e-9, "angle_threshold": 1e-9}
    with pytest.raises(ConfigError, match="the criterion threshold takes no pair and no triplet of landmarks"):
        train(config(morphology=nothing), data, tmp_path, device="cpu", quiet=True)


@pytest.fixture
def predictor(quick: Path) -> Predictor:
    made = Predictor.load(quick, "cpu")
    made.set_image(Radiograph(tiny.triangle_image(50)[0].astype(np.float32), Geometry(tiny.SIZE)))
    return made


def clicked(**at: tuple[float, float]) -> np.ndarray:
    points = np.full((3, 2), np.nan)
    for name, point in at.items():
        points[("left", "right", "top").index(name)] = point
    return points


POINT = (11.123456789, 30.987654321)


def test_what_was_clicked_stays_to_the_last_digit(predictor: Predictor) -> None:
    predictor.set_clicks(clicked(left=POINT))
    landmarks = predictor.predict().landmarks
    assert tuple(landmarks["left"]) == POINT
    assert landmarks.status == (Status.CORRECTED, Status.PREDICTED, Status.PREDICTED)
    assert landmarks.confidence[0] == 1


def test_a_click_moves_what_the_maps_say_of_the_others(predictor: Predictor) -> None:
    before = predictor.evidence()
    predictor.set_clicks(clicked(left=POINT))
    assert not np.array_equal(predictor.evidence().weights[1:], before.weights[1:])
    predictor.set_clicks(None)
    assert np.array_equal(predictor.evidence().weights, before.weights)
    predictor.set_clicks(clicked())
    assert np.array_equal(predictor.evidence().weights, before.weights)


@pytest.fixture
def calls(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What the predictor asks of its network."""
    network, made = predictor.network, []
    assert isinstance(network, InteractiveNetwork)
    features, heads = network.features, network.heads
    monkeypatch.setattr(network, "features", lambda images: made.append(("features", None)) or features(images))
    monkeypatch.setattr(network, "heads", lambda *args: made.append(("heads", args)) or heads(*args))
    yield made


def test_the_network_runs_once_a_click_and_its_features_are_kept(
    predictor: Predictor, calls: list[tuple[str, Any]]
) -> None:
    predictor.predict()
    predictor.set_clicks(clicked(left=POINT))
    predictor.predict()
    predictor.evidence()
    predictor.set_clicks(clicked(left=POINT))
    predictor.predict()
    predictor.set_clicks(None)
    predictor.predict()
    assert [name for name, _ in calls] == ["features", "heads", "heads"]
    predictor.set_image(Radiograph(tiny.triangle_image(51)[0].astype(np.float32), Geometry(tiny.SIZE)))
    assert predictor.predict().landmarks.status == (Status.PREDICTED,) * 3
    assert [name for name, _ in calls[3:]] == ["features", "heads"]


@pytest.mark.parametrize("whose", ["modified", "all", "none"])
def test_the_network_is_shown_its_last_maps_of_what_was_clicked(
    predictor: Predictor, calls: list[tuple[str, Any]], whose: str
) -> None:
    network = predictor.config.network.model_copy(update={"previous": whose})
    predictor.config = predictor.config.model_copy(update={"network": network})
    predictor.predict()
    for points in (clicked(left=POINT), clicked(left=POINT, top=(30.0, 10.0))):
        last = predictor._maps
        assert last is not None
        predictor.set_clicks(points)
        predictor.predict()
        _, hints, previous = calls[-1][1]
        there = np.isfinite(points[:, 0])
        # The input is 64 x 64, the image 64 x 48: a row becomes 4 / 3.
        assert hints[0, 0].tolist() == pytest.approx([POINT[0], (POINT[1] + 0.5) * 4 / 3 - 0.5], abs=1e-4)
        assert np.array_equal(np.isfinite(hints[0, :, 0]), there)
        if whose == "none":
            assert previous is None
        else:
            shown = there if whose == "modified" else np.ones(3, dtype=bool)
            assert torch.equal(previous[0, shown], last[shown])
            assert previous[0, ~shown].sum() == 0


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("whose", ["modified", "all"])
def test_positions_stand_for_maps_of_the_pass_before(
    predictor: Predictor, calls: list[tuple[str, Any]], whose: str, looked: bool
) -> None:
    """Where a reader says landmarks were, and only of those that the network is to see."""
    network = predictor.config.network.model_copy(update={"previous": whose})
    predictor.config = predictor.config.model_copy(update={"network": network})
    maps = predictor.seen()[0] if looked else torch.zeros(3, 64, 64)
    predictor.set_clicks(clicked(left=POINT, top=(30.0, 10.0)), previous=clicked(left=(20.0, 21.0), right=(40.0, 24.0)))
    predictor.predict()
    shown = calls[-1][1][2][0]
    row, column = divmod(int(shown[0].argmax()), 64)
    assert (column, row) == (20, 28), "64 columns stand for 64, 64 rows for 48"
    assert torch.equal(shown[2], maps[2])
    assert (shown[1].max() > 0.5) == (whose == "all")


def test_forks_share_the_image_and_nothing_else(predictor: Predictor, calls: list[tuple[str, Any]]) -> None:
    before = predictor.evidence().weights
    one, two = predictor.fork(), predictor.fork()
    one.set_clicks(clicked(left=POINT))
    moved = one.evidence().weights
    assert np.array_equal(two.evidence().weights, before)
    two.set_clicks(clicked(left=POINT))
    assert np.array_equal(two.evidence().weights, moved)
    assert np.array_equal(predictor.evidence().weights, before)
    assert [name for name, _ in calls] == ["features", "heads", "heads", "heads"]


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
def test_kept_features_give_what_all_at_once_gives(triangle: Protocol, fusion: str) -> None:
    torch.manual_seed(0)
    settings = config(network={**NETWORK, "fusion": fusion})
    network = build_network(settings.network, triangle).eval()
    assert isinstance(network, InteractiveNetwork)
    seen = []
    for _ in range(2):
        predictor = Predictor(network, settings, triangle, "cpu")
        predictor.set_image(Radiograph(tiny.triangle_image(50)[0].astype(np.float32), Geometry(tiny.SIZE)))
        if not seen:
            predictor.set_clicks(clicked(right=POINT))  # nothing kept yet, no maps before
        else:
            predictor.set_clicks(clicked(top=POINT))
            predictor.predict()
            predictor._last_maps = None
            predictor.set_clicks(clicked(right=POINT))
        seen.append(predictor.evidence().weights)
    assert np.array_equal(seen[0], seen[1])


def test_clicks_on_another_network_stay_and_move_nothing(triangle: Protocol) -> None:
    settings = tiny.config()
    predictor = Predictor(build_network(settings.network, triangle), settings, triangle, "cpu")
    predictor.set_image(Radiograph(tiny.triangle_image(50)[0].astype(np.float32), Geometry(tiny.SIZE)))
    before, maps = predictor.predict().landmarks, predictor._maps
    predictor.set_clicks(clicked(left=POINT))
    after = predictor.predict().landmarks
    assert predictor._maps is maps
    assert tuple(after["left"]) == POINT
    assert np.array_equal(after.points[1:], before.points[1:])


def test_clicks_that_do_not_fit(quick: Path, predictor: Predictor) -> None:
    with pytest.raises(LabelError, match=r"expected clicks as an array \(3, 2\).* got shape \(4, 2\)"):
        predictor.set_clicks(np.zeros((4, 2)))
    with pytest.raises(RuntimeError, match="set_image before set_clicks"):
        Predictor.load(quick, "cpu").set_clicks(None)


def test_what_the_paper_compares_are_configurations() -> None:
    """Table 1 and 2: RITM, BRS, f-BRS, the gate alone, the morphology loss alone, and both."""
    rows = {}
    for name in available_experiments():
        if name.startswith("interactive"):
            made = load_experiment(name)
            assert made.network.name == "interactive"
            network = made.network
            rows[name.removeprefix("interactive_")] = (
                network.gate,
                made.morphology.criterion,
                network.previous,
                made.clicks.rounds,
                network.fusion,
            )
    assert rows["aasce"] == ("max", "count", "modified", 2, "stem")
    assert rows["ritm"] == ("none", "none", "modified", 2, "stem")
    assert rows["gate"] == ("max", "none", "modified", 2, "stem")
    assert rows["morphology"] == ("none", "count", "modified", 2, "stem")
    assert rows["brs"] == ("none", "none", "none", 0, "stem")
    assert rows["fbrs"] == ("none", "none", "none", 0, "image")
    published = load_experiment("interactive_aasce")
    assert (published.optimizer.name, published.optimizer.learning_rate, published.batch_size) == ("Adam", 1e-3, 4)
    assert (published.input.height, published.input.width, published.loss.sigma) == (512, 256, 7.5)
    assert (published.validation.patience, published.morphology.count) == (50, 70)


def test_sets_come_back_from_json() -> None:
    sets = MorphologySets(pairs=((0, 1),), triplets=((0, 1, 2), (1, 2, 0)))
    assert MorphologySets.model_validate_json(sets.model_dump_json()) == sets
