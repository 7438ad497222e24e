"""The folder of one training run: what lies where, and who may write to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ..errors import ConfigError
from ..files import atomic_write, storage_errors, to_json
from ..yamlfile import read_yaml
from .config import ExperimentConfig


class RunFolder:
    """Files of a run.

    ``config.yaml``: what was run. ``data.json``: on what. ``model.safetensors``: the best epoch.
    ``state.safetensors``: to resume from. ``metrics.json``, ``metrics.csv``: a row an epoch.
    ``tensorboard/``: the same as curves. ``pictures/``: predictions against truth, a file a validation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model.safetensors"
        self.state = path / "state.safetensors"
        self.config = path / "config.yaml"
        self.data = path / "data.json"
        self.metrics_json = path / "metrics.json"
        self.metrics_csv = path / "metrics.csv"
        self.tensorboard = path / "tensorboard"
        self.pictures = path / "pictures"

    def create(self) -> None:
        """Make the folder.

        Raises:
            StorageError: it can't be written.
        """
        with storage_errors(self.path, "the run folder"):
            self.path.mkdir(parents=True, exist_ok=True)
            self.pictures.mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while this one trains here.

        Raises:
            ConfigError: another run is using the folder.
        """
        lock = FileLock(str(self.path / ".lock"))
        try:
            with storage_errors(self.path / ".lock", "the run folder"):
                lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"another training run is using {self.path}; give each run a folder of its own") from None
        try:
            yield
        finally:
            lock.release()

    def remember(self, config: ExperimentConfig, data: dict[str, Any]) -> None:
        """Write the configuration and what names the data, or check that the run that is resumed had the same.

        Raises:
            ConfigError: the folder holds a run of another configuration, or on other data.
        """
        content = config.model_dump(mode="json")
        if self.state.exists() or self.model.exists():
            self._require_same(content, data)
        atomic_write(self.config, yaml.safe_dump(content, sort_keys=False).encode())
        atomic_write(self.data, to_json(data))

    def _require_same(self, config: dict[str, Any], data: dict[str, Any]) -> None:
        old_config, old_data = read_yaml(self.config, ConfigError), read_yaml(self.data, ConfigError)
        if not isinstance(old_config, dict) or not isinstance(old_data, dict):
            raise ConfigError(f"{self.path}: its config.yaml or data.json is damaged; give another --out")
        different = [key for key, value in config.items() if old_config.get(key) != value]
        # A longer run may go on where a shorter one ended.
        if set(different) - {"epochs"}:
            raise ConfigError(
                f"{self.path} holds a run with another {', '.join(sorted(different))}; resume with the same "
                "configuration, or give another --out"
            )
        changed = [key for key, value in data.items() if old_data.get(key) != value]
        if changed:
            raise ConfigError(
                f"{self.path} holds a run on other data (another {', '.join(sorted(changed))}); give another --out, "
                "and --start-from to go on from its weights"
            )

    def write_history(self, history: list[dict[str, Any]], summary: dict[str, Any]) -> None:
        """Metrics of all epochs so far, as JSON and CSV."""
        atomic_write(self.metrics_json, to_json({**summary, "epochs": history}))
        columns = list(dict.fromkeys(key for row in history for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(history)
        atomic_write(self.metrics_csv, text.getvalue().encode())
