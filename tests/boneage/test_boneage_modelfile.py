"""Model files of ensembles: what is saved is loaded, what is damaged is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from synthetic_bones import PROTOCOL, QUICK, children

from landmarklabel.boneage import Trained, load_bone_age, save_bone_age
from landmarklabel.boneage.modelfile import BoneAgeModel
from landmarklabel.errors import ModelError, StorageError
from landmarklabel.modelfile import read_header

POINTS = np.stack([points for _, _, points in children(5, seed=4)])


@pytest.fixture
def copy(model_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "age.safetensors"
    path.write_bytes(model_file.read_bytes())
    return path


def test_a_round_trip_keeps_everything(model: BoneAgeModel, trained: Trained) -> None:
    ensemble, header = model
    np.testing.assert_array_equal(ensemble.estimate(POINTS).months, trained.ensemble.estimate(POINTS).months)
    assert (header.config, header.protocol, header.unit) == (QUICK, PROTOCOL, "mm")
    assert (header.classes, header.sizes) == (trained.ensemble.classes, trained.ensemble.shapes.sizes)
    assert (header.metrics, header.data) == (trained.metrics, trained.data)
    assert len(header.version) == 12


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9, 0.999])
def test_one_flipped_bit_is_found(copy: Path, position: float) -> None:
    data = bytearray(copy.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    data[start + int(position * (len(data) - start))] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ModelError, match="age.safetensors is damaged: .* it is not used"):
        load_bone_age(copy)


def test_a_changed_header_is_found(copy: Path) -> None:
    data = copy.read_bytes()
    changed = data.replace(b"expectation", b"Expectation")
    assert changed != data
    copy.write_bytes(changed)
    with pytest.raises(ModelError, match="age.safetensors is damaged: .* it is not used"):
        load_bone_age(copy)


@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.99])
def test_half_a_file_is_refused(copy: Path, kept: float) -> None:
    data = copy.read_bytes()
    copy.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ModelError, match="age.safetensors is damaged .* it is not used"):
        load_bone_age(copy)


def test_files_of_another_kind(tmp_path: Path, model_file: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="other.safetensors is no bone age model; expected a file that"):
        load_bone_age(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="there is no model file gone"):
        load_bone_age(tmp_path / "gone")
    with pytest.raises(ModelError, match="not a landmarklabel model"):
        read_header(model_file)  # nor is this one that places landmarks


def test_weights_of_another_network(tmp_path: Path, trained: Trained) -> None:
    """Written whole, but with a description of more members."""
    path = tmp_path / "age.safetensors"
    config = QUICK.model_copy(update={"members": 4})
    save_bone_age(path, trained.ensemble, config, PROTOCOL, "mm", {}, {})
    with pytest.raises(ModelError, match="the weights of age.safetensors do not fit"):
        load_bone_age(path)


def test_no_folder_to_write_to(tmp_path: Path, trained: Trained) -> None:
    with pytest.raises(StorageError, match="there is no folder"):
        save_bone_age(tmp_path / "gone" / "age", trained.ensemble, QUICK, PROTOCOL, "mm", {}, {})
