"""The history of labels over HTTP: earlier versions listed, fetched, compared and restored; deletions undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from monailabel.interfaces.utils.app import app_instance

from datastore import LandmarkDatastore
from landmarklabel.io.layouts.studies import LABEL_SUFFIX
from landmarklabel.store.compare import compare

Number = Annotated[int, Query(ge=1, le=2**31 - 1)]


def _nobody(request: Request) -> str:
    return ""


def history_routes(user_of: Callable[[Request], str] = _nobody) -> APIRouter:
    """The routes, all of which wait for the disk, in threads of their own.

    Args:
        user_of: who sends a request; "" if nobody knows.
    """
    router = APIRouter(prefix="/labels", tags=["History of labels"])

    @router.get("/history", summary="Versions of a label")
    def history(image: str, tag: str = "final") -> dict[str, Any]:
        versions, current = _store().store.history(image, tag)
        return {
            "image": image, "tag": tag, "current": current, "versions": [version.summary() for version in versions]
        }  # fmt: skip

    @router.get("/version", summary="What a version of a label holds")
    def version(image: str, version: Number, tag: str = "final") -> Response:
        content, suffix = _store().store.content(image, tag, version)
        kind = "application/json" if suffix == LABEL_SUFFIX else "application/octet-stream"
        return Response(content, media_type=kind)

    @router.get("/compare", summary="Which landmarks moved by how much between two versions")
    def compared(
        image: str, tag: str = "final", before: Number | None = None, after: Number | None = None
    ) -> dict[str, Any]:
        store = _store()
        return compare(store.store, image, tag, before, after, store.protocol).to_dict()

    @router.get("/drafts", summary="Work that was begun and is not final")
    def drafts() -> list[dict[str, Any]]:
        return [{"image": each.image, "tag": each.tag, "info": each.info} for each in _store().store.drafts()]

    @router.post("/restore", summary="Make an earlier version the label again")
    def restore(request: Request, image: str, version: Number, tag: str = "final") -> dict[str, Any]:
        return _store().store.restore(image, tag, version, user_of(request)).summary()

    @router.post("/undelete", summary="Bring a deleted label back")
    def undelete(request: Request, image: str, tag: str = "final") -> dict[str, Any]:
        return _store().store.undelete(image, tag, user_of(request)).summary()

    @router.post("/undelete_image", summary="Bring a deleted image back, with its labels")
    def undelete_image(request: Request, image: str) -> dict[str, Any]:
        return {"image": image, "labels": _store().store.undelete_image(image, user_of(request))}

    return router


def _store() -> LandmarkDatastore:
    store = app_instance().datastore()
    assert isinstance(store, LandmarkDatastore)
    return store
