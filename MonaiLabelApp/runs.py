"""Training runs over HTTP: what each was and how it ended, and going back to one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from landmarklabel.engine.runs import list_runs, publish_run
from landmarklabel.errors import NotFoundError


def run_routes(models: Path, protocol: str, published: Callable[[], None]) -> APIRouter:
    """The routes.

    Args:
        models: folder of models.
        protocol: of the server.
        published: is called when another model has come into use.
    """
    router = APIRouter(prefix="/runs", tags=["Train"])

    @router.get("/", summary="All training runs of this server, the newest first")
    def all_runs() -> list[dict[str, Any]]:
        return [run.summary() for run in reversed(list_runs(models)) if run.protocol == protocol]

    @router.get("/{run_id}", summary="A training run")
    def one_run(run_id: str) -> dict[str, Any]:
        for run in list_runs(models):
            if (run.id, run.protocol) == (run_id, protocol):
                return run.summary()
        raise NotFoundError(f"there is no run '{run_id[:80]}'; GET /runs/ lists them")

    @router.post("/{run_id}/publish", summary="Answer with a run's model from now on")
    def publish(run_id: str) -> dict[str, Any]:
        run = publish_run(models, run_id, protocol)
        published()
        return run.summary()

    return router
