"""``landmarklabel serve`` and ``landmarklabel token``: the server, and who may use it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .admission import TOKENS, is_loopback, new_token, require_certificate, require_safe_address
from .cli_options import PrecisionOption
from .errors import ConfigError
from .urls import is_url, require_url


def serve(
    studies: Annotated[str, typer.Argument(help="Studies folder (images, labels/), or the URL of a DICOMweb server.")],
    protocol: Annotated[str, typer.Option(help="Name of a protocol, or a YAML file.")],
    models: Annotated[Path | None, typer.Option(help="Folder of models; default: STUDIES.models beside it.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    experiment: Annotated[
        str,
        typer.Option(help="What training landmarks runs; default: what made the model in use, or suits the protocol."),
    ] = "",
    interactive_experiment: Annotated[
        str, typer.Option(help="What training the network of corrections runs by default.")
    ] = "interactive_light",
    segmentation_experiment: Annotated[
        str, typer.Option(help="What training the network of structures runs by default.")
    ] = "denseseg_light",
    auto_train: Annotated[
        bool, typer.Option("--auto-train/--no-auto-train", help="Train by itself as final labels grow, or when asked.")
    ] = True,
    auto_train_first: Annotated[int, typer.Option(min=2, help="Final labels for the first such training.")] = 6,
    auto_train_growth: Annotated[
        float, typer.Option(min=1, help="By what factor labels grow from one such training to the next.")
    ] = 1.25,
    auto_train_steps: Annotated[
        int, typer.Option(min=2, help="Steps of such a training, and ten more for each label.")
    ] = 300,
    auto_train_seconds: Annotated[float, typer.Option(min=1, help="Seconds that they may take.")] = 900,
    trust: Annotated[
        float, typer.Option(help="How surely a landmark is right that is called trusted: between 0 and 1.")
    ] = 0.95,
    shape_only: Annotated[
        bool, typer.Option("--shape-only", help="Labels say how landmarks lie, not how they look: to compare.")
    ] = False,
    training_threads: Annotated[
        int | None, typer.Option(min=1, help="How many cores a training takes; default: all, at the lowest priority.")
    ] = None,
    precision: PrecisionOption = "fp32",
    dicomweb: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of a DICOMweb server: folder=DIR, patient_module=true, ...")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"Lines of ROLE NAME TOKEN; or put them into {TOKENS}.")
    ] = None,
    no_tokens: Annotated[bool, typer.Option("--no-tokens", help="Let the network in without tokens, ...")] = False,
    anyone_may_change_everything: Annotated[
        bool, typer.Option("--anyone-may-change-everything", help="... and know what that means.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate file, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Web pages of this origin may ask, too: https://HOST")
    ] = None,
    max_upload_mb: Annotated[float, typer.Option(min=0.01, help="The largest file that is taken.")] = 128,
    infer_workers: Annotated[int | None, typer.Option(min=2, max=64, help="Inferences at once.")] = None,
    infer_waiting: Annotated[int, typer.Option(min=1, max=100_000, help="How many may wait.")] = 256,
    infer_timeout: Annotated[float, typer.Option(min=1, help="Seconds after which one is given up.")] = 120,
) -> None:
    """Start the MONAI Label server on a studies folder, or on a DICOMweb server.

    Example: landmarklabel serve studies/spine --protocol spine_68
    """
    from .resources import resource
    from .serving import dicomweb_place, server_command, what_to_try

    url = require_url(studies) if is_url(studies) else ""
    if dicomweb and not url:
        raise ConfigError(f"--dicomweb is for studies that are a DICOMweb server, http://...; {studies} is a folder")
    folder, places = dicomweb_place(url, dicomweb or []) if url else (Path(studies).resolve(), {})
    models = models or folder.with_name(f"{folder.name}.models")
    tokens = token_file is not None or bool(os.environ.get(TOKENS))
    require_safe_address(host, tokens, no_tokens, anyone_may_change_everything)
    tls = require_certificate(tls_cert, tls_key)
    settings = {
        **({"experiment": experiment} if experiment else {}),
        "interactive_experiment": interactive_experiment,
        "segmentation_experiment": segmentation_experiment,
        "trust": f"{trust:g}",
        "auto_train": "yes" if auto_train else "no",
        "auto_train_first": str(auto_train_first),
        "auto_train_growth": f"{auto_train_growth:g}",
        "auto_train_steps": str(auto_train_steps),
        "auto_train_seconds": f"{auto_train_seconds:g}",
        "max_upload_mb": f"{max_upload_mb:g}",
        "infer_waiting": str(infer_waiting),
        "infer_timeout": f"{infer_timeout:g}",
        **places,
        **_admission(token_file, tokens, no_tokens and anyone_may_change_everything, allow_origin or []),
    }
    if infer_workers is not None:
        settings["infer_workers"] = str(infer_workers)
    if training_threads is not None:
        settings["training_threads"] = str(training_threads)
    if shape_only:
        settings["shape_only"] = "yes"
    if precision != "fp32":
        from .precision import as_precision

        settings["precision"] = as_precision(precision)
    app = resource("MonaiLabelApp")
    command, environment = server_command(folder, protocol, models, host, port, settings, app, tls, url)
    typer.echo(what_to_try(folder, protocol, models, host, port, tls is not None, tokens))
    typer.echo(_who_may(host, tokens, tls is not None))
    sys.stdout.flush()
    os.execve(command[0], command, environment)


def _admission(token_file: Path | None, tokens: bool, anyone: bool, origins: list[str]) -> dict[str, str]:
    settings = {}
    if tokens and anyone:
        raise ConfigError("--no-tokens, and yet there are tokens; which is it to be?")
    if token_file is not None:
        if not token_file.is_file():
            raise ConfigError(f"there is no token file {token_file}; `landmarklabel token` makes lines for it")
        settings["token_file"] = str(token_file.resolve())
    if anyone:
        settings["open_to_all"] = "yes"
    if origins:
        settings["allow_origins"] = ",".join(origins)
    return settings


def _who_may(host: str, tokens: bool, https: bool) -> str:
    """What whoever starts a server should know of who else may use it."""
    if not tokens and is_loopback(host):
        return "No tokens: everybody on this machine may do everything; others are not answered."
    if not tokens:
        return "NO TOKENS: everybody who reaches this machine may read, change and delete everything."
    if is_loopback(host) or https:
        return "Nobody is answered without a token."
    return (
        "Nobody is answered without a token; but tokens and images cross the network unencrypted. Give --tls-cert and "
        "--tls-key, or put a TLS proxy in front."
    )


def token(
    name: Annotated[str, typer.Argument(help="Of whom it is: one word, which labels and the log will show.")],
    role: Annotated[str, typer.Option(help="reader, annotator or admin.")] = "annotator",
) -> None:
    """Make a token, and its line for the token file of `landmarklabel serve`.

    The token goes to standard error, and is shown this once; the line goes to standard output.

    Example: landmarklabel token anna --role admin >> tokens
    """
    secret, line = new_token(name, role)
    typer.echo(f"the token of {name}, shown only now: {secret}", err=True)
    typer.echo(line)
