"""What a request may carry: its size is bounded while it streams, and so is the time that it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.guard import rule_of
from gateway.replies import header, refuse
from gateway.rules import Body
from gateway.strict_json import require_plain
from landmarklabel.errors import LandmarkLabelError

_MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The most that a request may carry.

    Attributes:
        bytes: by what it carries.
        silence: seconds without a byte after which it is given up.
        rate: bytes a second that it has to come with, on average.
    """

    bytes: Mapping[Body, int]
    silence: float = 20.0
    rate: float = 8192.0

    @classmethod
    def of(cls, upload_mb: float, model_mb: float, silence: float) -> Limits:
        """With files and models of so many megabytes, and the forms around them."""
        small = {Body.NOTHING: _MB, Body.JSON: _MB, Body.FORM: 2 * _MB}
        return cls({**small, Body.FILE: int((upload_mb + 2) * _MB), Body.MODEL: int(model_mb * _MB)}, silence)


class Door:
    """Passes a request on with a body that keeps to the limits.

    A body that says that it is too long is refused before it is read, another when it gets too long; one that comes
    too slowly is given up. JSON is read as a whole and checked, since what reads it later trusts it.

    Args:
        app: what is behind the door.
        limits: of the bodies.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = rule_of(scope)
        if scope["type"] != "http" or rule is None:
            await self._app(scope, receive, send)
            return
        most, declared = self._limits.bytes[rule.body], header(scope, "content-length")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
            await refuse(scope, receive, send, 413, _too_long(most))
            return
        bounded = _Bounded(receive, most, self._limits)
        if rule.body not in (Body.NOTHING, Body.JSON) or not _has_body(scope):
            await self._app(scope, bounded, send)
            return
        try:
            content = await bounded.whole()
            require_plain(content, "the body")
        except (HTTPException, LandmarkLabelError) as problem:
            status = problem.status_code if isinstance(problem, HTTPException) else problem.http_status
            text = str(problem.detail) if isinstance(problem, HTTPException) else str(problem)
            await refuse(scope, receive, send, status, text)
            return
        await self._app(scope, _Replayed(content, receive), send)


class _Bounded:
    """The messages of a body, as long as they keep to the limits.

    Raises:
        HTTPException: 413, it is too long; 408, it comes too slowly. Whoever reads the body lets these pass.
    """

    def __init__(self, receive: Receive, most: int, limits: Limits) -> None:
        self._receive, self._most, self._limits = receive, most, limits
        self._start, self._heard, self._more = time.monotonic(), 0, True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()  # which tells when the client goes
        left = self._start + self._limits.silence + self._heard / self._limits.rate - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(left, self._limits.silence)))
        except asyncio.TimeoutError:
            raise HTTPException(408, "the request came too slowly, and was given up", {"Connection": "close"}) from None
        self._heard += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        if self._heard > self._most:
            raise HTTPException(413, _too_long(self._most), {"Connection": "close"})
        return message

    async def whole(self) -> bytes:
        """The body.

        Raises:
            HTTPException: 400, the client has gone in the middle of it: half of a request is none.
        """
        parts = []
        while self._more:
            message = await self()
            if message["type"] == "http.disconnect":
                raise HTTPException(400, "the request broke off, and nothing was done", {"Connection": "close"})
            parts.append(message.get("body", b""))
        return b"".join(parts)


class _Replayed:
    """A body that was read already, as the message that it could have come as; then what the client does next."""

    def __init__(self, content: bytes, receive: Receive) -> None:
        self._content: bytes | None = content
        self._receive = receive

    async def __call__(self) -> Message:
        if self._content is None:
            return await self._receive()
        content, self._content = self._content, None
        return {"type": "http.request", "body": content, "more_body": False}


def _has_body(scope: Scope) -> bool:
    return bool(header(scope, "content-length") or header(scope, "transfer-encoding"))


def _too_long(most: int) -> str:
    return f"this request is too long; at most {most / _MB:g} MB are taken here"
