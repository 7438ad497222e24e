"""What is known of one version of a label."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

#: What a client may note with a label, and every version keeps: who, from which model's prediction, how many clicks.
USER, MODEL, CLICKS = "user", "model", "clicks"


class Action(str, Enum):
    """How a version came about."""

    SAVED = "saved"
    RESTORED = "restored"
    FOUND = "found"  # put into the folder by hand, or by a program that knows nothing of versions
    DELETED = "deleted"  # has no content
    SUPERSEDED = "superseded"  # a draft, by the final label; has no content


@dataclass(frozen=True)
class Version:
    """One version of a label, or a tombstone where it was deleted.

    Attributes:
        number: from 1 on; the order of versions, whatever clocks say.
        action: how it came about.
        time: when, by the clock of who wrote it (ISO 8601, UTC).
        user: who; "" if nobody said.
        model: from which model's prediction, as the client noted it; None if nothing is known.
        clicks: how many a person made; None if nothing is known.
        restored: which version's content it is, of one that was restored.
        suffix: the ending of the file, "" of a tombstone.
        sha256: of the content, "" of a tombstone.
        size: of the content in bytes.
        stamp: time of change (ns) of the label's own file with this content, to know it by.
        images: how many images of this id had been deleted before: it belongs to the one that came then.
        info: all that was noted with it.
    """

    number: int
    action: Action
    time: str
    user: str = ""
    model: Any = None
    clicks: int | None = None
    restored: int | None = None
    suffix: str = ""
    sha256: str = ""
    size: int = 0
    stamp: int = 0
    images: int = 0
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def has_content(self) -> bool:
        return bool(self.suffix)

    def at(self, stamp: int, size: int) -> Version:
        """The same, of a file with that time of change and size."""
        return replace(self, stamp=stamp, size=size)

    def to_json(self) -> bytes:
        return json.dumps({**asdict(self), "action": self.action.value}, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Version:
        """The version of a record.

        Raises:
            ValueError: it is damaged.
        """
        content = json.loads(data)
        known = {key.name: content[key.name] for key in fields(cls) if key.name in content}
        try:
            return cls(**{**known, "action": Action(content["action"])})
        except (KeyError, TypeError) as problem:
            raise ValueError(f"no record of a version ({problem})") from None

    def summary(self) -> dict[str, Any]:
        """For a list of versions: without what only the store needs."""
        shown = ("number", "time", "user", "model", "clicks", "restored", "sha256", "size")
        return {"action": self.action.value, **{key: getattr(self, key) for key in shown}}


def now() -> str:
    """The time in UTC, to the millisecond."""
    return time_of(time.time_ns())


def time_of(stamp_ns: int) -> str:
    """The same of a file's time of change."""
    return datetime.fromtimestamp(stamp_ns / 1e9, timezone.utc).isoformat(timespec="milliseconds")


def noted(info: dict[str, Any]) -> dict[str, Any]:
    """Who, from what and how much work, as far as the info of a label says so."""
    params = info.get("params") if isinstance(info.get("params"), dict) else {}
    clicks, model = info.get(CLICKS), info.get(MODEL) or (params or {}).get(MODEL)
    known_clicks = clicks if isinstance(clicks, int) and not isinstance(clicks, bool) else None
    return {"user": str(info.get(USER) or ""), "model": model, "clicks": known_clicks}
