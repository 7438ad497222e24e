"""Sessions: images that are not in the store, for as long as somebody works on them. In place of MONAI Label's own."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type
from monailabel.utils.sessions import SessionInfo, Sessions

from gateway.uploads import PutDown, called, ending_of, put_down, require_image
from landmarklabel.errors import ConfigError, LandmarkLabelError, NotFoundError
from landmarklabel.files import storage_errors
from landmarklabel.io import read_radiograph
from landmarklabel.io.images import SUFFIXES_OF_FORMAT

#: How many may be open at once; the oldest are gone after an hour without use.
MOST_SESSIONS = 1000

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class TooManyError(LandmarkLabelError):
    """There are as many as there may be."""

    http_status = 429


def session_routes() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/session", tags=["Session"])

    @router.put("/", summary="Create a session with an image")
    def create(
        files: Annotated[list[UploadFile], File()],
        uncompress: bool = False,
        expiry: Annotated[int, Query(ge=0, le=86_400)] = 0,
    ) -> dict[str, Any]:
        if uncompress:
            raise ConfigError("uncompress: archives are not taken; send the image itself")
        if len(files) != 1:
            raise ConfigError(f"a session is of one image, got {len(files)} files")
        session = _create(files[0], expiry)
        return {"session_id": session.name, "session_info": _shown(session)}

    @router.get("/{session_id}", summary="A session, or its image", response_model=None)
    def get(session_id: str, update_ts: bool = False, image: bool = False) -> Response | dict[str, Any]:
        session = _require(session_id, update_ts)
        if image:
            return FileResponse(session.image, media_type=get_mime_type(session.image), filename=_name(session))
        return _shown(session)

    @router.delete("/{session_id}", summary="End a session")
    def delete(session_id: str) -> dict[str, Any]:
        session = _require(session_id)
        _sessions().remove_session(session_id)
        return _shown(session)

    return router


def session_image(session_id: str) -> Path:
    """The image of an open session, which is used from now on.

    Raises:
        NotFoundError: there is no such session, or no longer.
    """
    return PutDown(_require(session_id, used=True).image)


def _create(file: UploadFile, expiry: int) -> SessionInfo:
    sessions = _sessions()
    if len(sessions) >= MOST_SESSIONS:
        sessions.remove_expired()
    if len(sessions) >= MOST_SESSIONS:
        raise TooManyError(f"there are {len(sessions)} sessions; end some, or wait until they expire")
    with put_down(file.file, ending_of(file.filename)) as received, called(received, "the file sent"):
        kind = require_image(received, "the file sent")
        read_radiograph(received)
        ending = ending_of(file.filename).lower()
        endings = SUFFIXES_OF_FORMAT[kind]
        image = received.with_name(f"{uuid.uuid4().hex}{ending if ending in endings else endings[0]}")
        with storage_errors(Path(sessions.store_path), "the session"):
            image.write_bytes(received.read_bytes())
            try:
                _, session = sessions.add_session(str(image), expiry, session_id=str(uuid.uuid4()))
            finally:
                image.unlink(missing_ok=True)  # unless it was moved into the session
    return session


def _sessions() -> Sessions:
    sessions = app_instance().sessions()
    if sessions is None:
        raise NotFoundError("sessions are switched off on this server (MONAI_LABEL_SESSIONS)")
    return sessions


def _require(session_id: str, used: bool = False) -> SessionInfo:
    session = _sessions().get_session(session_id, update_ts=used) if _ID.fullmatch(session_id) else None
    if session is None or session.last_access_ts + session.expiry < time.time():
        raise NotFoundError(
            f"session '{session_id[:60]}' has expired, or never was; PUT /session/ with the image opens one"
        )
    return session


def _shown(session: SessionInfo) -> dict[str, Any]:
    """What a client needs to know: not where the server keeps it."""
    shown = ("name", "meta", "create_ts", "last_access_ts", "expiry")
    return {**{key: getattr(session, key) for key in shown}, "image": _name(session)}


def _name(session: SessionInfo) -> str:
    return Path(session.image).name
