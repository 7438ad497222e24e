"""Train task ``farnet``: networks that find all landmarks at once."""

from __future__ import annotations

import logging

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.errors import ModelError
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.predictor import Predictor
from trainers.base import Comparison, NetworkTrainTask

logger = logging.getLogger(__name__)


class FarnetTrainTask(NetworkTrainTask):
    """Trains the model of ``landmarks``; better is what has the lower mean radial error."""

    name, method = "farnet", "FARNet"

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name != "interactive"

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """A network alone can answer ``landmarks``."""

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Their mean radial errors."""
        new = evaluate(Predictor.load(result.model), result.validation).summary().mre
        try:
            published = Predictor.load(self._model.path, protocol=dataset.protocol)
        except ModelError as problem:
            logger.info("nothing to compare with: %s", problem)
            return Comparison(new, None)
        return Comparison(new, evaluate(published, result.validation).summary().mre)
