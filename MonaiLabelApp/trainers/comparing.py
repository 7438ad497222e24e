"""A new model beside what answers now: which of the two leaves a reader less to do."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.interaction import Refiners, by_posterior, by_shape, evaluate_clicks
from landmarklabel.engine.trainer import TrainingResult
from landmarklabel.errors import ModelError
from landmarklabel.interaction.gradients import Gradients
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.interaction.templates import FEWEST_LABELS, LabelledLook, Templates, learned_from
from landmarklabel.io.dataset import Case, LandmarkDataset
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from models import PublishedModel

logger = logging.getLogger(__name__)

#: Clicks of the simulated reader by which models are compared.
CLICKS = 5

#: By which part one validation image may take the better of two models for the worse; n images, by this over their
#: root. Of models of 9, 14 and 21 cephalograms, each better on 60 others than the one before, one or two images had all
#: worse, by 2 to 9 %.
CHANCE = 0.25


@dataclass(frozen=True)
class Comparison:
    """A new model beside what it would replace, on the same validation images.

    Attributes:
        new: its error.
        old: the error of what answers now; None if nothing does.
        details: further figures for ``train_stats``.
        allowance: the part by which the new one may look worse, as it has learned from more and so few images may err;
            below 0, by which it has to look better.
    """

    new: float
    old: float | None
    details: dict[str, Any] = field(default_factory=dict)
    allowance: float = 0.0

    @property
    def better(self) -> bool:
        """Whether the new model is to be published."""
        return self.new < (math.inf if self.old is None else self.old * (1 + self.allowance))


def by_radial_error(result: TrainingResult, published: PublishedModel, protocol: Protocol) -> Comparison:
    """Mean radial errors of a new model and of the published one, which may not be there or can't be used."""
    new = evaluate(Predictor.load(result.model), result.validation).summary().mre
    try:
        old = Predictor.load(published.path, protocol=protocol)
    except ModelError as problem:
        logger.info("nothing to compare with: %s", problem)
        return Comparison(new, None)
    allowance = _allowance(result, published.path)
    return Comparison(new, evaluate(old, result.validation).summary().mre, allowance=allowance)


def by_clicks(
    result: TrainingResult,
    shape: ShapePrior,
    published: Sequence[PublishedModel],
    dataset: LandmarkDataset,
    shape_only: bool = False,
) -> Comparison:
    """Mean radial errors over images and 0 to 5 clicks, each on the worst landmark of an image.

    Each network's maps are read on the same shape of labels, with templates of the same labels where these add; without
    a published one, shape and templates are what answers now. So no network comes into use that moves landmarks worse
    than what needs none.

    Args:
        result: of the training of a model.
        shape: of its labels.
        published: what may answer now; the first that can be used does.
        dataset: that it learned from.
        shape_only: no templates.
    """
    new, templates = Predictor.load(result.model), None if shape_only else learned_templates(result, dataset)
    name, now, allowance = _answers_now(result, shape, templates, published, dataset.protocol)
    mine = _errors_by_clicks(by_posterior(new, shape, new.config.posterior, templates), result.validation)
    others = _errors_by_clicks(now, result.validation)
    details = {"validation_by_clicks": _rounded(mine), "published_by_clicks": _rounded(others)}
    return Comparison(statistics.mean(mine), statistics.mean(others), {**details, "compared_with": name}, allowance)


def with_mean_shape(result: TrainingResult, shape: ShapePrior) -> Comparison:
    """Mean radial errors of a new model by itself, and of the mean shape of its labels on every image."""
    new = evaluate(Predictor.load(result.model), result.validation).summary().mre
    (mean,) = _errors_by_clicks(by_shape(shape), result.validation, 0)
    return Comparison(new, mean, {"compared_with": "the mean shape of labels"})


def learned_templates(result: TrainingResult, dataset: LandmarkDataset) -> Templates | None:
    """Of the labels that a model did not validate by; None if these are too few."""
    patients = {case.patient for case in result.validation}
    all_cases = (case for case in dataset.trustworthy() if case.has_landmarks and case.patient not in patients)
    cases = {case.id: case for case in all_cases}
    if len(cases) < FEWEST_LABELS:
        return None
    return Templates.fit([_look(cases[name]) for name in learned_from(cases)])


def _look(case: Case) -> LabelledLook:
    return LabelledLook.of(Gradients.of(case.radiograph()), np.asarray(case.points, dtype=np.float64))


def _answers_now(
    result: TrainingResult,
    shape: ShapePrior,
    templates: Templates | None,
    published: Sequence[PublishedModel],
    protocol: Protocol,
) -> tuple[str, Refiners, float]:
    """What moves landmarks now, in words and as such; and by how much the new model may look worse than that."""
    for model in published:
        try:
            predictor = Predictor.load(model.path, protocol=protocol)
        except ModelError as problem:
            logger.info("nothing to compare with: %s", problem)
            continue
        now = by_posterior(predictor, shape, predictor.config.posterior, templates)
        allowance = _allowance(result, model.path) if model is published[0] else 0.0  # another task's is another matter
        return f"the model of '{model.task}'", now, allowance
    # The first network: labels alone do no harm, and one image may find a bad network better.
    return "the labels alone", by_shape(shape, templates), -CHANCE / math.sqrt(len(result.validation))


def _allowance(result: TrainingResult, published: Path) -> float:
    """None for a model that has learned from no more labels than the published one."""
    new, old = (_labels(path) for path in (result.model, published))
    return CHANCE / math.sqrt(len(result.validation)) if new > old else 0.0


def _labels(model: Path) -> int:
    """How many images a model was trained and validated on; 0 if it does not say."""
    data = read_header(model).data
    return sum(int(data.get(part, 0)) for part in ("training_images", "validation_images"))


def _errors_by_clicks(refiners: Refiners, cases: Sequence[Case], clicks: int = CLICKS) -> list[float]:
    """Mean radial error over the images after 0 to ``clicks`` clicks, in mm or, without a spacing, pixels."""
    errors = evaluate_clicks([case for case in cases if case.has_landmarks], refiners, clicks).by_clicks
    return [float(error) for error in errors.mean(axis=0)]


def _rounded(errors: Sequence[float]) -> list[float]:
    return [round(error, 4) for error in errors]
