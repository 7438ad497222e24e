"""``landmarklabel evaluate``: a model's predictions beside the truth, after clicks, and by structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import Device, PrecisionOption, ProtocolOption, Source, bar
from .errors import ConfigError, listed
from .files import atomic_write, require_place, to_json
from .yamlfile import validate

# PyTorch and MONAI take seconds to import: what needs them imports them when it runs.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .engine.interaction import ClickEvaluation
    from .io.dataset import Case, LandmarkDataset
    from .modelfile import ModelHeader
    from .predictor import AnyDecoder, Predictor


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    data: Source,
    split: Annotated[
        str | None, typer.Option(help="Split of the layout; default: the one its config tests on.")
    ] = None,
    protocol: ProtocolOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row for each landmark of each image.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture: error curves, best, median and worst image.")
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            help="maximum, soft_argmax, local_soft_argmax or dark; of a model with uv-maps softmin or local_linear."
        ),
    ] = None,
    include_suspicious: Annotated[bool, typer.Option(help="Evaluate also where the label looks wrong.")] = False,
    structures: Annotated[bool, typer.Option("--structures", help="Compare closed structures, too.")] = False,
    segmentation_plot: Annotated[
        Path | None, typer.Option(help="Write a picture: best, median and worst image by the structures' ASD.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=0, help="Let a simulated reader correct so many landmarks, too.")] = 0,
    order: Annotated[str, typer.Option(help="What the reader corrects next: oracle, model or random.")] = "oracle",
    noise: Annotated[float, typer.Option(min=0, help="Deviation of the reader's clicks, in mm (px if unknown).")] = 0,
    target: Annotated[list[float] | None, typer.Option(help="Error to be reached by clicks; default: radii.")] = None,
    refiner: Annotated[
        str, typer.Option(help="What follows clicks: posterior (maps and shape of labels), or the network alone.")
    ] = "posterior",
    click_plot: Annotated[
        Path | None, typer.Option(help="Write a picture: error by clicks, NoC and FR by target, and by hand.")
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = "fp32",
) -> None:
    """Compare a model's predictions with true landmarks, and with true structures.

    Example: landmarklabel evaluate runs/light/model.safetensors --data isbi2015:data/isbi2015 --split test1

    With a reader who corrects ten landmarks: --clicks 10 --target 2 --click-plot clicks.png

    With overlap and distances of closed structures: --structures --segmentation-plot structures.png
    """
    from .engine.evaluation import evaluate as run
    from .engine.evaluation_report import leaked, print_table, report, write_csv
    from .engine.segmentation_evaluation import evaluated_regions
    from .io.dataset import read_dataset
    from .modelfile import read_header
    from .precision import as_precision
    from .predictor import Predictor, require_protocol

    _require_click_options(clicks, order, refiner, click_plot)
    for output in filter(None, (json_file, csv_file, plot, click_plot, segmentation_plot)):
        require_place(output)
    header = read_header(model)
    predictor = Predictor.load(model, device, _decoder(decoder, header), precision=as_precision(precision))
    if structures or segmentation_plot:
        evaluated_regions(predictor)  # says so before long work if there are none
    dataset = read_dataset(data, protocol or header.protocol)
    require_protocol(header, dataset.protocol, model.name)
    chosen = split if split is not None else _own_split(header, dataset)
    cases = _cases(dataset, chosen, include_suspicious)
    evaluation = run(predictor, cases, progress=bar("evaluating", len(cases)))
    unseen = ~leaked(cases, header)
    without_leaks = evaluation.subset(unseen)
    print_table(evaluation, without_leaks)
    title = f"{header.config.method} on {dataset.name} {chosen or ''}"
    more: dict[str, Any] = {}
    if structures or segmentation_plot:
        segmented = _segmented(dataset, chosen, include_suspicious)
        more |= _structures(predictor, segmented, ~leaked(segmented, header), segmentation_plot, title)
    if clicks:
        revised = _revised(predictor, cases, clicks, order, noise, refiner)
        targets = target or predictor.protocol.radii
        more |= _click_figures(revised, unseen, targets)
        more["clicks"] |= {"order": order, "noise": noise, "refiner": refiner, **_weighing(predictor, refiner)}
        if click_plot:
            _plot_clicks(revised, click_plot, max(targets), f"{header.config.method}, {order} order")
    if json_file:
        content = report(evaluation, without_leaks, dataset, chosen, header, predictor.decoder) | more
        atomic_write(json_file, to_json(content))
    if csv_file:
        write_csv(evaluation, csv_file)
    if plot:
        from .engine.evaluation_plots import plot_evaluation

        plot_evaluation(evaluation, cases, plot, title)


def _decoder(method: str | None, header: ModelHeader) -> AnyDecoder:
    """The model's own, or with another method that is one of its kind of maps."""
    config = header.config
    own = config.uv_decoder if config.network.name == "denseseg" else config.decoder
    changes = {} if method is None else {"method": method}
    return validate({**own.model_dump(), **changes}, type(own), ConfigError, "--decoder")


