"""``landmarklabel predict`` and ``carry``: landmarks and structures of images, as files that 3D Slicer opens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_options import Device, PrecisionOption
from .errors import ConfigError, listed
from .files import storage_errors

if TYPE_CHECKING:
    from .engine.prediction import Answer

# PyTorch and MONAI take seconds to import: each command imports what it needs when it runs.

Model = Annotated[Path, typer.Argument(help="Model file.")]
Images = Annotated[list[Path], typer.Argument(help="Images, or folders of images.")]
Out = Annotated[Path, typer.Option(help="Folder for the .mrk.json files.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Also replace files there that somebody has worked on.")]


def predict(
    model: Model,
    images: Images,
    out: Out,
    overlay: Annotated[bool, typer.Option(help="Also write a picture with what was found.")] = False,
    structures: Annotated[
        bool, typer.Option("--structures", help="Write .seg.nrrd of any model, as its landmarks outline structures.")
    ] = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: PrecisionOption = "exported",
) -> None:
    """Landmarks of images, as markups that 3D Slicer opens; of a model with uv-maps, also structures, as .seg.nrrd.

    Example: landmarklabel predict runs/light/model.safetensors x.dcm folder/ --out predictions
    """
    from .engine.prediction import predict_files
    from .precision import as_precision
    from .predictor import Predictor

    _make(out)
    predictor = Predictor.load(model, device, precision=as_precision(precision))
    _report(predict_files(predictor, images, out, overlay, structures, overwrite))


def carry(
    model: Model,
    images: Images,
    out: Out,
    points: Annotated[Path | None, typer.Option(help="New landmarks (.mrk.json), placed on one image.")] = None,
    on: Annotated[Path | None, typer.Option(help="The image that they were placed on.")] = None,
    label: Annotated[Path | None, typer.Option(help="That image's landmarks of the protocol, if there are.")] = None,
    place: Annotated[
        list[str] | None, typer.Option(help="LABEL=STRUCTURE:U,V, a point of the mean shape, in place of --points.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: PrecisionOption = "exported",
) -> None:
    """Landmarks nobody trained: placed once, carried to other images by a model with uv-maps.

    Example: landmarklabel carry dense.safetensors folder/ --points new.mrk.json --on first.png --out carried
    """
    from .engine.places import places_on, read_places
    from .engine.prediction import carry_files
    from .precision import as_precision
    from .predictor import Predictor

    _require_one_way(points, on, label, place)
    _make(out)
    predictor = Predictor.load(model, device, precision=as_precision(precision))
    places = places_on(predictor, points, on, label) if points and on else read_places(place or (), predictor)
    _report(carry_files(predictor, places, images, out, skip=on, overwrite=overwrite))


def _require_one_way(points: Path | None, on: Path | None, label: Path | None, place: list[str] | None) -> None:
    if (points is None) == (not place):
        raise ConfigError("expected --points FILE with --on IMAGE, or --place LABEL=STRUCTURE:U,V, one of the two")
    if points is not None and on is None:
        raise ConfigError(f"--points {points}: expected the image that they were placed on, too: --on IMAGE")
    if points is None and (on or label):
        raise ConfigError("--on and --label belong to --points; --place needs no image")


def _make(out: Path) -> None:
    with storage_errors(out / "markups", "predictions"):
        out.mkdir(parents=True, exist_ok=True)


def _report(answers: Iterable[Answer]) -> None:
    """Say what was written, and what was not; status 2 in the end if an image could not be read."""
    failed, kept = 0, []
    for answer in answers:
        if answer.kept:
            kept.append(answer.path.name)
        elif answer.problem:
            failed += 1
            typer.echo(f"error: {answer.problem}", err=True)
        else:
            typer.echo(answer.path)
    if kept:
        typer.echo(
            f"{len(kept)} images were passed by: somebody seems to have worked on {listed(kept, 5)} "
            "(--overwrite replaces what is there)",
            err=True,
        )
    if failed:
        raise typer.Exit(2)
