"""Who may do what: the first that a request meets. What the table of rules has not is closed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.replies import header, refuse
from gateway.rules import PARAMETERS, Role, Rule, look_up
from gateway.tokens import Caller, TokenSource
from landmarklabel.errors import LandmarkLabelError

NOBODY = Caller("", Role.ADMIN)

_CALLER, _RULE = "landmarklabel.caller", "landmarklabel.rule"
_FORWARDED = (
    "forwarded", "via", "x-real-ip",
    *(f"x-forwarded-{what}" for what in ("for", "host", "port", "proto", "server")),
)  # fmt: skip


class ForbiddenError(LandmarkLabelError):
    """A caller's role is too low for what a request asks: a parameter of it, or to undo what others did."""

    http_status = 403


class Guard:
    """Lets a request through to its route, with who sends it; or refuses it.

    Without tokens, everybody on this machine may do everything, and nobody else anything.

    Args:
        app: what is guarded.
        tokens: None for none.
        open_to_all: without tokens, others than this machine may do everything, too.
        origins: of other web pages that may ask.
    """

    def __init__(
        self, app: ASGIApp, tokens: TokenSource | None, open_to_all: bool = False, origins: Sequence[str] = ()
    ) -> None:
        self._app, self._tokens, self._open, self._origins = app, tokens, open_to_all, tuple(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no route is a websocket: it is closed
        verdict = look_up(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
        refusal = self._strange_page(scope) or self._admit(scope, verdict.rule)
        if refusal is None and verdict.rule is None:
            refusal = _nowhere(scope, verdict.methods)
        if refusal is not None:
            await refuse(scope, receive, send, *refusal)
            return
        scope[_RULE] = verdict.rule
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope, rule: Rule | None) -> tuple[int, str, dict[str, str]] | None:
        """Note who sends a request; or why they may not."""
        role = Role.READER if rule is None else rule.role
        if role is Role.PUBLIC:
            scope[_CALLER] = Caller("", Role.PUBLIC)
            return None
        if self._tokens is None:
            scope[_CALLER] = NOBODY
            return None if self._open else _not_from_here(scope)
        kind, _, secret = header(scope, "authorization").partition(" ")
        caller = self._tokens.current().caller(secret.strip()) if kind.lower() == "bearer" else None
        if caller is None:
            what = "the token is not known" if secret else "a token is needed: Authorization: Bearer TOKEN"
            return 401, what, {"WWW-Authenticate": 'Bearer realm="landmarklabel"'}
        scope[_CALLER] = caller
        if caller.role < role:
            return 403, f"{caller.name} is {_with_article(caller.role)}; this needs {_with_article(role)}", {}
        return None

    def _strange_page(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        """Refuse what a web page of elsewhere has its visitor's browser send."""
        origin = header(scope, "origin")
        if not origin or origin in self._origins or _part(origin, "netloc") == header(scope, "host"):
            return None
        return 403, "pages of other origins may not use this server; see --allow-origin", {}


def _not_from_here(scope: Scope) -> tuple[int, str, dict[str, str]] | None:
    """Without tokens: refuse who is not on this machine, or is not known to be."""
    here = scope.get("client") is None or _is_loopback(scope["client"][0])
    if not here or any(header(scope, name) for name in _FORWARDED):
        return 403, "this server has no tokens, and answers its own machine only; see --token-file", {}
    # A name that somebody else has made to mean 127.0.0.1 comes from a page of theirs.
    host = _part(f"//{header(scope, 'host')}", "hostname") or "localhost"
    if host != "localhost" and not _is_loopback(host):
        return 403, f"this server has no tokens, and answers to localhost and 127.0.0.1 only, not to {host[:80]}", {}
    return None


def _part(address: str, name: str) -> str:
    """``hostname`` or ``netloc`` of an address; what can't be read is no place of this machine."""
    try:
        return getattr(urlsplit(address), name) or ""
    except ValueError:
        return "?"


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _nowhere(scope: Scope, methods: Sequence[str]) -> tuple[int, str, dict[str, str]]:
    if methods:
        return 405, f"{scope['method']} is not for this; {', '.join(methods)} may be", {"Allow": ", ".join(methods)}
    return 404, "there is nothing here; GET /openapi.json lists what there is", {}


def _with_article(role: Role) -> str:
    return f"an {role}" if str(role).startswith("a") else f"a {role}"


def caller_of(connection: HTTPConnection | Scope) -> Caller:
    """Who sends a request."""
    scope = connection.scope if isinstance(connection, HTTPConnection) else connection
    return scope.get(_CALLER, Caller("", Role.PUBLIC))


def require_role(connection: HTTPConnection, parameter: str) -> None:
    """Check that who sends a request may use a parameter of :data:`~gateway.rules.PARAMETERS`.

    Raises:
        ForbiddenError: they may not.
    """
    caller, role = caller_of(connection), PARAMETERS[parameter]
    if caller.role < role:
        raise ForbiddenError(f"{caller.name} is {_with_article(caller.role)}; {parameter} needs {_with_article(role)}")


def rule_of(scope: Scope) -> Rule | None:
    """The rule by which a request was let in."""
    return scope.get(_RULE)
