"""``landmarklabel labels``: the history of labels, and deletions that are undone."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import ConfigError

if TYPE_CHECKING:
    from .store import LabelStore, Version

app = typer.Typer(help="The history of labels: list, compare, restore, delete, undelete.", no_args_is_help=True)

Studies = Annotated[Path, typer.Argument(help="Studies folder.")]
Image = Annotated[str, typer.Argument(help="Id of an image: its file's name without the ending.")]
Tag = Annotated[str, typer.Option(help="Of the label: final, draft, derived, final_segmentation, ...")]
IndexUrl = Annotated[
    str, typer.Option("--index", envvar="LANDMARKLABEL_INDEX", help="URL of a PostgreSQL, where that is the index.")
]
User = Annotated[str, typer.Option(help="Who does it; by default, who is logged in.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def history(studies: Studies, image: Image, tag: Tag = "final", index: IndexUrl = "", as_json: Json = False) -> None:
    """List the versions of a label: who, when, from which model, how many clicks.

    Example: landmarklabel labels history studies/spine spine_0007
    """
    versions, current = _open(studies, index).history(image, tag)
    if as_json:
        listed = [version.summary() for version in versions]
        typer.echo(json.dumps({"image": image, "tag": tag, "current": current, "versions": listed}, indent=1))
        return
    for version in versions:
        typer.echo(_line(version, version.number == current))


@app.command()
def compare(
    studies: Studies,
    image: Image,
    before: Annotated[int | None, typer.Option("--from", min=1, help="A version; default: that before --to.")] = None,
    after: Annotated[int | None, typer.Option("--to", min=1, help="A version; default: the label as it is.")] = None,
    tag: Tag = "final",
    protocol: Annotated[str | None, typer.Option(help="Protocol, by name or YAML file; for label images.")] = None,
    index: IndexUrl = "",
    as_json: Json = False,
) -> None:
    """Say which landmarks moved by how much between two versions.

    Example: landmarklabel labels compare studies/spine spine_0007 --from 1 --to 3
    """
    from .protocol import load_protocol
    from .store.compare import compare as run

    found = run(_open(studies, index), image, tag, before, after, load_protocol(protocol) if protocol else None)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    typer.echo(f"{image}, {tag}: version {found.before} to {found.after}")
    for move in found.moved:
        how = "placed" if move.before is None else "taken away"
        typer.echo(f"  {move.label}: {how if move.distance is None else f'{move.distance:.2f} mm'}")
    for change in found.changed:
        typer.echo(f"  {change.structure}: {change.before} to {change.after} pixels, {change.changed} changed")
    typer.echo(f"  {found.same} as before")


@app.command()
def restore(
    studies: Studies,
    image: Image,
    version: Annotated[int, typer.Option(min=1, help="Its number, as history lists it.")],
    tag: Tag = "final",
    user: User = "",
    index: IndexUrl = "",
) -> None:
    """Make an earlier version the label again, as a new version.

    Example: landmarklabel labels restore studies/spine spine_0007 --version 2
    """
    made = _open(studies, index).restore(image, tag, version, user or _me())
    typer.echo(f"{image}, {tag}: version {made.number} is version {version} again")


@app.command()
def delete(
    studies: Studies,
    image: Image,
    tag: Tag = "final",
    whole: Annotated[bool, typer.Option("--image", help="The image itself, with all its labels.")] = False,
    user: User = "",
    index: IndexUrl = "",
) -> None:
    """Delete a label, or an image with its labels; undelete brings it back.

    Example: landmarklabel labels delete studies/spine spine_0007
    """
    store = _open(studies, index)
    if whole:
        store.remove_image(image, user or _me())
    else:
        store.remove_label(image, tag, user or _me())
    typer.echo(f"{image}{'' if whole else f', {tag}'}: deleted; landmarklabel labels undelete brings it back")


@app.command()
def undelete(
    studies: Studies,
    image: Image,
    tag: Tag = "final",
    whole: Annotated[bool, typer.Option("--image", help="The image itself, with the labels that it had.")] = False,
    user: User = "",
    index: IndexUrl = "",
) -> None:
    """Bring back a label, or an image with its labels.

    Example: landmarklabel labels undelete studies/spine spine_0007
    """
    store = _open(studies, index)
    if whole:
        tags = store.undelete_image(image, user or _me())
        typer.echo(f"{image}: there again, with {', '.join(tags) or 'no'} labels")
    else:
        version = store.undelete(image, tag, user or _me())
        typer.echo(f"{image}, {tag}: version {version.restored} is there again, as version {version.number}")


@app.command()
def drafts(studies: Studies, index: IndexUrl = "") -> None:
    """List work that was begun and is not final.

    Example: landmarklabel labels drafts studies/spine
    """
    for label in _open(studies, index).drafts():
        typer.echo(f"{label.image}, {label.tag}: {label.info.get('user') or 'somebody'}")


@app.command()
def check(studies: Studies, index: IndexUrl = "") -> None:
    """Read every version of every label again, and say which are not what was saved (exit status 1).

    Example: landmarklabel labels check studies/spine
    """
    from .store.checking import damaged

    store = _open(studies, index)
    problems = list(damaged(store))
    for problem in problems:
        typer.echo(problem)
    images, tags = store.counts()
    typer.echo(f"{images} images, {sum(tags.values())} labels: {len(problems) or 'nothing'} damaged")
    raise typer.Exit(1 if problems else 0)


@app.command("export")
def export(studies: Studies, index: IndexUrl = "") -> None:
    """Write datastore_v2.json, for a MONAI Label without landmarklabel's app.

    Example: landmarklabel labels export studies/spine
    """
    from .store.stock import export_stock_index

    typer.echo(str(export_stock_index(_open(studies, index))))


def _open(studies: Path, index: str) -> LabelStore:
    from .store import LabelStore

    if not studies.is_dir():
        raise ConfigError(f"there is no studies folder {studies}")
    return LabelStore(studies, index)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _line(version: Version, current: bool) -> str:
    mark = "*" if current else " "
    facts: list[Any] = [version.user and f"by {version.user}", _model(version.model)]
    facts += [f"{version.clicks} clicks" if version.clicks is not None else None]
    facts += [f"of version {version.restored}" if version.restored is not None else None]
    told = ", ".join(str(fact) for fact in facts if fact)
    return f"{mark} {version.number:4d}  {version.time}  {version.action.value}{f' {told}' if told else ''}"


def _model(model: Any) -> str:
    """A model by its name and version, however the client has noted it."""
    if isinstance(model, dict):
        model = " ".join(str(model[key]) for key in ("name", "version") if model.get(key))
    return f"from {model}" if model else ""
