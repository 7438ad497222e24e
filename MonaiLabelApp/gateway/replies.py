"""Refusals that are sent before, or in place of, a route: JSON with one sentence, as all errors are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

# A client that still sends while the connection is closed may never see the answer; it is listened to for so long.
_LISTEN_BYTES, _LISTEN_S = 16 << 20, 2.0


def sentence(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to what is refused."""
    content = {"detail": text.encode(errors="backslashreplace").decode()}
    return JSONResponse(content, status_code=status, headers=dict(headers or {}))


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, text: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer a request whose body nobody wants to read, and close its connection."""
    if not header(scope, "expect"):  # who asks before sending need not send
        await _listen(receive)
    await sentence(status, text, {"Connection": "close", **(headers or {})})(scope, receive, send)


async def _listen(receive: Receive) -> None:
    async def to_its_end() -> None:
        heard, more = 0, True
        while more and heard < _LISTEN_BYTES:
            message = await receive()
            heard += len(message.get("body", b""))
            more = message.get("more_body", False)

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(to_its_end(), _LISTEN_S)


def header(scope: Scope, name: str) -> str:
    """A header of a request; "" without."""
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), "")
