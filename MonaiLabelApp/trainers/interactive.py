"""Train task ``interactive``: networks whose maps follow a reader's clicks."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence

from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.data import training_and_validation
from landmarklabel.engine.interaction import Refiners, by_posterior, by_shape, evaluate_clicks
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.errors import DataError, ModelError
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.predictor import Predictor
from models import PublishedModel
from trainers.base import Comparison, NetworkTrainTask, Workplace

logger = logging.getLogger(__name__)

#: Clicks of the simulated reader by which models are compared.
CLICKS = 5


class InteractiveTrainTask(NetworkTrainTask):
    """Trains the model of ``refine``; better is what leaves less error after 0 to 5 clicks.

    It is compared with whatever answers ``refine`` now, on the same shape of labels: the interactive model that is
    published, else the maps of the model of ``landmarks``, else the shape alone. So no network comes into use that
    moves landmarks worse than what needs none.

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
        """Mean radial errors over images and 0 to 5 clicks, each on the worst landmark of an image."""
        new = Predictor.load(result.model)
        shape = new.shape
        assert shape is not None, "a run that passed the check knows the shape of its labels"
        name, now = self._now(shape, dataset)
        mine = _errors_by_clicks(by_posterior(new, shape, new.config.posterior), result.validation)
        others = _errors_by_clicks(now, result.validation)
        details = {"validation_by_clicks": _rounded(mine), "published_by_clicks": _rounded(others)}
        return Comparison(statistics.mean(mine), statistics.mean(others), {**details, "compared_with": name})

    def _now(self, shape: ShapePrior, dataset: LandmarkDataset) -> tuple[str, Refiners]:
        """What moves landmarks now, in words and as such."""
        for model in (self._model, self._landmarks):
            try:
                predictor = Predictor.load(model.path, protocol=dataset.protocol)
            except ModelError as problem:
                logger.info("nothing to compare with: %s", problem)
                continue
            return f"the model of '{model.task}'", by_posterior(predictor, shape, predictor.config.posterior)
        return "the shape of labels alone", by_shape(shape)


def _errors_by_clicks(refiners: Refiners, cases: Sequence[Case]) -> list[float]:
    """Mean radial error over the images after 0 to :data:`CLICKS` clicks, in mm or, without a spacing, pixels."""
    by_clicks = evaluate_clicks([case for case in cases if case.has_landmarks], refiners, CLICKS).by_clicks
    return [float(error) for error in by_clicks.mean(axis=0)]


def _rounded(errors: Sequence[float]) -> list[float]:
    return [round(error, 4) for error in errors]
