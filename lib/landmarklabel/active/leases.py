"""Who labels which image just now, and which images are to come later or never: kept in a database, for all servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Float, String, Table, Text, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..store.index import METADATA, Index, Name

#: How long an image is kept for who got it, without a save or a draft.
LEASE_S = 30 * 60.0

# By how much the clocks of servers, and of who waits for the database, may differ.
_CLOCKS_S = 120.0

_leases = Table(
    "leases",
    METADATA,
    Column("image", Name, primary_key=True),
    Column("who", Text, nullable=False),  # empty: somebody without a name
    Column("since", Float(53), nullable=False),  # seconds of the epoch
    Column("until", Float(53), nullable=False),
)
_put_off = Table(
    "put_off",
    METADATA,
    Column("image", Name, primary_key=True),
    Column("how", String(16), nullable=False),  # skipped or postponed
    Column("who", Text, nullable=False),
    Column("since", Float(53), nullable=False),
    Column("reason", Text, nullable=False),
)


@dataclass(frozen=True)
class Lease:
    """An image that is kept for somebody.

    Attributes:
        image: its id.
        who: has it; empty for somebody without a name.
        since, until: seconds of the epoch.
    """

    image: str
    who: str
    since: float
    until: float


class Leases:
    """Keeps an image for who got it, so that nobody else gets it too.

    A lease ends by itself: of several servers on one database, the clocks must agree within a minute or two. Where the
    clock was set back, leases from what is the future now have ended.

    Args:
        index: of the studies.
        seconds: how long a lease lasts.
        now: the clock, in seconds of the epoch.
    """

    def __init__(self, index: Index, seconds: float = LEASE_S, now: Callable[[], float] = time.time) -> None:
        self._index, self._seconds, self._now = index, seconds, now
        index.require(_leases)

    def take(self, image: str, who: str) -> bool:
        """Keep an image for somebody; False if somebody else has it. The same person may take it again."""
        now = self._now()
        values = {"who": who, "since": now, "until": now + self._seconds}
        free = [_leases.c.until <= now, _leases.c.since > now + _CLOCKS_S]
        if who:
            free.append(_leases.c.who == who)
        with self._index.writing() as database:
            ended = update(_leases).where(_leases.c.image == image, or_(*free)).values(values)
            if database.execute(ended).rowcount:
                return True
        try:
            with self._index.writing() as database:
                database.execute(insert(_leases).values(image=image, **values))
        except IntegrityError:  # somebody has it, or was faster
            return False
        return True

    def renew(self, image: str) -> None:
        """Work on an image goes on: whoever has it keeps it longer. Nothing, if nobody has it."""
        until = {"until": self._now() + self._seconds}
        with self._index.writing() as database:
            database.execute(update(_leases).where(_leases.c.image == image).values(until))

    def release(self, image: str, who: str | None = None) -> bool:
        """Let others have an image; with ``who``, only if that person has it. Whether anything changed."""
        mine = [] if who is None else [_leases.c.who == who]
        with self._index.writing() as database:
            return bool(database.execute(delete(_leases).where(_leases.c.image == image, *mine)).rowcount)

    def held(self) -> dict[str, Lease]:
        """The leases that last, by image."""
        now = self._now()
        lasting = select(_leases).where(_leases.c.until > now, _leases.c.since <= now + _CLOCKS_S)
        with self._index.reading() as database:
            return {row.image: Lease(row.image, row.who, row.since, row.until) for row in database.execute(lasting)}


@dataclass(frozen=True)
class PutOff:
    """An image that is not offered, or not before all others.

    Attributes:
        image: its id.
        for_good: skipped, until somebody takes that back; else postponed: offered once nothing else is left.
        who: has put it off; empty for somebody without a name.
        since: seconds of the epoch.
        reason: what that person says.
    """

    image: str
    for_good: bool
    who: str
    since: float
    reason: str


class PutOffImages:
    """Images that are skipped or postponed, for everybody.

    Args:
        index: of the studies.
        now: the clock, in seconds of the epoch.
    """

    def __init__(self, index: Index, now: Callable[[], float] = time.time) -> None:
        self._index, self._now = index, now
        index.require(_put_off)

    def put_off(self, image: str, for_good: bool, who: str = "", reason: str = "") -> None:
        """Skip an image, or postpone it; what was said of it before is replaced."""
        how = "skipped" if for_good else "postponed"
        values = {"how": how, "who": who, "since": self._now(), "reason": reason[:1000]}
        with self._index.writing() as database:
            database.execute(delete(_put_off).where(_put_off.c.image == image))
            database.execute(insert(_put_off).values(image=image, **values))

    def offer_again(self, image: str, who: str | None = None) -> bool:
        """Take back that an image was put off; with ``who``, only if that person has. Whether anything changed."""
        mine = [] if who is None else [_put_off.c.who == who]
        with self._index.writing() as database:
            return bool(database.execute(delete(_put_off).where(_put_off.c.image == image, *mine)).rowcount)

    def all(self) -> dict[str, PutOff]:
        """What was put off, by image, the longest ago first."""
        with self._index.reading() as database:
            rows = database.execute(select(_put_off).order_by(_put_off.c.since, _put_off.c.image)).all()
        return {row.image: PutOff(row.image, row.how == "skipped", row.who, row.since, row.reason) for row in rows}
