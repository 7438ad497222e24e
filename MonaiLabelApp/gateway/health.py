"""Whether the server is up, whether it can work, and its figures: what a monitoring system asks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from monailabel.interfaces.utils.app import app_instance

from gateway.metrics import Metrics

#: Bytes that have to be free where labels are kept; one takes some kilobytes.
LEAST_FREE = 100 << 20


def health_routes(metrics: Metrics) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["Others"])

    @router.get("/healthz", summary="Whether the server answers at all")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Whether labels can be saved")
    def readyz() -> JSONResponse:
        problem = _problem(Path(app_instance().studies))
        return JSONResponse({"ready": problem is None, "detail": problem or ""}, 200 if problem is None else 503)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    def figures() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _problem(studies: Path) -> str | None:
    """Why labels can't be saved; None if they can. Says nothing of where they are: everybody may ask."""
    if not studies.is_dir():
        return "the studies folder is not there"
    if not os.access(studies, os.W_OK):
        return "the studies folder can't be written"
    free = shutil.disk_usage(studies).free
    if free < LEAST_FREE:
        return f"the disk of the studies is full: {free >> 20} MB are free"
    return None
