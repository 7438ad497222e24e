"""Routes for who runs the server: models, the log, and starting the app anew."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, UploadFile
from fastapi.responses import PlainTextResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance, apps

from datastore import ConflictError
from gateway.uploads import called, put_down
from landmarklabel.errors import NotFoundError, listed
from landmarklabel.files import storage_errors
from landmarklabel.predictor import Predictor
from models import PublishedModel

_reloading = threading.Lock()


def administration_routes() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.put("/model/{model}", tags=["Model"], summary="Answer with another model from now on")
    def put_model(model: str, file: UploadFile) -> dict[str, Any]:
        published = _published(model)
        with put_down(file.file, ".safetensors") as path:
            with called(path, "the file sent"):
                Predictor.load(path, "cpu", protocol=published.protocol)
            published.publish(path)
        return {**(app_instance().model_info(model) or {}), "model": model}

    @router.delete("/model/{model}", tags=["Model"], summary="Take a model out of use")
    def delete_model(model: str) -> dict[str, str]:
        path = _published(model).path
        if not path.is_file():
            raise NotFoundError(f"there is no model of '{model}'")
        kept = path.with_name(f"{path.stem}.{datetime.now():%Y%m%d_%H%M%S}.deleted")
        with storage_errors(path, f"the model of {model}"):
            path.rename(kept)
        return {"kept_as": kept.name}

    @router.get("/logs/", tags=["Others"], summary="The end of the server's log", response_class=PlainTextResponse)
    def get_log(lines: Annotated[int, Query(ge=1, le=10_000)] = 300) -> str:
        log = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
        try:
            with log.open(encoding="utf-8", errors="replace") as file:
                return "".join(deque(file, lines))
        except OSError as problem:
            raise NotFoundError(f"the log can't be read ({problem.strerror})") from None

    @router.post("/reload", include_in_schema=False)
    def reload() -> dict[str, Any]:
        # Built before it takes the other's place: whoever asks meanwhile, and after a mistake, is answered as before.
        with _reloading:
            running = app_instance()
            place = next(key for key, app in apps.items() if app is running)
            folders = (settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES)
            try:
                apps[place] = type(running)(*folders, dict(settings.MONAI_LABEL_APP_CONF))
            except SystemExit as problem:
                raise ConflictError(f"the app goes on as it was: {problem}") from None
        return {}

    return router


def _published(model: str) -> PublishedModel:
    models: dict[str, PublishedModel] = app_instance().published
    if model not in models:
        raise NotFoundError(f"there is no model '{model}'; there are {listed(models)}")
    return models[model]
