"""Train task ``interactive``: networks whose maps follow a reader's clicks."""

from __future__ import annotations

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.data import training_and_validation
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.errors import DataError
from landmarklabel.interaction.shape_prior import FEWEST_LABELS
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.predictor import Predictor
from models import PublishedModel
from trainers.base import NetworkTrainTask, Workplace
from trainers.comparing import Comparison, by_clicks


class InteractiveTrainTask(NetworkTrainTask):
    """Trains the model of ``refine``; better is what leaves less error after 0 to 5 clicks.

    It is compared with whatever answers ``refine`` now, on the same shape of labels: the interactive model that is
    published, else the maps of the model of ``landmarks``, else the shape alone.

    Args:
        model: the published interactive model.
        landmarks: the published model of ``landmarks``.
    """

    name, method = "interactive", "Interactive keypoint network"

    def __init__(self, model: PublishedModel, landmarks: PublishedModel, place: Workplace, experiment: str) -> None:
        super().__init__(model, place, experiment)
        self._landmarks = landmarks

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name == "interactive"

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """Corrections are answered with a shape, too, which is learned from the training images.

        Raises:
            DataError: there are too few of them.
        """
        training = sum(case.has_landmarks for case in training_and_validation(dataset, config)[0])
        if training < FEWEST_LABELS:
            raise DataError(
                f"{training} labelled images to train on are too few: how landmarks lie is learned from "
                f"{FEWEST_LABELS}, beside those that are held out to validate"
            )

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Mean radial errors over images and 0 to 5 clicks."""
        shape = Predictor.load(result.model).shape
        assert shape is not None, "a run that passed the check knows the shape of its labels"
        return by_clicks(result, shape, (self._model, self._landmarks), dataset, self._place.shape_only)
