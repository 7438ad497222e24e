"""The command line: ``landmarklabel --help``.

Each command is a thin layer over a function of the library. Whatever a user did wrong ends with one sentence on
standard error and exit status 2.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli_boneage import app as bone_age
from .cli_dicom import from_dicom, to_dicom
from .cli_evaluate import evaluate
from .cli_export import export
from .cli_labels import app as labels
from .cli_measure import measure
from .cli_options import Changes, Device, ProtocolOption, Source, bar, change, say_suspicious
from .cli_predict import carry, predict
from .cli_runs import app as runs
from .cli_search import search
from .cli_serve import serve, token
from .cli_simulate import simulate
from .errors import ConfigError, LandmarkLabelError

# PyTorch and MONAI take seconds to import: each command imports what it needs when it runs.

app = typer.Typer(
    help="Anatomical landmarks on radiographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bone_age, name="bone-age")
app.add_typer(runs, name="runs")
app.add_typer(labels, name="labels")


@app.command()
def protocols(
    name: Annotated[str | None, typer.Argument(help="Show the landmarks of this protocol (name or YAML file).")] = None,
) -> None:
    """List the anatomies there are, or the landmarks of one.

    Example: landmarklabel protocols cephalometric_19
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .protocol import load_protocol, shipped_protocols

    if name is None:
        table = Table("protocol", "landmarks", "structures", "anatomy")
        for key in shipped_protocols():
            protocol = load_protocol(key)
            table.add_row(key, str(len(protocol)), str(len(protocol.structures)), escape(protocol.title))
    else:
        protocol = load_protocol(name)
        table = Table("", "label", "name", "where", title=escape(protocol.title))
        for number, landmark in enumerate(protocol.landmarks, start=1):
            table.add_row(str(number), *map(escape, (landmark.label, landmark.name, landmark.description)))
    Console().print(table)


@app.command()
def phantom(
    protocol: Annotated[str, typer.Argument(help="cephalometric_19, chest_166 or spine_68.")],
    out: Annotated[Path, typer.Option(help="Studies folder to write to; what is there stays.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many images.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the first image; each further one counts up.")] = 0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    dicom: Annotated[int, typer.Option(min=0, help="Write this many of them as DICOM.")] = 0,
    unlabelled: Annotated[int, typer.Option(min=0, help="Leave the last so many without a label.")] = 0,
) -> None:
    """Make synthetic radiographs with their labels, as a MONAI Label studies folder.

    Example: landmarklabel phantom spine_68 -n 20 --seed 1 --out studies/spine
    """
    from tqdm import tqdm

    from .phantoms.studies import write_studies

    images = write_studies(protocol, number, seed, out, _size(size), dicom=dicom, unlabelled=unlabelled)
    for _ in tqdm(images, total=number, unit="image", disable=None):
        pass
    typer.echo(f"{number} images of {protocol} in {out}")


@app.command("import")
def import_(
    layout: Annotated[str, typer.Argument(help="isbi2015, aasce, jsrt, hand or graz.")],
    folder: Annotated[Path, typer.Argument(help="Where the published files are.")],
    studies: Annotated[Path, typer.Argument(help="Studies folder to fill.")],
    split: Annotated[str | None, typer.Option(help="Only this split of the layout.")] = None,
    include_suspicious: Annotated[bool, typer.Option(help="Import labels that look wrong by geometry, too.")] = False,
    protocol: Annotated[str | None, typer.Option(help="Protocol, by name or YAML file, in place of the usual.")] = None,
) -> None:
    """Put a published data set into a studies folder, with its labels as final.

    Example: landmarklabel import isbi2015 ~/data/isbi2015 studies/cephalograms --split train
    """
    from .io.dataset import read_dataset
    from .io.importing import import_dataset

    dataset = read_dataset(f"{layout}:{folder}", protocol)
    advance = bar("importing")
    report = import_dataset(dataset, studies, split, include_suspicious, progress=lambda *_: advance())
    say_suspicious(dataset)
    typer.echo(str(report))


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="Name of a file in configs/experiments, or a path.")],
    data: Source,
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished run in it is resumed.")],
    protocol: ProtocolOption = None,
    changes: Changes = None,
    start_from: Annotated[Path | None, typer.Option(help="Model file whose weights to start from.")] = None,
    device: Device = "auto",
) -> None:
    """Train a model; run it again to resume after an interruption.

    Example: landmarklabel train farnet_isbi2015_light --data isbi2015:data/isbi2015 --out runs/light
    """
    from .engine.config import load_experiment
    from .engine.distributed import processes
    from .io.dataset import read_dataset

    settings = load_experiment(config, dict(change(text) for text in changes or ()))
    with processes():
        from .engine.trainer import train as run

        dataset = read_dataset(data, protocol)
        say_suspicious(dataset)
        result = run(settings, dataset, out, device=device, start_from=start_from)
    unit = "" if "val_mre" not in result.metrics else f", validation MRE {result.metrics['val_mre']:.3f}"
    typer.echo(f"{result.model}: best epoch {result.best_epoch} of {result.epochs}{unit}")


app.command()(evaluate)
app.command()(predict)
app.command()(carry)
app.command()(measure)
app.command()(search)
app.command()(simulate)
app.command()(export)
app.command()(to_dicom)
app.command()(from_dicom)


app.command()(serve)
app.command()(token)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    sides = [int(side) if side.isascii() and side.isdigit() and len(side) < 6 else 0 for side in (width, height)]
    if not all(64 <= side <= 8192 for side in sides):
        raise ConfigError(f"--size {text}: expected WIDTHxHEIGHT from 64x64 to 8192x8192, such as 512x512")
    return sides[0], sides[1]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake is one sentence and status 2, Ctrl-C status 130."""
    try:
        app(arguments)
    except LandmarkLabelError as problem:
        typer.echo(f"error: {problem}", err=True)
        sys.exit(2)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        typer.echo(f"error: {where}{problem.strerror or problem}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
