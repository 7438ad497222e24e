"""Train task ``farnet``: learns from the final labels, and publishes what validates better."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from gateway import in_server
from landmarklabel.engine.config import ExperimentConfig, available_experiments, load_experiment
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.trainer import TrainingResult, train
from landmarklabel.errors import ConfigError, ModelError, listed
from landmarklabel.io.dataset import LandmarkDataset, read_dataset
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from models import PublishedModel
from trainers.progress import TrainingProgress, end_with_parent

logger = logging.getLogger(__name__)

# What MONAI Label itself adds to a request.
_ADDED = ("model", "gpus", "multi_gpu", "local_rank", "bundle_path")


class FarnetTrainTask(TrainTask):
    """Training over HTTP: ``POST /train/farnet`` with any of the settings of :meth:`config`.

    Args:
        model: the published model that better ones replace.
        studies: the studies folder.
        protocol_source: name or file of the protocol.
        experiment: the default configuration.
        runs: folder of the run folders.
    """

    def __init__(self, model: PublishedModel, studies: Path, protocol_source: str, experiment: str, runs: Path) -> None:
        super().__init__(f"FARNet for {model.protocol.title}")
        self._model, self._studies, self._protocol_source = model, studies, protocol_source
        self._experiment, self._runs = experiment, runs
        self._progress = TrainingProgress(runs / "farnet.json")

    def config(self) -> dict[str, Any]:
        """Settings and their defaults; 0 and empty text keep those of the configuration."""
        return {
            "config": [self._experiment, *sorted(set(available_experiments()) - {self._experiment})],
            "epochs": 0,
            "batch_size": 0,
            "learning_rate": 0.0,
            "seed": -1,
            "start_from": ["published", "scratch"],
            "device": ["auto", "cpu", "cuda"],
        }

    def stats(self) -> dict[str, Any]:
        """The state of the newest run, as in ``train_stats`` of /info/."""
        return self._progress.read()

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, in a process of its own; publish the result if it validates better than what is published."""
        out = self._runs / f"farnet-{time.strftime('%Y%m%d-%H%M%S')}"
        if not in_server():
            end_with_parent()
        with self._progress.run(out.name) as progress:
            config = self._config_of(request)
            dataset = read_dataset(f"studies:{self._studies}", self._protocol_source)
            progress.update(labels=len(dataset.trustworthy()), suspicious=len(dataset.suspicious))
            result = train(
                config,
                dataset,
                out,
                device=_choice(request, "device") or "auto",
                start_from=self._start_from(request, config),
                on_epoch=progress.epoch,
                quiet=True,
            )
            progress.update(published=self._publish_if_better(result, dataset, progress))
        return self._progress.read()

    def _config_of(self, request: dict[str, Any]) -> ExperimentConfig:
        known = self.config()
        unknown = sorted(set(request) - set(known) - set(_ADDED))
        if unknown:
            raise ConfigError(f"{listed(unknown)}: no setting of this training, which has {listed(known)}")
        name = _choice(request, "config") or self._experiment
        if name != self._experiment and name not in available_experiments():
            raise ConfigError(f"there is no experiment '{name}' on this server; GET /info/ lists them under trainers")
        keys = {"epochs": "epochs", "batch_size": "batch_size", "learning_rate": "optimizer.learning_rate"}
        changes = {keys[key]: request[key] for key in keys if request.get(key)}
        if request.get("seed", -1) != -1:
            changes["seed"] = request["seed"]
        # Splits are those of published layouts; studies have none.
        changes |= {"train_on": None, "validate_on": None, "test_on": None}
        return load_experiment(name, changes)

    def _start_from(self, request: dict[str, Any], config: ExperimentConfig) -> Path | None:
        """The published model, if it is wanted and is the same network; its weights then go on learning."""
        wanted = _choice(request, "start_from") or "published"
        if wanted not in ("published", "scratch"):
            raise ConfigError(f"start_from is 'published' or 'scratch', got {wanted!r}")
        if wanted == "scratch" or self._model.problem() is not None:
            return None
        old = read_header(self._model.path).config.network
        same = old.model_dump(exclude={"pretrained"}) == config.network.model_dump(exclude={"pretrained"})
        return self._model.path if same else None

    def _publish_if_better(self, result: TrainingResult, dataset: LandmarkDataset, progress: TrainingProgress) -> bool:
        """Publish the new model if it beats the published one on the same validation images."""
        new = evaluate(Predictor.load(result.model), result.validation).summary().mre
        try:
            old = evaluate(Predictor.load(self._model.path, protocol=dataset.protocol), result.validation).summary().mre
        except ModelError as problem:
            logger.info("nothing to compare with: %s", problem)
            old = float("inf")
        progress.update(validation_mre=round(new, 4), published_mre=round(old, 4) if old < float("inf") else None)
        if new < old:
            self._model.publish(result.model)
        return new < old


def _choice(request: dict[str, Any], key: str) -> str:
    """One of several names; clients that show them send the list back, the chosen one first."""
    value = request.get(key) or ""
    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a name, got {str(value)[:60]!r}")
    return value
