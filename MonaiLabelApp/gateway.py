"""Errors over HTTP: what a user did wrong is answered with a 4xx and one sentence, never with a bare 500."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from landmarklabel.errors import LandmarkLabelError

logger = logging.getLogger(__name__)


def install_error_answers() -> None:
    """Teach the running MONAI Label application to answer our errors, and its own, with a status that fits.

    The application exists already when an app is loaded: it is asked to build its handlers again. In a process
    without it (training) there is nothing to do.
    """
    module = sys.modules.get("monailabel.app")
    if module is None:
        return
    server: FastAPI = module.app
    server.add_exception_handler(LandmarkLabelError, _answer_ours)
    server.add_exception_handler(MONAILabelException, _answer_monai_label)
    server.add_exception_handler(json.JSONDecodeError, _answer_json)
    server.add_exception_handler(HTTPException, _answer_http)
    server.middleware_stack = None


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 500 and str(error.detail).startswith("Neither Image nor File"):
        return _answer(request, 400, "which image? give image=ID or session_id=ID, or send a file")
    return await http_exception_handler(request, error)


async def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LandmarkLabelError)
    return _answer(request, error.http_status, str(error))


async def _answer_monai_label(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MONAILabelException)
    missing = isinstance(error, (ImageNotFoundException, LabelNotFoundException))
    status = 404 if missing else 400 if error.error == MONAILabelError.INVALID_INPUT else 500
    return _answer(request, status, error.msg)


async def _answer_json(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, 400, f"the parameters are not valid JSON ({error})")


def _answer(request: Request, status: int, sentence: str) -> JSONResponse:
    logger.info("%s %s: %d %s", request.method, request.url.path, status, sentence)
    content: dict[str, Any] = {"detail": sentence}
    return JSONResponse(content, status_code=status)
