"""Train task ``farnet``: networks that find all landmarks at once."""

from __future__ import annotations

from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from models import PublishedModel
from trainers.base import NetworkTrainTask, is_same_network
from trainers.comparing import Comparison, by_clicks, by_radial_error, with_mean_shape

#: What is trained without another word, for landmarks that recur (as the corners of vertebrae do) and for others.
_RECURRING, _OTHERS = "fpn_shared", "fpn_light"


def usual_experiment(model: PublishedModel) -> str:
    """What the model in use was trained by, so that its weights go on learning; where that is none of ours, or there is
    no model, what serves a reader best.
    """  # fmt: skip
    usual = _RECURRING if len(set(model.protocol.kinds)) < len(model.protocol) else _OTHERS
    if model.problem() is not None:
        return usual
    network = read_header(model.path).config.network
    known = (usual, _OTHERS, "farnet_light")
    return next((name for name in known if is_same_network(load_experiment(name).network, network)), usual)


class FarnetTrainTask(NetworkTrainTask):
    """Trains the model of ``landmarks``, by whose maps ``refine`` answers as well.

    Better is what leaves less error after 0 to 5 clicks; of labels too few to know their shape, at first sight. The
    first model has to be better than the mean shape of its labels by itself, too: less than that nobody is to be shown.
    """

    name, method = "farnet", "Networks that find all landmarks at once"

    @staticmethod
    def trains(config: ExperimentConfig) -> bool:
        return config.network.name not in ("interactive", "denseseg")

    def check(self, config: ExperimentConfig, dataset: LandmarkDataset) -> None:
        """A network alone can answer ``landmarks``."""

    def compare(self, result: TrainingResult, dataset: LandmarkDataset) -> Comparison:
        """Mean radial errors, at first sight or over 0 to 5 clicks."""
        shape = Predictor.load(result.model).shape
        if shape is None:
            return by_radial_error(result, self._model, dataset.protocol)
        if self._model.problem() is not None:  # there is nothing that could answer now
            alone = with_mean_shape(result, shape)
            if not alone.better:
                return alone
        return by_clicks(result, shape, (self._model,), dataset, self._place.shape_only)