def _own_split(header: ModelHeader, dataset: LandmarkDataset) -> str | None:
    """The split that the model's configuration tests on; None where it is one of other data than these."""
    own = header.config.test_on
    return own if own in {case.split for case in dataset.cases} else None


def _cases(dataset: LandmarkDataset, split: str | None, include_suspicious: bool) -> tuple[Case, ...]:
    from .engine.data import of_split

    usable = dataset.labelled() if include_suspicious else dataset.trustworthy()
    return tuple(case for case in of_split(usable, split, dataset) if case.has_landmarks)


def _segmented(dataset: LandmarkDataset, split: str | None, include_suspicious: bool) -> tuple[Case, ...]:
    """The same, and those that have a label image alone."""
    from .engine.data import of_split

    known = [case for case in dataset.cases if case.has_landmarks or case.segmentation is not None]
    usable = [case for case in known if include_suspicious or case.id not in dataset.suspicious]
    return of_split(usable, split, dataset)


def _structures(
    predictor: Predictor, cases: tuple[Case, ...], unseen: NDArray[np.bool_], plot: Path | None, title: str
) -> dict[str, Any]:
    """Figures of structures, printed, drawn, and for JSON."""
    from .engine.segmentation_evaluation import evaluate_segmentation
    from .engine.segmentation_report import plot_structures, print_structures, structure_figures

    evaluation = evaluate_segmentation(predictor, cases, progress=bar("segmenting", len(cases)))
    without_leaks = evaluation.subset(unseen)
    print_structures(evaluation, without_leaks)
    if plot:
        plot_structures(predictor, evaluation, cases, plot, title)
    return structure_figures(evaluation, without_leaks)


def _require_click_options(clicks: int, order: str, refiner: str, click_plot: Path | None) -> None:
    """Before long work."""
    from .interaction.simulation import ORDERS

    if order not in ORDERS:
        raise ConfigError(f"--order {order}: expected one of {listed(ORDERS)}")
    if refiner not in ("posterior", "network"):
        raise ConfigError(f"--refiner {refiner}: expected posterior or network")
    if click_plot and not clicks:
        raise ConfigError("--click-plot: there is nothing to draw without --clicks N")


def _revised(
    predictor: Predictor, cases: tuple[Case, ...], clicks: int, order: str, noise: float, refiner: str
) -> ClickEvaluation:
    from .engine.interaction import by_network, by_posterior, evaluate_clicks

    if refiner == "network":
        refiners = by_network(predictor)
    elif predictor.shape is None:
        raise ConfigError("--clicks: the model does not hold the shape of its training labels; train it again")
    else:
        refiners = by_posterior(predictor, predictor.shape, predictor.config.posterior)
    return evaluate_clicks(cases, refiners, clicks, order, noise, progress=bar("clicking", len(cases)))


def _click_figures(
    revised: ClickEvaluation, unseen: NDArray[np.bool_], targets: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """Figures by the number of clicks, printed and for JSON."""
    from .engine.click_report import curves, figures, print_clicks

    found = figures(revised, targets)
    print_clicks(found)
    if not unseen.all() and unseen.any():
        without = revised.subset(unseen)
        found["without_leaked"] = {"images": len(without.ids), "refined": curves(without.by_clicks, targets)}
    return {"clicks": found}


def _weighing(predictor: Predictor, refiner: str) -> dict[str, Any]:
    return {"posterior": predictor.config.posterior.model_dump()} if refiner == "posterior" else {}


def _plot_clicks(revised: ClickEvaluation, path: Path, target: float, title: str) -> None:
    from .engine.click_plots import Curves, plot_clicks

    curves = {"refined": Curves(revised.by_clicks, revised.manual)}
    plot_clicks(curves, path, revised.unit, 1.2 * target, title)
