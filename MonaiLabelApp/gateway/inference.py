"""POST /infer/{model}: in place of MONAI Label's own, which holds up every other request while it computes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Hashable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type
from requests_toolbelt import MultipartEncoder
from starlette.concurrency import run_in_threadpool

from gateway.guard import caller_of, require_role
from gateway.metrics import Metrics
from gateway.queue import BusyError, FairQueue, Job, Lane, SupersededError
from gateway.replies import PassingFile
from gateway.sessions import session_image
from gateway.strict_json import parse_object
from gateway.uploads import called, ending_of, put_down, require_image
from landmarklabel.errors import ConfigError

logger = logging.getLogger(__name__)

_LONGEST_CLIENT = 200


class Output(str, Enum):
    """What an answer is made of; both file and JSON where it is not said."""

    image = "image"
    json = "json"
    all = "all"
    dicom_seg = "dicom_seg"


@dataclass(frozen=True)
class Asked:
    """A request for inference.

    Attributes:
        request: as MONAI Label's tasks take it; params may name another model or image than the address.
        file: sent along, in place of an image of the store.
        output: what is wanted.
        client: by whom clients get their turns.
        subject: of corrections, what the newest counts of.
    """

    request: dict[str, Any]
    file: UploadFile | None
    output: Output
    client: Hashable
    subject: Hashable | None

    @property
    def lane(self) -> Lane:
        """Corrections go before whole images."""
        return Lane.CLICK if self.request["model"] == "refine" else Lane.IMAGE


def inference_routes(queue: FairQueue, metrics: Metrics, timeout_s: float) -> APIRouter:
    """The route.

    Args:
        queue: in which the work is done.
        timeout_s: seconds after which a request is given up.
    """
    router = APIRouter(tags=["Infer"])

    @router.post("/infer/{model}", summary="Run inference")
    async def infer(
        request: Request,
        model: str,
        image: str = "",
        session_id: str = "",
        params: Annotated[str, Form()] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
        output: Output | None = None,
    ) -> Response:
        if label is not None and label.filename:
            raise ConfigError("label: no model here takes a label; send corrections in params")
        if not (image or session_id or (file is not None and file.filename)):
            raise ConfigError("which image? give image=ID or session_id=ID, or send a file")
        # The only part that asks the disk, for which the others would wait here.
        of_session = await run_in_threadpool(session_image, session_id) if session_id else None
        asked = _read(request, model, of_session or image, session_id, params, file, output or Output.all)
        job = Job(lambda: _work(asked), asked.lane, asked.client, asked.subject, dispose=_dispose)
        return await _answered(request, job, queue, metrics, timeout_s)

    return router


def _read(
    request: Request,
    model: str,
    image: str | Path,
    session_id: str,
    params: str,
    file: UploadFile | None,
    output: Output,
) -> Asked:
    if output is Output.dicom_seg:
        raise ConfigError("output=dicom_seg is for segmentations in a DICOM server; ask for image or json")
    wanted: dict[str, Any] = {"model": model, "image": image, **parse_object(params, "params")}
    caller = caller_of(request)
    if wanted.get("save_label"):
        require_role(request, "save_label")
    if caller.name:
        wanted["user"] = caller.name
    if session_id:
        wanted |= {"image": image, "session": {"name": session_id}}
    else:
        session_id = wanted["session"] if isinstance(wanted.get("session"), str) else ""
    client_id = wanted["client_id"] if isinstance(wanted.get("client_id"), str) else ""
    # The answer's file is read where it is sent, or saved.
    wanted["json_only"] = output is Output.json and not wanted.get("save_label")
    place = caller.name or (request.client.host if request.client else "")
    client = (place, (client_id or session_id)[:_LONGEST_CLIENT])
    subject = None
    if wanted["model"] == "refine" and (client_id or session_id):
        subject = (place, client_id, session_id, str(wanted["image"]))
    return Asked(wanted, file if file is not None and file.filename else None, output, client, subject)


async def _answered(request: Request, job: Job, queue: FairQueue, metrics: Metrics, timeout_s: float) -> Response:
    """The answer of a job; whoever asked may go, or lose patience, before it is there."""
    answer = asyncio.wrap_future(queue.submit(job))
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({answer, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return _counted(answer, job, metrics)
        metrics.given_up(job, "gone" if gone.done() else "late")
        if gone.done():
            return Response(status_code=499)  # that nobody reads
        raise BusyError(f"there was no answer within {timeout_s:g} s; ask again later", 10)
    finally:
        gone.cancel()
        if not answer.done():
            job.abandon()


def _counted(answer: asyncio.Future[Response], job: Job, metrics: Metrics) -> Response:
    try:
        response = answer.result()
    except SupersededError:
        metrics.given_up(job, "superseded")
        raise
    except BaseException:
        metrics.given_up(job, "refused")
        raise
    metrics.answered(job)
    return response


async def _until_gone(request: Request) -> None:
    with suppress(HTTPException):  # of a body that nobody reads, and that is too long or too slow
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _work(asked: Asked) -> Response:
    """What a worker does: the inference, and its answer as it is sent."""
    with ExitStack() as stack:
        request = dict(asked.request)
        if asked.file is not None:
            path = stack.enter_context(put_down(asked.file.file, ending_of(asked.file.filename)))
            stack.enter_context(called(path, "the file sent"))
            require_image(path, "the file sent")
            request["image"] = path
        result = app_instance().infer(request)
    file = result.get("file")
    return _respond(None if file is None else Path(file), result.get("params") or {}, asked.output)


def _respond(file: Path | None, params: dict[str, Any], output: Output) -> Response:
    """File, JSON or both, as MONAI Label's own clients read them; the file is deleted once it is read or sent."""
    if output is Output.image and file is not None:
        return PassingFile(file, media_type=get_mime_type(str(file)), filename=file.name)
    try:
        if output is Output.json or file is None:
            return JSONResponse(params)
        parts = MultipartEncoder(
            {
                "params": (None, json.dumps(params), "application/json"),
                "image": (file.name, file.read_bytes(), get_mime_type(str(file))),
            }
        )
        return Response(parts.to_string(), media_type=parts.content_type)
    finally:
        if file is not None:
            _delete(file)


def _dispose(response: Response) -> None:
    if isinstance(response, PassingFile):
        _delete(Path(response.path))


def _delete(file: Path) -> None:
    file.unlink(missing_ok=True)
