"""Errors over HTTP: what a user did wrong is answered with a 4xx and one sentence, never with a bare 500."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException as AnyHTTPException

from gateway.replies import sentence
from landmarklabel.errors import LandmarkLabelError, listed

logger = logging.getLogger(__name__)


def install_error_answers(server: FastAPI) -> None:
    """Teach an application to answer our errors, and MONAI Label's, with a status that fits."""
    server.add_exception_handler(LandmarkLabelError, _answer_ours)
    server.add_exception_handler(MONAILabelException, _answer_monai_label)
    server.add_exception_handler(json.JSONDecodeError, _answer_json)
    server.add_exception_handler(AnyHTTPException, _answer_http)
    server.add_exception_handler(RequestValidationError, _answer_validation)
    server.add_exception_handler(TypeError, _answer_surprise)
    server.add_exception_handler(ValueError, _answer_surprise)
    server.add_exception_handler(Exception, _answer_surprise)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    _note(error, error.status_code)
    return await http_exception_handler(request, error)


async def _answer_validation(request: Request, error: Exception) -> Response:
    """What FastAPI lists, as a sentence: ``query image: field required``."""
    assert isinstance(error, RequestValidationError)
    parts = [f"{' '.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors()]
    return _answer(error, 422, f"the request is not complete or not right ({listed(parts, 3)})")


async def _answer_surprise(request: Request, error: Exception) -> Response:
    """What nobody expected. MONAI Label's endpoints themselves only fail on parameters of the wrong kind."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, (TypeError, ValueError)) and "endpoints" in Path(frames[-1].filename).parts:
        return _answer(error, 400, "parameters of the wrong kind: params and info are JSON objects")
    logger.error("a request failed", exc_info=error)
    return _answer(error, 500, f"the server failed on this ({type(error).__name__}); its log says where")


async def _answer_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, LandmarkLabelError)
    wait = getattr(error, "retry_after", None)
    return _answer(error, error.http_status, str(error), {} if wait is None else {"Retry-After": str(wait)})


async def _answer_monai_label(request: Request, error: Exception) -> Response:
    assert isinstance(error, MONAILabelException)
    missing = isinstance(error, (ImageNotFoundException, LabelNotFoundException))
    status = 404 if missing else 400 if error.error == MONAILabelError.INVALID_INPUT else 500
    return _answer(error, status, error.msg)


async def _answer_json(request: Request, error: Exception) -> Response:
    return _answer(error, 400, f"the parameters are not valid JSON ({error})")


def _answer(error: Exception, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    _note(error, status)
    return sentence(status, text, headers)


def _note(error: Exception, status: int) -> None:
    """Without the sentence, which may name an image, and with it a patient."""
    logger.info("%d %s", status, type(error).__name__)
