"""Sessions on disk: images that are not in the store, each in a folder of its own, for as long as it is used."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from monailabel.utils.sessions import SessionInfo, Sessions

from landmarklabel.errors import ConfigError, NotFoundError, StorageError
from landmarklabel.files import atomic_write, storage_errors
from landmarklabel.io import read_radiograph

logger = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# How long a folder without a description may be one that is just being made.
_BEING_MADE_S = 3600.0

# The part of its time after which a use is noted anew.
_NOTED_AFTER = 0.05


class SessionFolder(Sessions):
    """MONAI Label's sessions, of which a broken one stops nothing, and one that is over is never an empty path."""

    def __bool__(self) -> bool:
        """MONAI Label cleans up only what is true, and takes none in memory, as after a start, for none at all."""
        return True

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo:
        """An open session.

        Args:
            update_ts: it is used from now on.
            fetch_cache: is of no matter: the folder is asked.

        Raises:
            NotFoundError: there is none of that id, or no longer.
        """
        session = self._read(session_id) if isinstance(session_id, str) and _ID.fullmatch(session_id) else None
        if session is None or _is_over(session):
            raise NotFoundError(
                f"session '{str(session_id)[:60]}' has expired, or never was; PUT /session/ with the image opens one"
            )
        if update_ts:
            self._note_use(session_id, session)
        return session

    def _note_use(self, session_id: str, session: SessionInfo) -> None:
        """Not at every click, each of which would wait for the disk; and on a full one clicks go on."""
        now = int(time.time())
        if now - session.last_access_ts >= session.expiry * _NOTED_AFTER:
            session.last_access_ts = now
            with suppress(StorageError):
                self._write_meta_info(session_id, session)

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, SessionInfo]:
        """Open a session with an image, which is moved into its folder.

        Raises:
            ConfigError: it is an archive, or several files.
            ImageError: it is not a radiograph.
            StorageError: the folder of sessions can't be written.
        """
        if uncompress or Path(data_file).is_dir():
            raise ConfigError("a session is of one radiograph in one file; archives and several files are not taken")
        read_radiograph(Path(data_file))
        with storage_errors(Path(self.store_path), "the session"):
            added: tuple[str, SessionInfo] = super().add_session(data_file, expiry, False, session_id)
        return added

    def remove_session(self, session_id: str) -> None:
        """Delete a session and its image; nothing, if there is none."""
        if isinstance(session_id, str) and _ID.fullmatch(session_id):
            self.pop(session_id, None)
            shutil.rmtree(Path(self.store_path) / session_id, ignore_errors=True)

    def remove_expired(self) -> int:
        """Delete what has expired, and what is left of broken sessions; how many. What goes wrong stops nothing."""
        folder = Path(self.store_path)
        if not folder.is_dir():
            return 0
        names = [path.name for path in folder.iterdir() if path.is_dir() and _ID.fullmatch(path.name)]
        over = [name for name in names if self._may_go(name)]
        for name in over:
            logger.info("session %s is over", name)
            self.remove_session(name)
        return len(over)

    def _may_go(self, name: str) -> bool:
        session = self._read(name)
        if session is not None:
            return _is_over(session)
        try:
            return (Path(self.store_path) / name).stat().st_mtime + _BEING_MADE_S < time.time()
        except OSError:
            return False

    def _read(self, session_id: str) -> SessionInfo | None:
        """A session as its folder says; None if that is not there, broken, or without its image."""
        folder = Path(self.store_path) / session_id
        try:
            content = json.loads((folder / "meta.info").read_bytes())
            session = SessionInfo(content)
            image = Path(session.image)
            sound = isinstance(session.last_access_ts + session.expiry, int) and image.parent == folder
            return session if sound and image.is_file() else None
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def _write_meta_info(self, session_id: str, session_info: SessionInfo) -> None:
        path = Path(self.store_path) / session_id / "meta.info"
        atomic_write(path, session_info.to_str().encode(), "the session")
        self[session_id] = session_info


def _is_over(session: SessionInfo) -> bool:
    return bool(session.last_access_ts + session.expiry < time.time())
