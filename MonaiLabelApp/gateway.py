"""Errors over HTTP: what a user did wrong is answered with a 4xx and one sentence, never with a bare 500."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from landmarklabel.errors import LandmarkLabelError, listed

logger = logging.getLogger(__name__)


def install_error_answers() -> None:
    """Teach the running MONAI Label application to answer our errors, and its own, with a status that fits.

    The application exists already when an app is loaded: it is asked to build its handlers again. In a process
    without it (training) there is nothing to do.
    """
    if not in_server():
        return
    server: FastAPI = sys.modules["monailabel.app"].app
    server.add_exception_handler(LandmarkLabelError, _answer_ours)
    server.add_exception_handler(MONAILabelException, _answer_monai_label)
    server.add_exception_handler(json.JSONDecodeError, _answer_json)
    server.add_exception_handler(HTTPException, _answer_http)
    server.add_exception_handler(RequestValidationError, _answer_validation)
    server.add_exception_handler(TypeError, _answer_surprise)
    server.add_exception_handler(ValueError, _answer_surprise)
    server.add_exception_handler(Exception, _answer_surprise)
    server.middleware_stack = None


def in_server() -> bool:
    """Whether this process is the server; training has one of its own."""
    return "monailabel.app" in sys.modules


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 500 and str(error.detail).startswith("Neither Image nor File"):
        return _answer(request, 400, "which image? give image=ID or session_id=ID, or send a file")
    if error.status_code == 500 and "DICOM SEG" in str(error.detail):
        return _answer(request, 400, "output=dicom_seg is for segmentations in a DICOM server; ask for image or json")
    return await http_exception_handler(request, error)


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    """What FastAPI lists, as a sentence: ``query image: field required``."""
    assert isinstance(error, RequestValidationError)
    parts = [f"{' '.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors()]
    return _answer(request, 422, f"the request is not complete or not right ({listed(parts, 3)})")


async def _answer_surprise(request: Request, error: Exception) -> JSONResponse:
    """What nobody expected. MONAI Label's endpoints themselves only fail on parameters of the wrong kind."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, (TypeError, ValueError)) and "endpoints" in Path(frames[-1].filename).parts:
        return _answer(request, 400, "parameters of the wrong kind: params and info are JSON objects")
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(request, 500, f"the server failed on this ({type(error).__name__}); its log says where")


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
    content: dict[str, Any] = {"detail": sentence.encode(errors="backslashreplace").decode()}
    return JSONResponse(content, status_code=status)
