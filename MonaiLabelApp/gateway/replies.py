"""Answers of more than one route: refusals, which are JSON with one sentence, and files that are deleted once sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from starlette.responses import FileResponse, JSONResponse
from starlette.types import Receive, Scope, Send

# A client that still sends while the connection is closed may never see the answer; it is listened to for so long.
_LISTEN_BYTES, _LISTEN_S = 16 << 20, 2.0


class PassingFile(FileResponse):
    """A file that is deleted however its sending ends: Starlette does no background task of a Range that is refused."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


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
