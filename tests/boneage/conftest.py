from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_bones import PROTOCOL, QUICK, aged_data, children, write_studies

from landmarklabel.boneage import Trained, save_bone_age, train_bone_age
from landmarklabel.boneage.modelfile import BoneAgeModel, load_bone_age


@pytest.fixture(scope="session")
def trained() -> Trained:
    return train_bone_age(aged_data(120), QUICK)


@pytest.fixture(scope="session")
def model_file(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "age.safetensors"
    save_bone_age(path, trained.ensemble, QUICK, PROTOCOL, "mm", trained.data, trained.metrics)
    return path


@pytest.fixture(scope="session")
def model(model_file: Path) -> BoneAgeModel:
    return load_bone_age(model_file)


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred synthetic children, ages in ``studies.csv`` beside the folder."""
    return write_studies(tmp_path_factory.mktemp("hands") / "studies", children(100, seed=3))
