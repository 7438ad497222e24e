"""How the MONAI Label server is started on a studies folder, with defaults that are safe on one's own machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from .errors import ConfigError
from .files import storage_errors
from .io.layouts.common import image_id, is_image
from .protocol import load_protocol
from .urls import default_folder

# Connections at once; a click takes one, and is answered or refused in seconds.
_CONNECTIONS = 512


def server_command(
    studies: Path,
    protocol: str,
    models: Path,
    host: str,
    port: int,
    settings: Mapping[str, str],
    app: Path,
    tls: tuple[Path, Path] | None = None,
    url: str = "",
) -> tuple[list[str], dict[str, str]]:
    """The command that starts the server, and its environment.

    Args:
        settings: of the app, by name; its own where one is not given.
        tls: certificate and key, for https.
        url: of the DICOMweb server that the studies are; ``studies`` is the folder beside it.

    Raises:
        ProtocolError: there is no such protocol, or it is not valid.
        ConfigError: there is no such studies folder, or MONAI Label is not installed.
    """
    load_protocol(protocol)
    if not studies.is_dir():
        raise ConfigError(f"there is no studies folder {studies}; make one and put images into it")
    if find_spec("monailabel") is None:
        raise ConfigError("MONAI Label is not installed; install landmarklabel[server]")
    app = _writable(app, models)
    settings = {"protocol": protocol, "models": str(models.resolve()), **settings}
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
    command += ["--studies", url or str(studies)]
    command += ["--host", host, "--port", str(port), "--limit_concurrency", str(_CONNECTIONS)]
    if tls is not None:
        command += ["--ssl_certfile", str(tls[0].resolve()), "--ssl_keyfile", str(tls[1].resolve())]
    for name, value in settings.items():
        command += ["--conf", name, value]
    # MLflow's file store stops MONAI Label's own training, and the server has no use for tracking. Threads that wait
    # without spinning leave the cores to each other when a training runs beside the server.
    environment = {"MONAI_LABEL_TRACKING_ENABLED": "false", "OMP_WAIT_POLICY": "passive"}
    return command, {**os.environ, **environment}


def dicomweb_place(url: str, settings: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """The studies folder beside a DICOMweb server, made if it is not there, and the app's settings.

    Args:
        settings: ``NAME=VALUE``, of ``dicomweb_NAME``.

    Raises:
        ConfigError: the URL or a setting is not valid.
        StorageError: the folder can't be made.
    """
    given = {"dicomweb_folder": str(default_folder(url))}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise ConfigError(f"--dicomweb {text}: expected NAME=VALUE, such as folder=DIR or patient_module=true")
        given[f"dicomweb_{name.strip()}"] = value.strip()
    folder = Path(given["dicomweb_folder"]).resolve() / "studies"
    with storage_errors(folder, "the studies"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder, {**given, "dicomweb_folder": str(folder.parent)}


def _writable(app: Path, models: Path) -> Path:
    """The app's folder, or a copy beside the models where it can't be written: MONAI Label logs into it."""
    if os.access(app, os.W_OK):
        return app
    copy = models.resolve() / ".app"
    with storage_errors(copy, "the server's app"):
        shutil.copytree(app, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def what_to_try(
    studies: Path, protocol: str, models: Path, host: str, port: int, https: bool = False, tokens: bool = False
) -> str:
    """What a newcomer reads before the server's own log."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"{'https' if https else 'http'}://{name}:{port}"
    curl = """curl -s -H "Authorization: Bearer $TOKEN\"""" if tokens else "curl -s"
    image = next(filter(is_image, sorted(studies.iterdir())), None)
    name = quote(image_id(image.name)) if image else "ID"
    return f"""
landmarklabel: {protocol} at {address}  (the server is ready when it says 'Uvicorn running on')

  its pages:      {address}/
  its images:     {curl} '{address}/datastore/?output=all'
  landmarks:      {curl} -X POST '{address}/infer/landmarks?image={name}&output=json'
  structures:     {curl} -X POST '{address}/infer/segmentation?image={name}&output=image' -o {name}.seg.nrrd
  as markups:     {curl} -X POST '{address}/infer/landmarks?image={name}&output=image' -o {name}.mrk.json
  a final label:  {curl} -X PUT '{address}/datastore/label?image={name}&tag=final' -F label=@{name}.mrk.json
  train:          {curl} -X POST '{address}/train/farnet' -H 'Content-Type: application/json' -d '{{}}'
  how it goes:    {curl} '{address}/info/'

Models are kept in {models}. Stop with Ctrl-C.
"""
