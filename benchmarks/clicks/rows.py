"""The rows of the tables: who answers a reader, in which order, how exact; each evaluated into a file of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from landmarklabel.engine.click_report import curves, figures
from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.interaction import (
    ClickEvaluation,
    Refiners,
    by_network,
    by_posterior,
    by_shape,
    evaluate_clicks,
)
from landmarklabel.files import atomic_write, to_json
from landmarklabel.interaction.posterior import PosteriorConfig
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io.cases import Case
from landmarklabel.modelfile import read_header
from landmarklabel.predictor import Predictor

from .data import Figures, Parts
from .methods import DEFAULT, METHODS, PUBLISHED, configuration

CLICKS = 10
#: Few labels are drawn so many times, and their figures are means over the draws.
FEW_LABELS, DRAWS = (5, 12, 50), 5


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        title: its name in tables.
        refiner: ``shape``, no network; ``network``, its own decoding; ``posterior``, maps and shape.
        model: name of the network's folder in WORK.
        labels: how many labels the shape is learned from; None: all of the training part.
        order: which landmark is clicked next.
        noise: deviation of clicks, in the unit of errors.
    """

    title: str
    refiner: Literal["shape", "network", "posterior"]
    model: str | None = None
    labels: int | None = None
    order: str = "oracle"
    noise: float = 0.0

    @property
    def file_name(self) -> str:
        return re.sub(r"\W+", "_", self.title) + ".json"


#: Parts of the published network, which are compared as such: by their own decoding.
_ABLATIONS = ("interactive_ritm", "interactive_gate", "interactive_morphology", "interactive_brs", "interactive_fbrs")


def models_in(work: Path) -> dict[str, bool]:
    """Names of the networks whose training is over, in the order of the tables, and whether each takes clicks."""
    there = {path.parent.name: path.with_name("model.safetensors") for path in sorted(work.glob("*/training.json"))}
    names = [*(name for name in METHODS if name in there), *(name for name in there if name not in METHODS)]
    return {name: read_header(there[name]).config.network.name == "interactive" for name in names}


def rows(models: Mapping[str, bool], asked: Figures, brief: bool = False) -> list[Row]:
    """All rows that these networks allow; if ``brief``, of the published recipe only its own decoding."""
    found = [Row(f"shape of {number} labels, no network", "shape", labels=number) for number in FEW_LABELS]
    found.append(Row("shape of all labels, no network", "shape"))
    own = {name: Row(name if clicked else f"{name}, by hand", "network", name) for name, clicked in models.items()}
    left_out = (*_ABLATIONS, PUBLISHED) if brief else _ABLATIONS
    weighed = [name for name in models if name not in left_out]
    joined = {name: Row(f"posterior over {name}", "posterior", name) for name in weighed}
    found += [*own.values(), *joined.values()]
    looked_at = [joined[DEFAULT]] if DEFAULT in models else []
    looked_at += [own[PUBLISHED]] if PUBLISHED in models and not brief else []
    for row in looked_at:
        found += [_like(row, f"{order} order", order=order) for order in ("model", "random")]
        found.append(_like(row, f"clicks off by {asked.noise:g} {asked.unit}", noise=asked.noise))
    return found


def _like(row: Row, what: str, **changes: Any) -> Row:
    return Row(**{**asdict(row), "title": f"{row.title}, {what}", **changes})


def evaluate_row(row: Row, parts: Parts, work: Path, most: int | None = None, again: bool = False) -> dict[str, Any]:
    """Figures of a row and the curves of its images, from its file if that was made of the same.

    The file does not know the code that made it: after a change of that, evaluate ``again``.
    """
    path = work / "rows" / parts.layout / row.file_name
    cases = parts.test[:most]
    made_of = {"row": asdict(row), "images": len(cases), **_model(row, parts, work)}
    if path.exists() and not again:
        content: dict[str, Any] = json.loads(path.read_text())
        if content["made_of"] == made_of:
            return content
    evaluation = _joined([_evaluated(row, parts, work, cases, shape) for shape in _shapes(row, parts)])
    targets = parts.figures.targets
    content = {"made_of": made_of, **figures(evaluation, targets)}
    unseen = [name not in parts.leaked for name in evaluation.ids]
    if not all(unseen):
        without = evaluation.subset(unseen)
        refined, manual = (curves(errors, targets) for errors in (without.by_clicks, without.manual))
        content["without_leaked"] = {"images": len(without.ids), "refined": refined, "manual_revision": manual}
    content["by_image"] = {"refined": _rounded(evaluation.by_clicks), "by_hand": _rounded(evaluation.manual)}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, to_json(content))
    return content


def _model(row: Row, parts: Parts, work: Path) -> dict[str, Any]:
    """What names the network, and how its maps are weighed: as its configuration says now, not when it was trained.

    How sharply maps are read, and by how much stated variances are spread, is the model's own: both were measured on
    its validation images.
    """
    if row.model is None:
        return {}
    header = read_header(work / row.model / "model.safetensors")
    config = header.config.posterior
    if row.model in METHODS:
        today = configuration(row.model, parts.layout).posterior
        config = today.model_copy(update={"spread": config.spread, "sharpness": config.sharpness})
    return {"model": header.version, "posterior": config.model_dump(mode="json")}


def _shapes(row: Row, parts: Parts) -> list[ShapePrior]:
    cases = parts.training.cases
    if row.labels is None:
        return [_shape(cases)]
    orders = (np.random.default_rng(seed).permutation(len(cases))[: row.labels] for seed in range(DRAWS))
    return [_shape([cases[index] for index in order]) for order in orders]


def _shape(cases: Sequence[Case]) -> ShapePrior:
    shape = learn_shape(cases)
    assert shape is not None
    return shape


def _evaluated(row: Row, parts: Parts, work: Path, cases: Sequence[Case], shape: ShapePrior) -> ClickEvaluation:
    return evaluate_clicks(cases, _refiners(row, parts, work, shape), CLICKS, row.order, row.noise)


def _refiners(row: Row, parts: Parts, work: Path, shape: ShapePrior) -> Refiners:
    if row.model is None:
        return by_shape(shape)
    predictor = Predictor.load(work / row.model / "model.safetensors", protocol=parts.training.protocol)
    if row.refiner == "network":
        return by_network(predictor)
    config = PosteriorConfig.model_validate(_model(row, parts, work)["posterior"])
    return by_posterior(predictor, shape, config)


def _joined(evaluations: Sequence[ClickEvaluation]) -> ClickEvaluation:
    """As of so many images more: means over them are means over the evaluations."""
    ids = tuple(name for evaluation in evaluations for name in evaluation.ids)
    names = ClickEvaluation.arrays()
    return ClickEvaluation(ids, *(np.concatenate([getattr(each, name) for each in evaluations]) for name in names))


def _rounded(errors: np.ndarray) -> list[list[float]]:
    rounded: list[list[float]] = errors.round(3).tolist()
    return rounded
