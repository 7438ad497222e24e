"""Drafts in local files: what a person did is on disk within moments, and stays until the server has it.

A file an image and server, written whole or not at all. ``wanted`` says what it still wants to become on the server.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .client import write_whole
from .contract import DRAFT, FINAL

logger = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True)
class Draft:
    """What there is of one reading.

    Attributes:
        server: its address.
        image: id.
        protocol: name.
        reading: of ``Reading.to_dict``.
        info: that goes with the label.
        wanted: ``draft`` or ``final``, if the server does not have it yet; empty if it has.
        refused: the server's sentence, if it will not take it.
        saved: seconds since 1970.
    """

    server: str
    image: str
    protocol: str
    reading: dict[str, Any]
    info: dict[str, Any] = field(default_factory=dict)
    wanted: str = DRAFT
    refused: str = ""
    saved: float = field(default_factory=time.time)


class DraftStore:
    """A folder of drafts.

    Args:
        folder: made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, server: str, image: str) -> Path:
        """The file of an image of a server; the name says which image, as far as names of files can."""
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in image)[:60]
        digest = hashlib.sha256(f"{server}\n{image}".encode()).hexdigest()[:16]
        return self.folder / f"{readable}.{digest}.json"

    def save(self, draft: Draft) -> None:
        """Write it.

        Raises:
            OSError: it can't be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"format": FORMAT, **asdict(draft)}, allow_nan=False)
        write_whole(self.path(draft.server, draft.image), content.encode())

    def load(self, server: str, image: str) -> Draft | None:
        """The draft of an image; None without one. A damaged file is moved aside, not deleted."""
        return _read(self.path(server, image))

    def remove(self, server: str, image: str) -> None:
        """The server has it, and the person is done with it."""
        self.path(server, image).unlink(missing_ok=True)

    def all(self) -> list[Draft]:
        """All drafts, of whatever server, the oldest first."""
        found = [_read(path) for path in sorted(self.folder.glob("*.json"))] if self.folder.is_dir() else []
        return sorted((draft for draft in found if draft), key=lambda draft: draft.saved)


def _read(path: Path) -> Draft | None:
    try:
        content = json.loads(path.read_bytes())
        if content.pop("format") != FORMAT:
            raise ValueError("of another version of this module")
        draft = Draft(**content)
        if not isinstance(draft.reading, dict) or draft.wanted not in ("", DRAFT, FINAL):
            raise ValueError("not a draft")
    except FileNotFoundError:
        return None
    except OSError as problem:
        logger.warning("the draft %s can't be read (%s)", path, problem.strerror)
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        aside = path.with_suffix(".damaged")
        logger.warning("the draft %s can't be used (%s); it is kept as %s", path, problem, aside.name)
        path.replace(aside)
        return None
    return draft
