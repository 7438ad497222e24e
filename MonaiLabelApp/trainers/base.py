"""What every train task does: learns from the final labels, and publishes what validates better."""

from __future__ import annotations

import logging
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from gateway import in_server
from landmarklabel.engine.config import ExperimentConfig, available_experiments, load_experiment
from landmarklabel.engine.data import learned_from, training_and_validation
from landmarklabel.engine.runrecord import give_way
from landmarklabel.engine.runs import list_runs
from landmarklabel.engine.trainer import TrainingResult, train
from landmarklabel.errors import ConfigError, listed
from landmarklabel.io.dataset import LandmarkDataset, read_dataset
from landmarklabel.modelfile import read_header
from landmarklabel.networks import NetworkConfig
from models import PublishedModel
from trainers.comparing import Comparison
from trainers.progress import TrainingProgress, end_with_parent

logger = logging.getLogger(__name__)

# What MONAI Label itself adds to a request, and what the server's own policy does.
_ADDED = ("model", "gpus", "multi_gpu", "local_rank", "bundle_path", "started_by")


# Of a run that ends by its steps, or by the clock.
_MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class Workplace:
    """Where a server trains.

    Attributes:
        studies: the studies folder.
        protocol_source: name or file of the protocol.
        runs: folder of the run folders.
        threads: that a training may take beside the server.
        shape_only: whether labels answer without templates.
    """

    studies: Path
    protocol_source: str
    runs: Path
    threads: int = 1
    shape_only: bool = False


class NetworkTrainTask(TrainTask):
    """Training over HTTP: ``POST /train/NAME`` with any of the settings of :meth:`config`.

    Args:
        model: the published model that better ones replace.
        place: where to train.
        experiment: the default configuration.

    Attributes:
        name: under which the task is asked for.
        method: what it trains, in words.

    Raises:
        ConfigError: the default configuration is not one of this task's networks.
    """

    name: ClassVar[str]
    method: ClassVar[str]

    def __init__(self, model: PublishedModel, place: Workplace, experiment: str) -> None:
        super().__init__(f"{self.method} for {model.protocol.title}")
        self._model, self._place, self._experiment = model, place, experiment
        self._progress = TrainingProgress(place.runs / f"{self.name}.json")
        self._require_suitable(load_experiment(experiment), experiment)

    @staticmethod
    @abstractmethod
    def trains(config: ExperimentConfig) -> bool:
        """Whether a configuration is one of this task's networks."""

    @abstractmethod
    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """Raise an error, before anything is trained, if what comes of it could not answer."""

    @abstractmethod
    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """The new model beside what answers now."""

    def config(self) -> dict[str, Any]:
        """Settings and their defaults; 0 and empty text keep those of the configuration."""
        return {
            "config": [self._experiment, *(name for name in self._suitable if name != self._experiment)],
            "epochs": 0,
            "steps": 0,
            "seconds": 0.0,
            "batch_size": 0,
            "learning_rate": 0.0,
            "seed": -1,
            "start_from": ["published", "scratch"],
            "device": ["auto", "cpu", "cuda"],
        }

    @cached_property
    def _suitable(self) -> list[str]:
        return [name for name in sorted(available_experiments()) if self.trains(load_experiment(name))]

    def stats(self) -> dict[str, Any]:
        """The state of the newest run, as in ``train_stats`` of /info/."""
        return self._progress.read()

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, in a process of its own; publish the result if it validates better than what answers now.

        Raises:
            ConfigError: in the server's own process, which answers others; or a setting is not right.
            LandmarkLabelError: training went wrong; the published model is as it was.
        """
        if in_server():
            raise ConfigError(
                "run_sync: the server does not train in its own process, where nobody would be answered meanwhile; "
                "leave it out, and GET /train/ says how it goes"
            )
        end_with_parent()
        give_way(self._place.threads)
        out = self._place.runs / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        starter = "policy" if request.get("started_by") == "policy" else "person"
        with self._progress.run(out.name, trainer=self.name, started_by=starter) as progress:
            config = self._config_of(request)
            start_from = self._start_from(request, config)
            dataset = read_dataset(f"studies:{self._place.studies}", self._place.protocol_source)
            progress.update(labels=len(dataset.trustworthy()), suspicious=len(dataset.suspicious))
            if start_from is not None and (reason := _knows_too_much(start_from, dataset, config)):
                logger.info(reason)
                progress.update(reason=reason)
                start_from = None
            config = config if start_from is None else _as_trained(config, start_from)
            config = _of_steps(config, dataset, request)
            self.check(config, dataset)
            result = train(
                config,
                dataset,
                out,
                device=_choice(request, "device") or "auto",
                start_from=start_from,
                on_epoch=progress.epoch,
                quiet=True,
                seconds=_positive(request, "seconds"),
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
        if _positive(request, "steps") or _positive(request, "seconds"):
            # However small its epochs are: its rate falls to the end, and what is best by then was not known before.
            changes = {"epochs": _MOST_EPOCHS, "validation.patience": 0, "validation.pictures": 0, **changes}
        config = load_experiment(name, changes)
        self._require_suitable(config, name)
        return config

    def _require_suitable(self, config: ExperimentConfig, name: str) -> None:
        if not self.trains(config):
            raise ConfigError(
                f"{name} has the network {config.network.name}, which the train task '{self.name}' is not for; "
                f"choose one of {listed(self._suitable, 20)}, or a file like them"
            )

    def _start_from(self, request: dict[str, Any], config: ExperimentConfig) -> Path | None:
        """The model whose weights go on learning, if that is wanted and it is the same network."""
        wanted = _choice(request, "start_from") or "published"
        if wanted not in ("published", "scratch"):
            raise ConfigError(f"start_from is 'published' or 'scratch', got {wanted!r}")
        before = None if wanted == "scratch" else self._newest()
        if before is None:
            return None
        header = read_header(before)
        same_kinds = header.protocol.kinds.tolist() == self._model.protocol.kinds.tolist()
        return before if same_kinds and is_same_network(header.config.network, config.network) else None

    def _newest(self) -> Path | None:
        """The published model; where there is none, that of the last run, which was not good enough to answer by."""
        if self._model.problem() is None:
            return self._model.path
        models, protocol = self._model.path.parent.parent, self._model.protocol
        for run in reversed(list_runs(models)):
            if (run.protocol, run.task, run.state) == (protocol.name, self._model.task, "done") and run.model:
                return run.model if read_header(run.model).protocol.fingerprint == protocol.fingerprint else None
        return None

    def _publish_if_better(self, result: TrainingResult, dataset: LandmarkDataset, progress: TrainingProgress) -> bool:
        comparison = self.compare(result, dataset)
        old = None if comparison.old is None else round(comparison.old, 4)
        progress.update(validation_mre=round(comparison.new, 4), published_mre=old, **comparison.details)
        if comparison.better:
            self._model.publish(result.model)
        return comparison.better


def is_same_network(one: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether the weights of one fit the other."""
    return one.model_dump(exclude={"pretrained"}) == other.model_dump(exclude={"pretrained"})


