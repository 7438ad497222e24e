"""What an app adds to the running MONAI Label application: routes before its own of the same path, and threads."""

from __future__ import annotations

import sys
from typing import Protocol

from fastapi import APIRouter, FastAPI


class Runs(Protocol):
    """What works in threads of its own from ``start`` to ``stop``."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def add_routes(*routers: APIRouter) -> None:
    """Answer by these from now on, in place of those of an earlier call: the app may be loaded anew.

    Only in the server's process, where MONAI Label's application exists before the app.
    """
    server: FastAPI = sys.modules["monailabel.app"].app
    earlier = getattr(server.state, "own_routes", [])
    own = [route for router in routers for route in router.routes]
    server.router.routes[:] = [*own, *(route for route in server.router.routes if route not in earlier)]
    server.state.own_routes = own
    server.openapi_schema = None


def start_background(*backgrounds: Runs) -> None:
    """Begin work in the background, in place of that of an earlier app."""
    server: FastAPI = sys.modules["monailabel.app"].app
    for earlier in getattr(server.state, "backgrounds", ()):
        earlier.stop()
    server.state.backgrounds = backgrounds
    for background in backgrounds:
        background.start()
