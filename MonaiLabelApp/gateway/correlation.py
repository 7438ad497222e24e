"""A request's id, in its answer and in every line of the log that comes of it; one line and one measurement each."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.guard import caller_of, rule_of
from gateway.metrics import Metrics
from gateway.replies import header
from gateway.traces import trace

logger = logging.getLogger("landmarklabel.requests")

_HEADER = "x-request-id"
_SOUND = re.compile(r"[\w.:+/=-]{1,64}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")

# What MONAI Label logs of requests: names of images and parameters.
_TALKATIVE = (
    "monailabel.endpoints", "monailabel.utils.sessions", "monailabel.utils.async_tasks.task",
    "monailabel.interfaces.app", "monailabel.interfaces.tasks", "monailabel.datastore",
)  # fmt: skip


class Correlation:
    """Gives each request an id, its own if it brings a sound one, and notes how it ended.

    The log has the route, never the address with its names.

    Args:
        app: what answers.
        metrics: to which each answer is told.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, _HEADER)
        name = given if _SOUND.fullmatch(given) else uuid.uuid4().hex
        token, start, status = _current.set(name), time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), (_HEADER.encode(), name.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status, time.perf_counter() - start)
            _current.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        rule = rule_of(scope)
        method, route = (rule.method, rule.path) if rule else ("other", "none")
        self._metrics.requested(method, route, status, seconds)
        if route not in ("/healthz", "/readyz", "/metrics"):
            who = caller_of(scope).name or "-"
            logger.info("%s %s %d %.0f ms %s", method, route, status, 1000 * seconds, who)


class WithRequestId(logging.Formatter):
    """Another formatter's lines, with the id of the request that they come of; of errors, without what they say."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        name = _current.get()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = trace(record.exc_info[1])  # a formatter makes its own only where there is none
        return f"{self._inner.format(record)} [{name}]" if name else self._inner.format(record)


def install_log_lines() -> None:
    """Put the ids into the logs of this process, and keep names of images out of what MONAI Label writes there."""
    names = ("", "uvicorn", "uvicorn.error")
    handlers = {handler for name in names for handler in logging.getLogger(name).handlers}
    for handler in handlers:
        if not isinstance(handler.formatter, WithRequestId):
            handler.setFormatter(WithRequestId(handler.formatter or logging.Formatter()))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
