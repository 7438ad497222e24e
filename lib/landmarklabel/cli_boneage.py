"""``landmarklabel bone-age``: training on a CSV of ages, and ages of landmarks."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import ConfigError, DataError, listed
from .files import atomic_write, require_place
from .yamlfile import read_model

# PyTorch takes seconds to import: each command imports what it needs when it runs.
if TYPE_CHECKING:
    from .boneage import AgedData, BoneAge

app = typer.Typer(help="Bone age from the landmarks of bones.", no_args_is_help=True)


@app.command()
def train(
    ages: Annotated[Path, typer.Option(help="CSV with the columns id (or image) and age_months (or age_years).")],
    data: Annotated[str, typer.Option(help="LAYOUT:DIR, as of landmarklabel train.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    predictions: Annotated[Path | None, typer.Option(help="Folder of predicted ID.mrk.json, to train on, too.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol, by name or YAML file; for studies:DIR.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with other settings; see docs/bone-age.md.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="In place of that of the settings.")] = None,
) -> None:
    """Train an ensemble on images whose age is known.

    Example: landmarklabel bone-age train --ages ages.csv --data graz:data/graz --out age.safetensors
    """
    from tqdm import tqdm

    from .boneage import BoneAgeConfig, join, read_ages, save_bone_age, train_bone_age
    from .io.dataset import read_dataset

    require_place(out)
    settings = read_model(config, BoneAgeConfig, ConfigError) if config else BoneAgeConfig()
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    months = read_ages(ages)
    aged = join(months, read_dataset(data, protocol), predictions)
    _say_what_is_used(aged)
    with tqdm(total=settings.members * settings.epochs, unit="epoch", disable=None, leave=False) as bar:
        trained = train_bone_age(aged, settings, progress=bar.update)
    save_bone_age(out, trained.ensemble, settings, aged.protocol, aged.unit, trained.data, trained.metrics)
    typer.echo(f"{out}: {trained.data['images']} images{_figures(trained.metrics)}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    labels: Annotated[list[Path], typer.Argument(help="Landmarks (.mrk.json), or folders of them.")],
    images: Annotated[Path | None, typer.Option(help="Folder of their images, for pixels and spacing.")] = None,
    spacing: Annotated[float | None, typer.Option(help="mm a pixel, where the images don't say it.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row for each image.")] = None,
    ages: Annotated[Path | None, typer.Option(help="CSV of true ages, to compare with.")] = None,
) -> None:
    """Ages of landmarks, as a model placed them or a person.

    Example: landmarklabel bone-age predict age.safetensors predictions/ --csv estimated.csv
    """
    from .boneage import load_bone_age, predict_labels, read_ages

    if csv_file:
        require_place(csv_file)
    true = read_ages(ages) if ages else {}
    found: list[BoneAge] = []
    failed = 0
    for _, answer in predict_labels(load_bone_age(model), labels, images, spacing):
        if isinstance(answer, str):
            failed += 1
            typer.echo(f"error: {answer}", err=True)
        else:
            found.append(answer)
            notes = f" ({'; '.join(answer.notes)})" if answer.notes else ""
            typer.echo(f"{answer.id}: {answer.months:.1f} months{notes}")
    if csv_file:
        _write_csv(found, csv_file)
    if ages:
        _compare(found, true)
    if failed:
        raise typer.Exit(2)


def _say_what_is_used(aged: AgedData) -> None:
    if aged.left_out:
        typer.echo(f"{len(aged.left_out)} images with an age are left out:", err=True)
        for name, reason in aged.left_out.items():
            typer.echo(f"  {name}: {reason}", err=True)
    if aged.without_spacing:
        typer.echo(
            f"landmarks are taken in pixels: the spacing of {len(aged.without_spacing)} of {len(aged.images)} images "
            f"is unknown ({listed(aged.without_spacing, 3)})",
            err=True,
        )


def _figures(metrics: dict[str, float | None]) -> str:
    if not metrics["val_images"]:
        return ", none held out to measure on"
    r2 = "" if metrics["val_r2"] is None else f", R^2 {metrics['val_r2']:.3f}"
    return (
        f"; on {metrics['val_images']} held out MAE {metrics['val_mae']:.1f} months{r2} "
        f"(the mean age: {metrics['val_mae_mean_age']:.1f})"
    )


def _compare(found: list[BoneAge], true: dict[str, float]) -> None:
    from .boneage import mean_absolute_error, r_squared

    both = [(answer.months, true[answer.id]) for answer in found if answer.id in true]
    if not both:
        raise DataError(f"--ages: none of the ids of these labels ({listed(a.id for a in found) or 'none'}) has an age")
    months, known = zip(*both, strict=True)
    typer.echo(
        f"{len(both)} images: MAE {mean_absolute_error(months, known):.1f} months, R^2 {r_squared(months, known):.3f}"
    )


def _write_csv(found: list[BoneAge], path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "age_months", "deviation_months", "note"])
    for answer in found:
        writer.writerow([answer.id, f"{answer.months:.2f}", f"{answer.deviation:.2f}", "; ".join(answer.notes)])
    atomic_write(path, text.getvalue().encode())
