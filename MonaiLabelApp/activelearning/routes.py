"""Next image, skip, postpone, give back: over HTTP. In place of MONAI Label's own route of the next sample."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from activelearning.next_image import NextImages
from activelearning.strategies import client_of, seed_of
from gateway.guard import caller_of, require_role
from gateway.rules import Role

_DEFAULT = "mixed"


def annotating_routes(images: NextImages) -> APIRouter:
    """The routes.

    They are no coroutines: one that waits for the database makes no other wait.

    Args:
        images: offers them.
    """
    router = APIRouter(prefix="/activelearning", tags=["ActiveLearning"])

    @router.get("/leases", summary="Who labels which image just now")
    def leases(request: Request, client_id: str = "", mine: bool = False) -> list[dict[str, Any]]:
        return images.leases(_who(request, {"client_id": client_id}) if mine else None)

    @router.delete("/leases/{image}", summary="Give an image back, that others may get it")
    def give_back(request: Request, image: str, client_id: str = "", force: bool = False) -> dict[str, Any]:
        if force:
            require_role(request, "force")
        return images.give_back(image, None if force else _who(request, {"client_id": client_id}))

    @router.get("/put_off", summary="Skipped and postponed images")
    def all_put_off() -> list[dict[str, Any]]:
        return images.all_put_off()

    @router.put("/put_off/{image}", summary="Skip an image, or postpone it until no other is left")
    def put_off(
        request: Request, image: str, later: bool = False, client_id: str = "", reason: str = ""
    ) -> dict[str, Any]:
        who = _who(request, {"client_id": client_id})
        return images.put_off(image, not later, who, reason, _unless_admin(request))

    @router.delete("/put_off/{image}", summary="Offer an image again that one has put off oneself; admins, any")
    def offer_again(request: Request, image: str) -> dict[str, Any]:
        return images.offer_again(image, _unless_admin(request))

    @router.post("/{strategy}", summary="The next image to label")
    def next_image(
        request: Request, strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None
    ) -> dict[str, Any]:
        params = params or {}
        return images.next(strategy or _DEFAULT, _who(request, params), seed_of(params))

    return router


def _unless_admin(request: Request) -> str | None:
    """Who asks, by the name of their token; None for an admin, who may undo what others did."""
    caller = caller_of(request)
    return None if caller.role >= Role.ADMIN else caller.name


def _who(request: Request, params: dict[str, Any]) -> str:
    """Who asks: the name of their token and of their client; of who has neither, the address.

    Two clients without a name on one computer are one person to the server.
    """
    caller = getattr(request.scope.get("landmarklabel.caller"), "name", "")
    names = [name for name in (caller, client_of(params)) if name]
    return " / ".join(names) or (f"somebody at {request.client.host}" if request.client else "")
