"""What each route needs: who may use it, and what body it takes. What is not in this table is closed to everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property

from starlette.routing import compile_path


class Role(IntEnum):
    """Who asks. Each role may do what those before it may."""

    PUBLIC = 0
    READER = 1
    ANNOTATOR = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


class Body(Enum):
    """What a request carries, by which its size is bounded."""

    NOTHING = "nothing"
    JSON = "JSON"
    FORM = "form"
    FILE = "file"
    MODEL = "model"


@dataclass(frozen=True)
class Rule:
    """The decision on one route.

    Attributes:
        method, path: as the route has them, ``/infer/{model}``.
        role: the least that is needed.
        body: what it takes.
    """

    method: str
    path: str
    role: Role
    body: Body = Body.NOTHING

    @cached_property
    def _pattern(self):  # type: ignore[no-untyped-def]
        return compile_path(self.path)[0]

    def fits(self, path: str) -> bool:
        """Whether a request's path is this route's; one slash at its end more or less makes no difference."""
        other = path[:-1] if path.endswith("/") else f"{path}/"
        return self._pattern.match(path) is not None or self._pattern.match(other) is not None


RULES = (
    # The server itself
    Rule("GET", "/healthz", Role.PUBLIC),
    Rule("GET", "/readyz", Role.PUBLIC),
    Rule("GET", "/metrics", Role.READER),
    Rule("GET", "/", Role.READER),
    Rule("GET", "/docs", Role.READER),
    Rule("HEAD", "/docs", Role.READER),
    Rule("GET", "/openapi.json", Role.READER),
    Rule("HEAD", "/openapi.json", Role.READER),
    Rule("GET", "/favicon.ico", Role.PUBLIC),
    Rule("GET", "/info/", Role.READER),
    Rule("GET", "/logs/", Role.ADMIN),
    Rule("POST", "/reload", Role.ADMIN),
    # How MONAI Label's own clients log in
    Rule("GET", "/auth/", Role.PUBLIC),
    Rule("POST", "/auth/token", Role.PUBLIC, Body.FORM),
    Rule("GET", "/auth/token/valid", Role.READER),
    # Asking models
    Rule("POST", "/infer/{model}", Role.READER, Body.FILE),
    Rule("PUT", "/session/", Role.READER, Body.FILE),
    Rule("GET", "/session/{session_id}", Role.READER),
    Rule("DELETE", "/session/{session_id}", Role.READER),
    # Images and labels
    Rule("GET", "/datastore/", Role.READER),
    Rule("PUT", "/datastore/", Role.ANNOTATOR, Body.FILE),
    Rule("DELETE", "/datastore/", Role.ADMIN),
    Rule("GET", "/datastore/image", Role.READER),
    Rule("HEAD", "/datastore/image", Role.READER),
    Rule("PUT", "/datastore/image", Role.ANNOTATOR, Body.FILE),
    Rule("DELETE", "/datastore/image", Role.ADMIN),
    Rule("GET", "/datastore/image/info", Role.READER),
    Rule("PUT", "/datastore/image/info", Role.ANNOTATOR, Body.FORM),
    Rule("GET", "/datastore/label", Role.READER),
    Rule("HEAD", "/datastore/label", Role.READER),
    Rule("PUT", "/datastore/label", Role.ANNOTATOR, Body.FILE),
    Rule("DELETE", "/datastore/label", Role.ANNOTATOR),
    Rule("GET", "/datastore/label/info", Role.READER),
    Rule("PUT", "/datastore/label/info", Role.ANNOTATOR, Body.FORM),
    Rule("PUT", "/datastore/updatelabelinfo", Role.ANNOTATOR, Body.FORM),
    Rule("GET", "/datastore/dataset", Role.ADMIN),
    # Earlier versions of labels
    Rule("GET", "/labels/history", Role.READER),
    Rule("GET", "/labels/version", Role.READER),
    Rule("GET", "/labels/compare", Role.READER),
    Rule("GET", "/labels/drafts", Role.READER),
    Rule("POST", "/labels/restore", Role.ANNOTATOR),
    Rule("POST", "/labels/undelete", Role.ANNOTATOR),
    Rule("POST", "/labels/undelete_image", Role.ADMIN),
    # What to label next
    Rule("POST", "/activelearning/{strategy}", Role.ANNOTATOR, Body.JSON),
    Rule("GET", "/activelearning/leases", Role.READER),
    Rule("DELETE", "/activelearning/leases/{image}", Role.ANNOTATOR),
    Rule("GET", "/activelearning/put_off", Role.READER),
    Rule("PUT", "/activelearning/put_off/{image}", Role.ANNOTATOR),
    Rule("DELETE", "/activelearning/put_off/{image}", Role.ANNOTATOR),
    # Long work
    Rule("GET", "/scoring/", Role.READER),
    Rule("POST", "/scoring/", Role.ADMIN, Body.JSON),
    Rule("POST", "/scoring/{method}", Role.ADMIN, Body.JSON),
    Rule("DELETE", "/scoring/", Role.ADMIN),
    Rule("GET", "/batch/infer", Role.READER),
    Rule("POST", "/batch/infer/{model}", Role.ADMIN, Body.JSON),
    Rule("DELETE", "/batch/infer", Role.ADMIN),
    Rule("GET", "/train/", Role.READER),
    Rule("POST", "/train/", Role.ADMIN, Body.JSON),
    Rule("POST", "/train/{model}", Role.ADMIN, Body.JSON),
    Rule("DELETE", "/train/", Role.ADMIN),
    # Training runs
    Rule("GET", "/runs/", Role.READER),
    Rule("GET", "/runs/{run_id}", Role.READER),
    Rule("POST", "/runs/{run_id}/publish", Role.ADMIN),
    # Models
    Rule("GET", "/model/{model}", Role.ADMIN),
    Rule("GET", "/model/info/{model}", Role.ADMIN),
    Rule("PUT", "/model/{model}", Role.ADMIN, Body.MODEL),
    Rule("DELETE", "/model/{model}", Role.ADMIN),
)


#: What some parameters need beyond the role of their route.
PARAMETERS = {
    "save_label": Role.ANNOTATOR,  # of POST /infer/{model}, which readers may ask
    "force": Role.ADMIN,  # of DELETE /activelearning/leases/{image}: to take from somebody what they work on
}


@dataclass(frozen=True)
class Verdict:
    """What the table says of a request: a rule; or none, with the methods that the path has."""

    rule: Rule | None
    methods: tuple[str, ...] = ()


def look_up(method: str, path: str, rules: Iterable[Rule] = RULES) -> Verdict:
    """The rule of a request."""
    fitting = [rule for rule in rules if rule.fits(path)]
    chosen = next((rule for rule in fitting if rule.method == method), None)
    return Verdict(chosen, tuple(dict.fromkeys(rule.method for rule in fitting)))