def _knows_too_much(model: Path, dataset: LandmarkDataset, config: ExperimentConfig) -> str:
    """Why a run begins with fresh weights, in words, if a model has learned from images that would validate the run.

    As labels grow, those that validate stay; not with another seed or fraction, or where labels were taken away.
    """
    validation = training_and_validation(dataset, config)[1]
    learned = learned_from(read_header(model).data, validation)
    if not learned:
        return ""
    return (
        f"began with fresh weights: {model.name} has learned from {len(learned)} of the {len(validation)} images that "
        "validate"
    )


def _as_trained(config: ExperimentConfig, model: Path) -> ExperimentConfig:
    """The configuration, with the loss that a model's maps were trained by: by another they mean something else."""
    old = read_header(model).config
    if old.loss == config.loss:
        return config
    return config.model_copy(update={"loss": old.loss, "decoder": old.decoder, "posterior": old.posterior})


def _of_steps(config: ExperimentConfig, dataset: LandmarkDataset, request: dict[str, Any]) -> ExperimentConfig:
    """The configuration with as many epochs as make the steps that are asked for, if any are."""
    steps = _positive(request, "steps")
    if steps is None or request.get("epochs"):
        return config
    batches = math.ceil(len(training_and_validation(dataset, config)[0]) / config.batch_size)
    return config.model_copy(update={"epochs": min(math.ceil(steps / batches), _MOST_EPOCHS)})


def _positive(request: dict[str, Any], key: str) -> float | None:
    """A number above 0; None where there is none, or 0, for no bound."""
    value = request.get(key) or None
    if value is not None and not (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9):
        raise ConfigError(f"{key}: expected a number above 0, or 0 for no bound, got {str(value)[:60]!r}")
    return value


def _choice(request: dict[str, Any], key: str) -> str:
    """One of several names; clients that show them send the list back, the chosen one first."""
    value = request.get(key) or ""
    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a name, got {str(value)[:60]!r}")
    return value
