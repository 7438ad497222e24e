"""What is known of a DICOM archive, and which labels it has still to get: kept across restarts, shared by processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from landmarklabel.files import storage_errors
from landmarklabel.io.dicom_documents import DocumentId

_TABLES = """
CREATE TABLE IF NOT EXISTS series (uid TEXT PRIMARY KEY, instances INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (image TEXT PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (series TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS labels (
    image TEXT, kind TEXT, digest TEXT NOT NULL, sop_uid TEXT NOT NULL, series_uid TEXT NOT NULL, made TEXT NOT NULL,
    state TEXT NOT NULL, problem TEXT NOT NULL, PRIMARY KEY (image, kind));
"""


class State(str, Enum):
    """Of a label: ``PENDING``: to be sent; ``STORED``: in the archive; ``READ``: came from there; ``REMOVED``: deleted
    here, and not to come back from there; ``FAILED``: no document can be made of it."""

    PENDING = "pending"
    STORED = "stored"
    READ = "read"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True)
class Entry:
    """A label beside its document in the archive.

    Attributes:
        image: SOPInstanceUID of its image.
        kind: ``landmarks`` or ``structures``.
        digest: of the label's file.
        document: which document it is there, or is to be.
        state: how far it is.
        problem: why it is not there.
    """

    image: str
    kind: str
    digest: str
    document: DocumentId
    state: State
    problem: str = ""


class Ledger:
    """The records of one archive, as a SQLite file. Lost, it is made again: from the archive and the labels."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._writing() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_TABLES)

    # Labels -------------------------------------------------------------------------------------------------

    def entry(self, image: str, kind: str) -> Entry | None:
        with self._reading() as database:
            row = database.execute("SELECT * FROM labels WHERE image = ? AND kind = ?", (image, kind)).fetchone()
        return None if row is None else _entry(row)

    def entries(self, state: State | None = None) -> list[Entry]:
        """All, or those of a state, the oldest first."""
        wanted = [each.value for each in ([state] if state else State)]
        query = f"SELECT * FROM labels WHERE state IN ({', '.join('?' * len(wanted))}) ORDER BY made"
        with self._reading() as database:
            return [_entry(row) for row in database.execute(query, wanted)]

    def put(self, entry: Entry) -> None:
        document = entry.document
        row = (
            entry.image, entry.kind, entry.digest, document.sop_uid, document.series_uid, document.made.isoformat(),
            entry.state.value, entry.problem,
        )  # fmt: skip
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def settle(self, entry: Entry, state: State, problem: str = "") -> None:
        """Say how it went with an entry; one that has been replaced meanwhile stays as it is."""
        with self._writing() as database:
            database.execute(
                "UPDATE labels SET state = ?, problem = ? WHERE image = ? AND kind = ? AND sop_uid = ?",
                (state.value, problem, entry.image, entry.kind, entry.document.sop_uid),
            )
            if state is State.STORED:
                database.execute("INSERT OR IGNORE INTO documents VALUES (?)", (entry.document.series_uid,))

    def counts(self) -> dict[str, int]:
        """How many labels there are of each state."""
        with self._reading() as database:
            found = dict(database.execute("SELECT state, count(*) FROM labels GROUP BY state").fetchall())
        return {state.value: found.get(state.value, 0) for state in State}

    # The archive --------------------------------------------------------------------------------------------

    def is_known(self, series: str, instances: int) -> bool:
        """Whether a series of images has been looked at when it had that many. 0: nobody knows how many."""
        with self._reading() as database:
            row = database.execute("SELECT instances FROM series WHERE uid = ?", (series,)).fetchone()
        return row is not None and row[0] == instances

    def know(self, series: str, instances: int) -> None:
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO series VALUES (?, ?)", (series, instances))

    def is_read(self, series: str) -> bool:
        """Whether a series of documents has been read, or came from here."""
        with self._reading() as database:
            return database.execute("SELECT 1 FROM documents WHERE series = ?", (series,)).fetchone() is not None

    def mark_read(self, series: str) -> None:
        with self._writing() as database:
            database.execute("INSERT OR IGNORE INTO documents VALUES (?)", (series,))

    def refuse(self, image: str, reason: str) -> None:
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (image, reason))

    def refusal(self, image: str) -> str:
        """Why an image of the archive is not among the studies; "" if it is not known."""
        with self._reading() as database:
            row = database.execute("SELECT reason FROM refused WHERE image = ?", (image,)).fetchone()
        return "" if row is None else str(row[0])

    def refused(self) -> int:
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM refused").fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with storage_errors(self._path, "what is known of the DICOM server"), closing(self._open()) as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database, database:
            yield database

    def _open(self) -> sqlite3.Connection:
        # A connection of one's own each time: threads and processes need no lock, and opening takes microseconds.
        return sqlite3.connect(self._path, timeout=30)


def _entry(row: tuple[str, ...]) -> Entry:
    image, kind, digest, sop_uid, series_uid, made, state, problem = row
    document = DocumentId(sop_uid, series_uid, datetime.fromisoformat(made))
    return Entry(image, kind, digest, document, State(state), problem)
