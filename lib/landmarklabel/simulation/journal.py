"""The log of a simulation, a line of JSON an event: it can be read while it grows, and continued after a kill.

Events of an image are written at once when the reader is done with it, before its label is saved; so whatever is in
the log happened, and what was cut off in the middle never did.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import storage_errors

#: The name of the file in a simulation's folder.
JOURNAL = "log.jsonl"

# The event that ends each block that is written at once; after a kill everything behind the last one goes.
_LAST = ("begun", "done", "trained", "session", "ended")

Event = dict[str, Any]


class Journal:
    """Events of a simulation.

    Args:
        path: of the file; made with the first block, if it is not there.
        about: what is simulated, in plain JSON; a file of anything else is refused.

    Attributes:
        events: all of them, in order.

    Raises:
        ConfigError: the file is of another simulation.
        DataError: it is no log.
        StorageError: it can't be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        begun: Event = json.loads(json.dumps({"event": "begun", **about}))
        self._path = path
        self.events, size = _read(path)
        self._unwritten = [] if self.events else [begun]  # until something has happened
        if not self.events:
            path.unlink(missing_ok=True)
            self.events = [begun]
            return
        _require_same(path, self.events[0], begun)
        with storage_errors(path), path.open("r+b") as file:
            file.truncate(size)

    def append(self, events: Iterable[Event]) -> None:
        """Write events as one block, durably; the last one must be of those that end a block."""
        block = list(events)
        assert block[-1]["event"] in _LAST
        with storage_errors(self._path, "the log"), self._path.open("ab") as file:
            file.write("".join(f"{json.dumps(event)}\n" for event in [*self._unwritten, *block]).encode())
            file.flush()
            os.fsync(file.fileno())
        self._unwritten = []
        self.events += json.loads(json.dumps(block))

    def of(self, kind: str) -> list[Event]:
        """All events of a kind."""
        return [event for event in self.events if event["event"] == kind]


def read_journal(path: Path) -> list[Event]:
    """All events of a log, without what was cut off at its end.

    Raises:
        DataError: there is no log, or it is none.
    """
    events, _ = _read(path)
    if not events:
        raise DataError(f"{path}: no simulation has begun here; `landmarklabel simulate` makes one")
    return events


def _read(path: Path) -> tuple[list[Event], int]:
    """Events up to the last whole block, and where in the file that ends."""
    if not path.exists():
        return [], 0
    events: list[Event] = []
    whole, size, end = 0, 0, 0
    with storage_errors(path):
        lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        end += len(line)
        try:
            event = json.loads(line) if line.endswith(b"\n") else None
            kind = event["event"] if event is not None else ""
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise DataError(f"{path}, line {number}: expected an event of a simulation as JSON") from None
            break
        if event is None:
            break
        events.append(event)
        if kind in _LAST:
            whole, size = len(events), end
    if events and events[0]["event"] != "begun":
        raise DataError(f"{path}: not the log of a simulation, which starts with what is simulated")
    return events[:whole], size


def _require_same(path: Path, begun: Event, about: Mapping[str, Any]) -> None:
    other = sorted(key for key in {*begun, *about} if begun.get(key) != about.get(key))
    if other:
        raise ConfigError(
            f"{path.parent} holds a simulation of another {other[0]}; continue it with the same options, or name "
            "another folder"
        )
