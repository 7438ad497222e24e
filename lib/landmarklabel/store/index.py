"""The index: what is in a studies folder, in a database that answers without reading the folder.

The files are the truth. Whatever is written here is there already, or about to be; an index that is missing or damaged
is made again from the files. SQLite by default, one file in the studies folder; a PostgreSQL by its URL, for several
servers on one shared folder. Others may keep tables of their own in it, made with :data:`METADATA`: these are lost with
the index.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import Index as TableIndex
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from ..errors import ConfigError, StorageError
from ..files import storage_errors

logger = logging.getLogger(__name__)

#: How long to wait for other processes, in seconds, and how often to look whether they are done.
PATIENCE_S, POLL_S = 30.0, 0.002

#: Device and inode that no file has.
_NO_FILE = (-1, -1)

METADATA = MetaData()

#: Ids and tags compare by their bytes, wherever the database runs.
Name = String(255).with_variant(String(255, collation="C"), "postgresql")

#: Every image: the ending of its file, and what is noted of it (JSON).
IMAGES = Table(
    "images",
    METADATA,
    Column("id", Name, primary_key=True),
    Column("suffix", String(16), nullable=False),
    Column("info", Text, nullable=False),
)

#: Every label that is there now: its file's ending and stamp, and the version that it is (None: kept nowhere yet).
LABELS = Table(
    "labels",
    METADATA,
    Column("image", Name, primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("suffix", String(16), nullable=False),
    Column("version", Integer),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("info", Text, nullable=False),
    TableIndex("labels_of_tag", "tag", "image"),
)

#: When each folder was changed as it was last looked through (ns; 0: look again). The folder of images is "".
FOLDERS = Table(
    "folders",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("mtime_ns", BigInteger, nullable=False),
)

#: ``revision``: a number that grows with each change. ``store``: which folder this is the index of.
STATE = Table(
    "state",
    METADATA,
    Column("key", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("text", Text, nullable=False, server_default=""),
)


class IndexUnavailableError(StorageError):
    """The database of the index can't be reached, or others keep it."""

    http_status = 503


class Index:
    """The database, and the lock that writers of the folder hold.

    Args:
        folder: where the SQLite file and the lock lie.
        store: id of the studies folder, which the database must be of.
        url: of a PostgreSQL (``postgresql://user:password@host/database``); SQLite in ``folder`` if empty.

    Raises:
        ConfigError: the URL is none, or the database is that of another studies folder.
        StorageError: the database can't be written or reached.
    """

    def __init__(self, folder: Path, store: str, url: str = "") -> None:
        self.file = None if url else folder / "index.sqlite"
        self._url = _url(url) if url else URL.create("sqlite", database=str(self.file))
        self._store, self._folder = store, folder
        self._tables: set[Table] = {IMAGES, LABELS, FOLDERS, STATE}
        self._threads, self._locked = threading.RLock(), False
        self._processes = FileLock(str(folder / "lock"), timeout=PATIENCE_S, poll_interval=POLL_S)
        self._engines: tuple[Engine, Engine] | None = None
        self._inode: tuple[int, int] | None = None
        self.open()

    # Opening ------------------------------------------------------------------------------------------------

    def open(self, fill: Callable[[], object] = lambda: None) -> None:
        """Connect, with all tables there; a damaged file is set aside and an empty one made.

        Args:
            fill: fills it. Until that is done, others are told that it is :meth:`replaced`, and wait for the lock.
        """
        with self._threads:
            self._inode = _NO_FILE  # the new file may have the number of the old one
            self._connect()
            with self.lock():
                if self.file is not None and not self._sound():
                    self._set_aside()
                self._make_tables()
                opened = _inode(self.file)
                fill()
                self._inode = opened

    def _connect(self) -> None:
        before, self._engines = self._engines, _engines(self._url)
        if before is not None:
            before[0].dispose()

    def close(self) -> None:
        """Give the connections back."""
        engines, self._engines = self._engines, None
        if engines is not None:
            engines[0].dispose()

    def replaced(self) -> bool:
        """Whether the file has been removed, or set aside by another process: then open it again."""
        return self.file is not None and _inode(self.file) != self._inode

    def _sound(self) -> bool:
        try:
            with self.engine.connect() as connection:
                return connection.execute(text("PRAGMA quick_check(1)")).scalar() == "ok"
        except DBAPIError as problem:
            if _is_damage(problem):
                return False
            raise _in_words(problem, self._folder) from problem

    def _set_aside(self) -> None:
        assert self.file is not None
        aside = self.file.with_name(f"{self.file.name}.damaged")
        logger.warning("%s is damaged: kept as %s, and made again from the files", self.file, aside.name)
        with storage_errors(self.file, "the index of the studies"):
            self.file.replace(aside)
            for journal in ("-wal", "-shm"):
                self.file.with_name(self.file.name + journal).unlink(missing_ok=True)
        self._connect()

    def _make_tables(self) -> None:
        with self.writing() as connection:
            METADATA.create_all(connection, tables=list(self._tables))
            owner = connection.execute(select(STATE.c.text).where(STATE.c.key == "store")).scalar()
            if owner is None:
                connection.execute(insert(STATE), [{"key": "store", "text": self._store, "number": 0}])
                connection.execute(insert(STATE), [{"key": "revision", "text": "", "number": 1}])
            elif owner != self._store and self.file is not None:  # a folder that was copied: both have what was in it
                connection.execute(update(STATE).where(STATE.c.key == "store").values(text=self._store))
            elif owner != self._store:
                shown = self._url.render_as_string(hide_password=True)
                raise ConfigError(f"{shown} is the index of another studies folder; give each folder its own database")

    # Use ----------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine. A transaction that writes is begun by :meth:`writing`."""
        assert self._engines is not None, "the index is closed"
        return self._engines[0]

    def require(self, *tables: Table) -> None:
        """Have tables of :data:`METADATA` in the database, now and whenever it is made again."""
        self._tables |= set(tables)
        with self.lock():
            self._make_tables()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from: one moment's state, whatever others write."""
        with index_errors(self._folder), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and undone by an error in it."""
        assert self._engines is not None, "the index is closed"
        with index_errors(self._folder), self._engines[1].begin() as connection:
            yield connection

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the other writers of the folder out: threads, processes, and with a PostgreSQL other machines.

        A process that dies gives it back.

        Raises:
            IndexUnavailableError: another has kept it for half a minute.
        """
        with self._threads:
            if self._locked:
                yield
                return
            with self._file_lock() if self.file is not None else self._advisory_lock():
                self._locked = True
                try:
                    yield
                finally:
                    self._locked = False

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        try:
            with storage_errors(self._folder / "lock", "the lock of the studies"):
                self._processes.acquire()
        except Timeout:
            raise IndexUnavailableError(
                f"another process has kept the lock of {self._folder.parent} for {PATIENCE_S:.0f} s; try again"
            ) from None
        try:
            yield
        finally:
            self._processes.release()

    @contextmanager
    def _advisory_lock(self) -> Iterator[None]:
        key = int.from_bytes(self._store.encode()[:8].ljust(8, b"\0"), "big", signed=True)
        with index_errors(self._folder), self.engine.connect() as connection:
            automatic = connection.execution_options(isolation_level="AUTOCOMMIT")
            automatic.execute(text(f"SET lock_timeout = '{PATIENCE_S:.0f}s'"))
            automatic.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                with suppress(DBAPIError):  # a connection that is gone has given it back
                    automatic.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def revision(self) -> int:
        """Another once anything has changed."""
        with self.reading() as connection:
            return int(connection.execute(select(STATE.c.number).where(STATE.c.key == "revision")).scalar() or 0)


