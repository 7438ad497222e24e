"""MONAI Label's own routes: which stay, and how they are kept off the event loop.

They are coroutines that never wait: while one works, nobody else is answered. Each that stays runs in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

#: What this app has no use for, and what would be a way in: pages of another viewer, a proxy to any path of a DICOM
#: server, slides of pathology, a program's output.
_LEFT_OUT = ("/static", "/ohif/", "/proxy/", "/infer/wsi", "/logs/gpu")


def flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Routes, also those of routers that newer versions of FastAPI keep in one piece."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from flat(inner.routes)


def stays(route: BaseRoute) -> bool:
    """Whether a route of MONAI Label is served."""
    return isinstance(route, Route) and not route.path.startswith(_LEFT_OUT)


def methods_and_paths(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """What routes answer to; the path of a mounted application stands for all below it."""
    for route in flat(routes):
        for method in sorted(getattr(route, "methods", None) or {"ANY"}):
            yield method, getattr(route, "path", "")


def take_over(route: BaseRoute, router: APIRouter) -> None:
    """Add a route to a router, such that it works in a thread."""
    if not isinstance(route, APIRoute):
        router.routes.append(route)
        return
    waits = inspect.iscoroutinefunction(route.endpoint)
    router.add_api_route(
        route.path,
        _in_a_thread(route.endpoint) if waits else route.endpoint,
        methods=list(route.methods or ()),
        name=route.name,
        summary=route.summary,
        tags=route.tags,
        include_in_schema=route.include_in_schema,
        deprecated=route.deprecated,
    )


def _in_a_thread(endpoint: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """The same function without ``async``, which FastAPI runs in a thread.

    It has the signature of the other but is not wrapped around it in the sense of functools: FastAPI would find the
    coroutine in it.
    """

    def run(*arguments: Any, **named: Any) -> Any:
        coroutine = endpoint(*arguments, **named)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        coroutine.close()
        raise RuntimeError(f"{endpoint.__qualname__} of MONAI Label waits for something; it needs a route of our own")

    run.__name__, run.__doc__, run.__module__ = endpoint.__name__, endpoint.__doc__, endpoint.__module__
    run.__signature__ = inspect.signature(endpoint, eval_str=True)  # type: ignore[attr-defined]
    return run
