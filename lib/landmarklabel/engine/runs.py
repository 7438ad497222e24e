"""The training runs of a server: what each was, how it ended, which model is in use; and going back to one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, ModelError, NotFoundError, listed
from ..modelfile import ModelHeader, load_model, read_header
from .publishing import PREVIOUS, previous_of, publish
from .runfolder import RunFolder
from .runrecord import RECORD, read_record

#: Which published model each train task makes.
MODEL_OF_TRAINER = {"farnet": "landmarks", "interactive": "refine", "denseseg": "segmentation"}


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        id: name of its folder; or of the model that was in use before, where it is of no run that is kept.
        protocol: name of the anatomy.
        task: which published model it is for: ``landmarks``, ``refine`` or ``segmentation``.
        state: ``running``, ``done``, ``failed``, ``stopped``; ``kept`` of a model without a run.
        reason: why it failed or stopped, or did not begin with the weights that it was to go on from.
        started, ended: local time.
        started_by: ``policy``, if the server began it by itself, or ``person``.
        version: of its model's weights; empty without a model.
        in_use: whether this is the model that answers.
        published: whether it has been put into use when it was done.
        config: what was run, whole.
        data: name and fingerprint of the data, and how many images.
        metrics: of the best epoch, on the validation images.
        model: the file; None without one.
    """

    id: str
    protocol: str
    task: str
    state: str
    reason: str = ""
    started: str = ""
    ended: str = ""
    started_by: str = ""
    version: str = ""
    in_use: bool = False
    published: bool | None = None
    config: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    model: Path | None = None

    def summary(self) -> dict[str, Any]:
        """As JSON: without the place of its file."""
        return {key: value for key, value in asdict(self).items() if key != "model"}


def list_runs(models: Path) -> list[Run]:
    """Models that are or were in use and are of no run; then all runs in a folder of models, the oldest first."""
    runs: list[Run] = []
    for folder in sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []:
        in_use = {task: _version(folder / f"{task}.safetensors") for task in MODEL_OF_TRAINER.values()}
        found = [_read(path, folder.name, in_use) for path in _run_folders(folder / "runs")]
        runs += _kept(folder, in_use, {run.version for run in found})
        runs += sorted(found, key=lambda run: (run.started or run.id, run.id))
    return runs


def publish_run(models: Path, run_id: str, protocol: str | None = None) -> Run:
    """Put the model of a run into use, again or for the first time; the one that answers now is kept as ``.previous``.

    Args:
        models: folder of models.
        run_id: of the run.
        protocol: of the run, if the id is that of several.

    Returns:
        the run, as it is now.

    Raises:
        NotFoundError: there is no such run.
        ConfigError: there are several of that id, or it is running.
        ModelError: it has no model, or a damaged one: the model that answers stays.
        StorageError: the disk is full: the model that answers stays.
    """
    run = _require(models, run_id, protocol)
    if run.state == "running":
        raise ConfigError(f"{run.id} is running; its best model may still change")
    if run.model is None:
        raise ModelError(f"{run.id} has no model: it {run.state}{f' ({run.reason})' if run.reason else ''}")
    header = load_model(run.model).header
    target = models / run.protocol / f"{run.task}.safetensors"
    if target.exists() and (in_use := _header(target)) and in_use.protocol.fingerprint != header.protocol.fingerprint:
        raise ModelError(f"{run.id} was trained for other landmarks than the model that is in use")
    publish(run.model, target)
    return next((each for each in list_runs(models) if each.id == run.id and each.protocol == run.protocol), run)


def models_of(folder: Path) -> Path:
    """The folder of models: itself, or that of a studies folder, beside it.

    Raises:
        ConfigError: neither is there.
    """
    beside = folder.resolve().with_name(f"{folder.resolve().name}.models")
    for candidate in (beside, folder):
        if candidate.is_dir() and any(_is_of_models(path) for path in candidate.iterdir()):
            return candidate
    raise ConfigError(f"{folder} holds no models, and there is none of {beside.name}; give the folder of models")


def _is_of_models(path: Path) -> bool:
    return path.is_dir() and ((path / "runs").is_dir() or any(path.glob("*.safetensors")))


def _run_folders(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []


def _read(path: Path, protocol: str, in_use: dict[str, str]) -> Run:
    folder, record = RunFolder(path), read_record(path / RECORD)
    trainer = record.get("trainer") or path.name.rpartition("-")[0].rpartition("-")[0]
    task = MODEL_OF_TRAINER.get(trainer, trainer)
    header = _header(folder.model)
    version = "" if header is None else header.version
    return Run(
        id=path.name,
        protocol=protocol,
        task=task,
        state=record.get("state") or ("done" if header else "stopped"),
        reason=record.get("reason", ""),
        started=record.get("started", ""),
        ended=record.get("ended", ""),
        started_by=record.get("started_by", ""),
        version=version,
        in_use=bool(version) and in_use.get(task) == version,
        published=record.get("published"),
        config=_yaml(folder.config) if header is None else header.config.model_dump(mode="json"),
        data=_yaml(folder.data) if header is None else header.described_data,
        metrics={} if header is None else header.metrics,
        model=None if header is None else folder.model,
    )


def _kept(folder: Path, in_use: dict[str, str], of_runs: set[str]) -> list[Run]:
    """What was in use before, or is, and is of no run."""
    kept = []
    for task, version in in_use.items():
        target = folder / f"{task}.safetensors"
        for path in (previous_of(target), target):
            header = _header(path)
            if header is None or header.version in of_runs:
                continue
            config, used = header.config.model_dump(mode="json"), header.version == version
            name = f"{task}{'.previous' if path.name.endswith(PREVIOUS) else ''}"
            kept.append(
                Run(
                    name, folder.name, task, "kept", version=header.version, in_use=used, config=config,
                    data=header.described_data, metrics=header.metrics, model=path,
                )
            )  # fmt: skip
    return kept


def _require(models: Path, run_id: str, protocol: str | None) -> Run:
    runs = list_runs(models)
    found = [run for run in runs if run.id == run_id and protocol in (None, run.protocol)]
    if not found:
        raise NotFoundError(f"there is no run '{run_id[:80]}'; there are {listed([run.id for run in runs]) or 'none'}")
    if len(found) > 1:
        raise ConfigError(f"'{run_id}' is a run of {listed([run.protocol for run in found])}; say which")
    return found[0]


def _header(path: Path) -> ModelHeader | None:
    try:
        return read_header(path)
    except ModelError:
        return None


def _version(path: Path) -> str:
    header = _header(path)
    return "" if header is None else header.version


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}