_BUMP = update(STATE).where(STATE.c.key == "revision").values(number=STATE.c.number + 1)


def bump(connection: Connection) -> None:
    """Note that something has changed."""
    connection.execute(_BUMP)


def rows(connection: Connection, query: Select[Any], **values: Any) -> Sequence[tuple[Any, ...]]:
    """What a query finds, as plain tuples: of tens of thousands, SQLAlchemy's own rows would take most of the time."""
    cursor = connection.execute(query, values).cursor
    return [] if cursor is None else cursor.fetchall()


def names(connection: Connection, column: Column[str], *where: ColumnElement[bool]) -> tuple[str, ...]:
    """The ids in a column, in order: joined by the database, since tens of thousands of rows take four times as long.

    An id is a file's name, which has no slash.
    """
    joined = connection.execute(select(func.aggregate_strings(column, "/")).where(*where)).scalar()
    return _in_order(joined) if joined else ()


@lru_cache(maxsize=2)
def _in_order(joined: str) -> tuple[str, ...]:
    """Kept, since most often the database says the same once more; and an id's hash is then known, too."""
    return tuple(sorted(joined.split("/")))


def _url(given: str) -> URL:
    try:
        url = make_url(given)
    except ArgumentError:
        raise ConfigError("the index's URL is none; expected postgresql://user:password@host/database") from None
    if url.get_backend_name() != "postgresql":
        raise ConfigError(f"an index in {url.get_backend_name()}; expected postgresql://user:password@host/database")
    return url.set(drivername="postgresql+psycopg")


def _engines(url: URL) -> tuple[Engine, Engine]:
    """One engine, and the same with transactions that write from their beginning."""
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, max_overflow=-1, connect_args={"timeout": PATIENCE_S, "isolation_level": None})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            engine = create_engine(url, max_overflow=20, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except (ModuleNotFoundError, NoSuchModuleError):
        raise ConfigError("psycopg is not installed; install landmarklabel[postgres]") from None
    return engine, engine.execution_options(writes=True)


def _prepare_sqlite(connection: Any, record: Any) -> None:
    """Write-ahead: readers never wait for a writer. What a power failure takes of it, the files still say."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes then fails when another has written between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def index_errors(folder: Path) -> Iterator[None]:
    """Turn the database's errors into one sentence."""
    try:
        yield
    except IntegrityError:
        raise  # means something to who has written
    except DBAPIError as problem:
        raise _in_words(problem, folder) from problem


def _in_words(problem: DBAPIError, folder: Path) -> StorageError:
    reason = str(problem.orig).strip().splitlines()[0] if str(problem.orig).strip() else type(problem.orig).__name__
    if "disk is full" in reason or "No space left" in reason:
        return StorageError(f"the disk is full: the index of the studies could not be written to {folder}")
    if "readonly" in reason or "read-only" in reason or "unable to open" in reason:
        return StorageError(f"no permission to write the index of the studies to {folder}")
    if _is_damage(problem):
        return StorageError(f"the index of the studies in {folder} is damaged ({reason}); start again: it is made anew")
    return IndexUnavailableError(f"the index of the studies can't be used now ({reason}); try again")


def _is_damage(problem: DBAPIError) -> bool:
    return "not a database" in str(problem.orig) or "malformed" in str(problem.orig)


def _inode(file: Path | None) -> tuple[int, int] | None:
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)
