"""How MONAI Label's own clients log in: by a name and a password, for which a token stands here.

Its plug-in of 3D Slicer asks whether a log-in is needed, and for a token with name and password: the password is the
token.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from gateway.guard import caller_of
from gateway.replies import sentence
from gateway.tokens import TokenSource


def login_routes(tokens: TokenSource | None) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/auth", tags=["Auth"])

    @router.get("/", summary="Whether a token is needed")
    def enabled() -> dict[str, Any]:
        return {"enabled": tokens is not None, "client_id": "landmarklabel", "realm": ""}

    @router.post("/token", summary="Log in, with the token as password")
    def log_in(password: Annotated[str, Form()] = "", username: Annotated[str, Form()] = "") -> Response:
        if tokens is None:
            return JSONResponse({"access_token": None, "token_type": None})
        caller = tokens.current().caller(password)
        if caller is None or username not in ("", caller.name):
            return sentence(401, "no such name with this token")
        return JSONResponse({"access_token": password, "token_type": "bearer"})

    @router.get("/token/valid", summary="Who a token is of")
    def valid(request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        return {"username": caller.name, "roles": [str(caller.role)]}

    return router
