"""``landmarklabel runs``: the training runs of a server, and going back to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .engine.runs import Run

app = typer.Typer(help="The training runs of a server: what each was, how it ended; and going back to one.")

Folder = Annotated[Path, typer.Argument(help="Folder of models, or the studies folder beside it.")]


@app.command("list")
def list_(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known, as JSON.")] = False,
) -> None:
    """List all runs, the newest last, and which model is in use.

    Example: landmarklabel runs list studies/spine
    """
    from .engine.runs import list_runs, models_of

    runs = list_runs(models_of(folder))
    if as_json:
        typer.echo(json.dumps([run.summary() for run in runs], indent=1))
        return
    _show(runs)


@app.command()
def rollback(
    folder: Folder,
    run: Annotated[str, typer.Argument(help="Id of the run, as runs list has it.")],
    protocol: Annotated[str | None, typer.Option(help="Protocol of the run, if several have one of that id.")] = None,
) -> None:
    """Put the model of a run into use; a server that runs answers with it from the next image on.

    Example: landmarklabel runs rollback studies/spine farnet-20260921-101500
    """
    from .engine.runs import models_of, publish_run

    done = publish_run(models_of(folder), run, protocol)
    typer.echo(f"{done.protocol}: '{done.task}' answers with model {done.version} of {done.id}; the one before is kept")


def _show(runs: list[Run]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("run", "by", "protocol", "model of", "state", "images", "val. MRE", "weights", "in use")
    for run in runs:
        error = run.metrics.get("val_mre")
        images = run.data.get("training_images")
        table.add_row(
            escape(run.id), escape(run.started_by), escape(run.protocol), run.task, run.state,
            "" if images is None else str(images), "" if error is None else f"{error:.3f}", run.version,
            "yes" if run.in_use else "",
        )  # fmt: skip
    Console().print(table)
    for run in runs:
        if run.reason:
            typer.echo(f"{run.id}: {run.reason}")
