"""What stands between the network and the app: who may do what, how much, how long, and in which order.

MONAI Label's application exists already when an app is loaded. :func:`install` gives it routes of our own where its
own are not good enough, puts what is left into threads, and stands guard before all of them.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gateway.administration import administration_routes
from gateway.correlation import Correlation, install_log_lines
from gateway.door import Door, Limits
from gateway.errors import install_error_answers
from gateway.guard import Guard
from gateway.health import health_routes
from gateway.inference import inference_routes
from gateway.login import login_routes
from gateway.metrics import Metrics
from gateway.options import SETTINGS, GatewayOptions
from gateway.queue import FairQueue
from gateway.sessions import session_routes
from gateway.stock import flat, methods_and_paths, stays, take_over
from gateway.storing import storing_routes
from gateway.tokens import TokenSource, token_source

__all__ = ["SETTINGS", "GatewayOptions", "in_server", "install"]

logger = logging.getLogger(__name__)


def in_server() -> bool:
    """Whether this process is the server; training has one of its own."""
    return "monailabel.app" in sys.modules


def install(app: Any, options: GatewayOptions) -> None:
    """Put the gateway before the running MONAI Label application, in place of an earlier one.

    Args:
        app: gives ``figures()``, for monitoring.

    Raises:
        ConfigError: the tokens can't be read.
    """
    server: FastAPI = sys.modules["monailabel.app"].app
    tokens = token_source(options.token_file)
    queue = FairQueue(options.infer_workers, options.infer_waiting)
    metrics = Metrics(queue, app.figures)
    if not hasattr(server.state, "stock_routes"):
        server.state.stock_routes = list(flat(server.router.routes))
    router = APIRouter()
    for own in (
        health_routes(metrics),
        login_routes(tokens),
        inference_routes(queue, metrics, options.infer_timeout),
        session_routes(),
        storing_routes(),
        administration_routes(),
    ):
        for route in own.routes:
            router.routes.append(route)
    taken = set(methods_and_paths(router.routes))
    for route in server.state.stock_routes:
        if stays(route) and not taken.issuperset(methods_and_paths([route])):
            take_over(route, router)
    server.router.routes = router.routes
    server.openapi_schema = None
    install_error_answers(server)
    install_log_lines()
    server.user_middleware = _middleware(tokens, metrics, options)
    server.middleware_stack = None  # it is built again for the next request
    if hasattr(server.state, "queue"):
        server.state.queue.close()
    server.state.queue = queue
    _say_who_may(tokens, options)


def _middleware(tokens: TokenSource | None, metrics: Metrics, options: GatewayOptions) -> list[Middleware]:
    """The first is met first."""
    stack = [Middleware(Correlation, metrics=metrics)]
    if options.allow_origins:
        headers = ["Authorization", "Content-Type", "X-Request-ID"]
        methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
        stack += [
            Middleware(
                CORSMiddleware,
                allow_origins=list(options.allow_origins),
                allow_methods=methods,
                allow_headers=headers,
                expose_headers=["X-Request-ID"],
            )
        ]
    guard = Middleware(Guard, tokens=tokens, open_to_all=options.open_to_all, origins=options.allow_origins)
    limits = Limits.of(options.max_upload_mb, options.max_model_mb, options.body_timeout)
    return [*stack, guard, Middleware(Door, limits=limits)]


def _say_who_may(tokens: TokenSource | None, options: GatewayOptions) -> None:
    if tokens is not None:
        logger.info("%d tokens: nobody is answered without one", len(tokens.current()))
    elif options.open_to_all:
        logger.warning("NO TOKENS: everybody who reaches this server may read, change and delete everything")
    else:
        logger.warning("no tokens: everybody on this machine may do everything; others are not answered")
