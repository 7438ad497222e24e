"""Train task ``farnet``: networks that find all landmarks at once."""

from __future__ import annotations

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.io.dataset import LandmarkDataset
from trainers.base import Comparison, NetworkTrainTask, by_radial_error


class FarnetTrainTask(NetworkTrainTask):
    """Trains the model of ``landmarks``; better is what has the lower mean radial error."""

    name, method = "farnet", "FARNet"

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name not in ("interactive", "denseseg")

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """A network alone can answer ``landmarks``."""

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Their mean radial errors."""
        return by_radial_error(result, self._model, dataset.protocol)
