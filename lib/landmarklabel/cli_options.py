"""What several commands of the command line share: options, bars, and what is said of suspicious labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from .errors import ConfigError, listed
from .yamlfile import parse_yaml

if TYPE_CHECKING:
    from .io.dataset import LandmarkDataset

Source = Annotated[str, typer.Option("--data", help="LAYOUT:DIR; layouts: isbi2015, aasce, jsrt, hand, graz, studies.")]
ProtocolOption = Annotated[str | None, typer.Option(help="Protocol, by name or YAML file; needed for studies:DIR.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a key: --set epochs=5")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="fp32, fp16, bf16, auto (fp16 where the device is made for it), exported (see landmarklabel export).",
    ),
]


def change(text: str) -> tuple[str, Any]:
    """A dotted key and its value, of ``KEY=VALUE``.

    Raises:
        ConfigError: it is not of that form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, such as epochs=5 or optimizer.learning_rate=0.001")
    try:
        return key, parse_yaml(value)
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"--set {text}: the value is not a number, a word or a list as YAML has them") from None


def bar(what: str, total: int | None = None) -> Callable[[], object]:
    """A bar of images on a terminal; what is returned moves it on by one."""
    from tqdm import tqdm

    return tqdm(desc=what, total=total, unit="image", disable=None, leave=False).update


def say_suspicious(dataset: LandmarkDataset) -> None:
    """Which labels are left out, and why."""
    if dataset.suspicious:
        typer.echo(f"{len(dataset.suspicious)} labels can't be right, or can't be read, and are left out:", err=True)
        for name, reasons in dataset.suspicious.items():
            typer.echo(f"  {name}: {listed(reasons, 3)}", err=True)
