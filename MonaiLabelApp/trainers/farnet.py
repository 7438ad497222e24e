"""Train task ``farnet``: networks that find all landmarks at once."""

from __future__ import annotations

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.interaction import by_shape, evaluate_clicks
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.predictor import Predictor
from trainers.base import Comparison, NetworkTrainTask, by_radial_error


class FarnetTrainTask(NetworkTrainTask):
    """Trains the model of ``landmarks``; better is what has the lower mean radial error.

    The first model has to be better than the mean shape of its labels: less than that nobody is to be shown.
    """

    name, method = "farnet", "FARNet"

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name not in ("interactive", "denseseg")

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """A network alone can answer ``landmarks``."""

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Their mean radial errors."""
        comparison, shape = by_radial_error(result, self._model, dataset.protocol), Predictor.load(result.model).shape
        if comparison.old is not None or shape is None:
            return comparison
        mean = evaluate_clicks([case for case in result.validation if case.has_landmarks], by_shape(shape), clicks=0)
        return Comparison(comparison.new, float(mean.by_clicks.mean()), {"compared_with": "the mean shape of labels"})
