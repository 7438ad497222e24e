"""Train task ``denseseg``: networks that segment structures and map every pixel to their mean shape."""

from __future__ import annotations

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.networks import DenseSegConfig
from landmarklabel.uvmaps import Regions
from trainers.base import NetworkTrainTask
from trainers.comparing import Comparison, by_radial_error


class DenseSegTrainTask(NetworkTrainTask):
    """Trains the model of ``segmentation``; better is what has the lower mean radial error."""

    name, method = "denseseg", "DenseSeg"

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name == "denseseg"

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """The protocol must have an area to segment.

        Raises:
            ConfigError: it has none, or not the structures that the configuration names.
        """
        assert isinstance(config.network, DenseSegConfig)
        Regions.of(dataset.protocol, config.network.structures)

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Their mean radial errors."""
        return by_radial_error(result, self._model, dataset.protocol)
