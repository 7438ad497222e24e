"""Model files: what is saved is loaded; what is damaged or for something else is refused, never served."""

import json
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.errors import ModelError, StorageError
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.modelfile import load_model, read_header, save_model
from landmarklabel.networks import LandmarkNetwork, build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol

CONFIG = ExperimentConfig.model_validate(
    {"network": {"name": "unet", "channels": [4, 8], "residual_units": 1}, "input": {"height": 32, "width": 48}}
)


@pytest.fixture
def network(triangle: Protocol) -> LandmarkNetwork:
    torch.manual_seed(0)
    return build_network(CONFIG.network, triangle).eval()


@pytest.fixture
def saved(tmp_path: Path, network: LandmarkNetwork, triangle: Protocol) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, network, CONFIG, triangle, {"name": "test", "seen": ["abc"]}, {"val_mre": 1.5})
    return path


def test_a_round_trip_keeps_everything(saved: Path, network: LandmarkNetwork, triangle: Protocol) -> None:
    loaded, header, shape = load_model(saved)
    assert shape is None
    image = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(loaded(image)[0], network(image)[0])
    assert not loaded.training
    assert (header.config, header.protocol) == (CONFIG, triangle)
    assert header.metrics == {"val_mre": 1.5}
    assert len(header.version) == 12
    assert set(header.software) >= {"landmarklabel", "torch", "monai"}


def test_half_the_size_where_wanted(tmp_path: Path, network: LandmarkNetwork, triangle: Protocol, saved: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_model(half, network, CONFIG, triangle, {}, {}, half=True)
    image = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.allclose(load_model(half)[0](image)[0], network(image)[0], atol=0.02)
    weights = sum(t.numel() * t.element_size() for t in load_file(saved).values())
    assert sum(t.numel() * t.element_size() for t in load_file(half).values()) < 0.55 * weights


def test_others_may_read_a_model(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) & 0o044


def test_the_shape_of_the_labels_is_kept(tmp_path: Path, network: LandmarkNetwork, triangle: Protocol) -> None:
    """In full, beside weights in half; the version is that of the weights."""
    points = np.random.default_rng(0).uniform(10, 50, (8, 3, 2))
    points[:, 1] = np.nan
    shape = ShapePrior.fit(points, np.full((8, 2), 64))
    path = tmp_path / "model.safetensors"
    saved = save_model(path, network, CONFIG, triangle, {}, {}, shape, half=True)
    kept = load_model(path).shape
    assert kept is not None
    np.testing.assert_array_equal(kept.distribution.covariance, shape.distribution.covariance)
    np.testing.assert_array_equal(kept.distribution.mean, shape.distribution.mean)
    assert (kept.known.tolist(), kept.labels) == ([True, False, True], 8)
    assert saved.version == save_model(tmp_path / "b", network, CONFIG, triangle, {}, {}, half=True).version


def test_the_version_names_the_weights(
    saved: Path, tmp_path: Path, network: LandmarkNetwork, triangle: Protocol
) -> None:
    same = save_model(tmp_path / "same.safetensors", network, CONFIG, triangle, {"other": 1}, {})
    assert same.version == read_header(saved).version
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    assert save_model(tmp_path / "new.safetensors", network, CONFIG, triangle, {}, {}).version != same.version


@pytest.mark.parametrize("position", [0.3, 0.5, 0.7, 0.9, 0.999])
def test_one_flipped_bit_is_found(saved: Path, position: float) -> None:
    data = bytearray(saved.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    data[start + int(position * (len(data) - start))] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ModelError, match="model.safetensors is damaged: .* it is not used"):
        Predictor.load(saved)


def test_a_changed_header_is_found(saved: Path) -> None:
    """A name of the same length: the weights are as they were."""
    data = saved.read_bytes()
    changed = data.replace(b"triangle", b"trianglE")
    assert len(changed) == len(data)
    assert changed != data
    saved.write_bytes(changed)
    with pytest.raises(ModelError, match="model.safetensors is damaged: .* it is not used"):
        Predictor.load(saved)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.99])
def test_half_a_file_is_refused(saved: Path, kept: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ModelError, match="model.safetensors is damaged .* it is not used"):
        Predictor.load(saved)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file gone.safetensors"):
        Predictor.load(tmp_path / "gone.safetensors")


def test_a_file_of_another_program(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not a landmarklabel model"):
        Predictor.load(tmp_path / "other.safetensors")


def test_a_model_of_another_protocol(saved: Path, cephalometric: Protocol, triangle: Protocol) -> None:
    with pytest.raises(
        ModelError,
        match=r"trained for the protocol triangle \(3 landmarks\), not for cephalometric_19 \(19 landmarks\)",
    ):
        Predictor.load(saved, protocol=cephalometric)
    reordered = Protocol.model_validate(
        {**triangle.model_dump(), "landmarks": triangle.model_dump()["landmarks"][::-1]}
    )
    with pytest.raises(ModelError, match="whose labels or their order differ"):
        Predictor.load(saved, protocol=reordered)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, network: LandmarkNetwork, triangle: Protocol) -> None:
    other = CONFIG.model_copy(update={"network": CONFIG.network.model_copy(update={"channels": (8, 16)})})
    save_model(tmp_path / "odd.safetensors", network, other, triangle, {}, {})
    with pytest.raises(ModelError, match="do not fit its network"):
        load_model(tmp_path / "odd.safetensors")


def test_a_header_of_a_later_version_is_said(tmp_path: Path, saved: Path) -> None:
    weights = load_file(saved)
    text = read_header(saved).model_dump()
    text.update(format=99, surprise=True)
    save_file(weights, tmp_path / "later.safetensors", metadata={"landmarklabel": json.dumps(text, default=str)})
    with pytest.raises(ModelError, match="can't be read \\(this program reads format 1\\)"):
        read_header(tmp_path / "later.safetensors")


def test_a_full_disk_leaves_the_old_model(
    saved: Path, network: LandmarkNetwork, triangle: Protocol, full_disk: Path
) -> None:
    """A real file system without room."""
    target = full_disk / "model.safetensors"
    with pytest.raises(StorageError, match="the disk is full: the model model.safetensors could not be written"):
        save_model(target, network, CONFIG, triangle, {}, {})
    assert not target.exists()
    assert list(full_disk.iterdir()) == [full_disk / "filler"]


def test_a_folder_without_permission(network: LandmarkNetwork, triangle: Protocol, read_only_folder: Path) -> None:
    with pytest.raises(StorageError, match="no permission to write the model model.safetensors"):
        save_model(read_only_folder / "model.safetensors", network, CONFIG, triangle, {}, {})
