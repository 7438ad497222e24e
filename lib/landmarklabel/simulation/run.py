"""A whole simulation: images into a folder, a server on it, a reader at the server; and again where it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ..files import atomic_write, storage_errors
from ..io.cases import LandmarkDataset
from .journal import JOURNAL, Event, Journal
from .replay import Replay
from .serverprocess import policies, serving
from .session import Session
from .settings import Settings
from .studies import choose_cases, readers_differ, require_one_unit, write_unlabelled


def simulate(
    settings: Settings,
    dataset: LandmarkDataset,
    out: Path,
    images: int | None = None,
    protocol: str | None = None,
    progress: Callable[[], object] = lambda: None,
) -> list[Event]:
    """Label images of a data set from nothing.

    Args:
        out: folder of the simulation: ``studies``, ``models``, ``log.jsonl``, ``server.log``. One that is there is
            continued where it ended.
        images: how many; None: all.
        protocol: file of the protocol, where it is not a shipped one.
        progress: called after each image.

    Returns:
        every event; see :mod:`~landmarklabel.simulation.figures`.

    Raises:
        ConfigError: ``out`` holds another simulation.
        DataError: the data set has not so many images, or the spacing of some is known and of others not.
        RemoteError: the server fails; the simulation can be continued.
    """
    out = out.resolve()
    studies, models = out / "studies", out / "models"
    cases = choose_cases(dataset, images, settings.seed)
    replay = Replay(Path(settings.replay), dataset.protocol.name, cases, models) if settings.replay else None
    with storage_errors(out, "the simulation"):
        out.mkdir(parents=True, exist_ok=True)
    data = dataset.subset(cases)
    about: dict[str, Any] = {
        "data": {"name": dataset.name, "images": len(cases), "of": len(dataset), "fingerprint": data.fingerprint},
        "protocol": dataset.protocol.name,
        "readers_differ": readers_differ(cases.values(), settings.habits.tolerance),
        "settings": settings.model_dump(mode="json"),
    }
    journal = Journal(out / JOURNAL, about)
    if journal.of("ended"):
        return journal.events
    require_one_unit(cases)
    options = [*_experiment(settings, out), *policies(settings), *settings.server]
    write_unlabelled(dataset, cases, studies)
    name = str(Path(protocol).resolve()) if protocol and Path(protocol).suffix else dataset.protocol.name
    with serving(out, studies, name, models, options) as client:
        Session(client, dataset.protocol, settings, cases, studies, journal, replay, progress).run()
    return journal.events


def _experiment(settings: Settings, out: Path) -> list[str]:
    """What a training runs, as an option of the server; its own default if nothing is said."""
    if not settings.experiment:
        return []
    path = out / "experiment.yaml"
    atomic_write(path, yaml.safe_dump(settings.experiment, sort_keys=False).encode())
    return ["--experiment", str(path)]
