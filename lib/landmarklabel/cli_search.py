"""``landmarklabel search``: the loss weights of a network with masks and uv-maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Changes, Device, ProtocolOption, Source, change, say_suspicious

# PyTorch and MONAI take seconds to import: each command imports what it needs when it runs.


def search(
    config: Annotated[str, typer.Argument(help="Name of a file in configs/experiments, or a path.")],
    data: Source,
    out: Annotated[Path, typer.Option(help="Folder of the search; one in it that is not finished is resumed.")],
    trials: Annotated[int, typer.Option(min=1, help="How many training runs, in all.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the weights that are tried.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each trial; default: the configuration's.")] = None,
    protocol: ProtocolOption = None,
    changes: Changes = None,
    device: Device = "auto",
) -> None:
    """Search the loss weights of denseseg, by overlap and landmark error on validation images.

    Example: landmarklabel search denseseg_light --data studies:studies/spine --protocol spine_68 --out s --trials 30

    Run it again to resume after an interruption, or with more --trials to go on.
    """
    from .engine.config import load_experiment
    from .engine.search import SearchTrial
    from .engine.search import search as run
    from .io.dataset import read_dataset

    settings = load_experiment(config, dict(change(text) for text in changes or ()))
    dataset = read_dataset(data, protocol)
    say_suspicious(dataset)

    def say(trial: SearchTrial) -> None:
        weights = ", ".join(f"{name} {value:.3f}" for name, value in trial.weights.items())
        typer.echo(f"trial {trial.number}: {weights}: DSC {100 * trial.dsc:.1f} %, error {trial.mre:.3f}")

    found = run(settings, dataset, out, trials, seed, epochs, device, on_trial=say)
    if found.failed:
        typer.echo(f"{len(found.failed)} trials could not be measured: {next(iter(found.failed.values()))}", err=True)
    best = found.recommended
    typer.echo(f"{out / 'best.yaml'}: trial {best.number}, DSC {100 * best.dsc:.1f} %, {best.mre:.3f} {found.unit}")
