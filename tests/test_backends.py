"""What runs a network: the same answers by every back end, and PyTorch where an export does not fit any more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from landmarklabel.backends import (
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
from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.exporting import export, fastest, write_onnx
from landmarklabel.errors import ConfigError
from landmarklabel.files import sha256
from landmarklabel.modelfile import load_model, read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph

pytest.importorskip("onnx")

CONFIGS: dict[str, Callable[..., ExperimentConfig]] = {
    "heat maps": tiny.config,
    "interactive": tiny.interactive_config,
    "uv-maps": tiny.denseseg_config,
}
LIGHT = {"network": {"name": "farnet", "backbone": "resnet10t", "pretrained": False, "width": 16}}
LIGHT |= {"input": {"height": 64, "width": 64}}


def image(seed: int) -> Radiograph:
    return Radiograph.from_array(tiny.triangle_image(seed)[0])


def maps(predictor: Predictor, seed: int = 0) -> torch.Tensor:
    predictor.set_image(image(seed))
    return predictor.seen()[0]


def figures(milliseconds: float, equal: bool = True) -> Figures:
    return Figures(network_ms=milliseconds, maps=0, within=1, farthest_px=0, equal=equal)


@pytest.fixture(params=["heat maps", "uv-maps", pytest.param("interactive", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest, tmp_path: Path, triangle: Protocol) -> Path:
    return tiny.untrained_model(tmp_path / "model.safetensors", triangle, CONFIGS[request.param]())


@pytest.fixture
def plain(tmp_path: Path, triangle: Protocol) -> Path:
    return tiny.untrained_model(tmp_path / "landmarks.safetensors", triangle, tiny.config())


def test_each_back_end_gives_the_maps_of_pytorch(model: Path, triangle: Protocol) -> None:
    loaded = load_model(model)
    write_onnx(loaded.network, loaded.header.config.input.size, network_file(model))
    expected = maps(Predictor.load(model, "cpu", precision="fp32"))
    for backend in available():
        if backend.library == "torch":
            continue
        run = open_network(network_file(model), backend)
        found = maps(Predictor(loaded.network, loaded.header.config, triangle, "cpu", run=run))
        tolerance = {"fp32": 1e-4, "fp16": 2e-2}[backend.bits] * float(expected.abs().max())
        assert (found - expected).abs().max() <= tolerance, backend


def test_farnet_keeps_its_maps(tmp_path: Path, triangle: Protocol) -> None:
    """Its weights are taken apart where features are joined."""
    path = tiny.untrained_model(tmp_path / "farnet.safetensors", triangle, tiny.config(**LIGHT))
    network = load_model(path).network
    write_onnx(network, (64, 64), network_file(path))
    run = open_network(network_file(path), next(each for each in available() if each.library != "torch"))
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(run(images), network(images)[-1], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_click_is_answered_by_the_network_itself(tmp_path: Path, triangle: Protocol) -> None:
    """What was exported knows no clicks; after one, maps are those of a predictor without an export."""
    path = tiny.untrained_model(tmp_path / "model.safetensors", triangle, tiny.interactive_config())
    clicks = [[14.0, 36.0], [np.nan, np.nan], [np.nan, np.nan]]
    expected = Predictor.load(path, "cpu", precision="fp32")
    first = maps(expected)
    expected.set_clicks(clicks)
    exported_to(path, Backend("onnxruntime", "fp32"), path)
    found = Predictor.load(path, "cpu")
    torch.testing.assert_close(maps(found), first, rtol=1e-3, atol=1e-4)
    found.set_clicks(clicks)
    torch.testing.assert_close(found.seen()[0], expected.seen()[0], rtol=1e-3, atol=1e-4)
    found.set_clicks(None)
    torch.testing.assert_close(found.seen()[0], first, rtol=1e-3, atol=1e-4)


def exported_to(path: Path, backend: Backend, source: Path, **changes: Any) -> None:
    """An export of ``path`` with the network of ``source``."""
    loaded = load_model(source)
    write_onnx(loaded.network, loaded.header.config.input.size, network_file(path))
    content = {
        "model": read_header(path).version,
        "network": sha256(network_file(path)),
        "library": backend.library,
        "bits": backend.bits,
        "library_version": library_version(backend.library),
        "processor": processor(),
        "threads": 1,
        "figures": {str(backend): figures(1.0)},
        **changes,
    }
    record_file(path).write_text(ExportRecord.model_validate(content).model_dump_json())


def test_an_export_answers_where_it_fits_and_only_where_it_is_wanted(
    plain: Path, tmp_path: Path, triangle: Protocol
) -> None:
    """Told apart by a network that is another than that in the model file."""
    (tmp_path / "other").mkdir()
    other = tiny.untrained_model(tmp_path / "other" / "landmarks.safetensors", triangle, tiny.config(), seed=1)
    mine, others = (maps(Predictor.load(each, "cpu", precision="fp32")) for each in (plain, other))
    exported_to(plain, Backend("onnxruntime", "fp32"), other)
    torch.testing.assert_close(maps(Predictor.load(plain, "cpu")), others, rtol=1e-3, atol=1e-4)
    batch = list(Predictor.load(plain, "cpu").predict_all([image(0), image(1), image(2)]))
    alone = Predictor.load(other, "cpu")
    for seed, landmarks in enumerate(batch):
        alone.set_image(image(seed))
        np.testing.assert_allclose(landmarks.points, alone.predict().landmarks.points, atol=0.05)
    assert torch.equal(maps(Predictor.load(plain, "cpu", precision="fp32")), mine)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"model": "0123456789ab"}, "export it again"),
        ({"processor": "Z80"}, "Z80"),
        ({"library_version": "0.1"}, "onnxruntime 0.1"),
        ({"network": "0" * 64}, "not the one that was measured"),
        ("no network", "landmarks.onnx"),
        ("no network at all", "landmarks.onnx"),
        ("half a record", "can't be read"),
        ("another network format", "onnxruntime"),
    ],
)
def test_pytorch_answers_where_an_export_does_not_fit(
    fault: dict[str, str] | str, said: str, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = maps(Predictor.load(plain, "cpu", precision="fp32"))
    exported_to(plain, Backend("onnxruntime", "fp32"), plain, **(fault if isinstance(fault, dict) else {}))
    if fault == "no network":
        network_file(plain).write_bytes(b"something else")
    elif fault == "no network at all":
        network_file(plain).unlink()
    elif fault == "half a record":
        record_file(plain).write_bytes(record_file(plain).read_bytes()[:100])
    elif fault == "another network format":
        network_file(plain).write_bytes(b"no ONNX")
        exact = ExportRecord.model_validate_json(record_file(plain).read_bytes())
        changed = exact.model_copy(update={"network": sha256(network_file(plain))})
        record_file(plain).write_text(changed.model_dump_json())
    with caplog.at_level(logging.WARNING):
        found = maps(Predictor.load(plain, "cpu"))
    assert torch.equal(found, expected)
    [message] = [record.getMessage() for record in caplog.records if record.name == "landmarklabel.backends"]
    assert "PyTorch answers" in message
    assert said.lower() in message.lower()


def test_a_model_without_an_export_says_nothing(plain: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        maps(Predictor.load(plain, "cpu"))
    assert "landmarklabel.backends" not in {record.name for record in caplog.records}


def test_the_fastest_is_chosen_of_those_with_the_same_answers() -> None:
    torch32, torch16, runtime = (Backend("torch", "fp32"), Backend("torch", "fp16"), Backend("onnxruntime", "fp32"))
    assert fastest({torch32: figures(10), torch16: figures(1, equal=False), runtime: figures(5)}) == runtime
    assert fastest({torch32: figures(10), torch16: figures(9.5), runtime: figures(12)}) == torch32


def test_what_is_written(plain: Path, tmp_path: Path) -> None:
    record, file = export(plain, tmp_path / "out", [image(seed) for seed in range(3)], times=1)
    assert file == tmp_path / "out" / "landmarks.backend.json"
    assert ExportRecord.model_validate_json(file.read_bytes()) == record
    assert record.network == sha256(tmp_path / "out" / "landmarks.onnx")
    assert (record.model, record.processor) == (read_header(plain).version, processor())
    assert set(record.figures) == {str(backend) for backend in available()}
    assert record.figures["torch fp32"].maps == 0
    assert record.figures[str(record.backend)].equal
    assert sorted(path.name for path in file.parent.iterdir()) == ["landmarks.backend.json", "landmarks.onnx"]


def test_images_are_asked_for_where_there_are_no_synthetic_ones(plain: Path) -> None:
    with pytest.raises(ConfigError, match="--images"):
        export(plain)
    assert not record_file(plain).exists()
