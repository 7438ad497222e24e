"""``landmarklabel simulate``: what it costs to label a data set with this tool, from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_options import Changes, ProtocolOption, Source, bar, change, say_suspicious
from .errors import ConfigError
from .yamlfile import validate


def simulate(
    data: Source,
    out: Annotated[Path, typer.Option(help="Folder of the simulation; one that was cut off is continued.")],
    protocol: ProtocolOption = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the layout.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Label so many, drawn at random; default: all.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Error that is right, in mm (px if unknown); default: the first radius.")
    ] = None,
    noise: Annotated[float, typer.Option(min=0, help="Deviation of the reader's clicks, in the same unit.")] = 0,
    order: Annotated[str, typer.Option(help="What the reader looks at first: model, oracle or random.")] = "model",
    confirm: Annotated[bool, typer.Option(help="What is looked at and right stays, as `Space` does in Slicer.")] = True,
    trust: Annotated[
        float, typer.Option(min=0, max=1, help="Do not look at landmarks that the tool says are right with this.")
    ] = 0,
    strategy: Annotated[str, typer.Option(help="Which image is next: mixed, uncertain, diverse, random, first.")] = (
        "mixed"
    ),
    prediction: Annotated[str, typer.Option(help="What is seen first: refine or network.")] = "refine",
    train_at: Annotated[
        str, typer.Option("--train", help="auto: as the server decides; at:10,20: at so many labels; off.")
    ] = "auto",
    wait_for_training: Annotated[bool, typer.Option(help="Rest while a training runs.")] = False,
    experiment: Annotated[str, typer.Option(help="What a training runs; by default what a server does.")] = "",
    changes: Changes = None,
    pace: Annotated[
        tuple[float, float], typer.Option(help="Seconds that the reader takes for a look and for a click.")
    ] = (0.0, 0.0),
    variant: Annotated[str, typer.Option(help="The product, or it without a part: by-hand, prior-only, ...")] = (
        "product"
    ),
    replay: Annotated[
        Path | None, typer.Option(help="Folder of a simulation: its images and models in their order, no training.")
    ] = None,
    serve_option: Annotated[list[str] | None, typer.Option(help="Further option of `landmarklabel serve`.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the images that are drawn, and of the reader's hand.")] = 0,
) -> None:
    """Let a simulated reader label a data set with the real server, from nothing, and count the clicks.

    Writes report.json, report.md and report.png into the folder; log.jsonl grows while it works.

    Example: landmarklabel simulate --data aasce:data/aasce --images 60 --tolerance 20 --out runs/cost
    """
    from .io.dataset import read_dataset
    from .simulation.report import write_report
    from .simulation.run import simulate as run
    from .simulation.settings import Settings, as_variant

    dataset = read_dataset(data, protocol)
    say_suspicious(dataset)
    dataset = dataset.split(split) if split else dataset
    content: dict[str, Any] = {
        "habits": {
            "tolerance": dataset.protocol.radii[0] if tolerance is None else tolerance,
            "noise": noise, "order": order, "confirm": confirm, "trust": trust,
            "look_s": pace[0], "click_s": pace[1],
        },
        "strategy": strategy, "prediction": prediction, "train": train_at, "wait_for_training": wait_for_training,
        "experiment": _experiment(experiment, changes or []),
        "server": serve_option or [], "seed": seed,
    }  # fmt: skip
    if replay is not None:
        content |= {"replay": str(replay.resolve()), "train": "off" if train_at == "auto" else train_at}
    settings = as_variant(validate(content, Settings, ConfigError, "simulate"), variant)
    events = run(settings, dataset, out, images, protocol, bar("labelling", images or len(dataset.trustworthy())))
    typer.echo(write_report(events, out))


def _experiment(name: str, changes: Sequence[str]) -> dict[str, Any]:
    """A configuration as a run of it has it; empty for what a server trains by itself.

    Raises:
        ConfigError: there is no such experiment, or changes of none.
    """
    from .engine.config import load_experiment

    if changes and not name:
        raise ConfigError("--set changes an experiment: say which, as in --experiment fpn_light")
    return load_experiment(name, dict(map(change, changes))).model_dump(mode="json") if name else {}
