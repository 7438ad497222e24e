"""Which image somebody labels next: what is left, what others have, what was put off; and a plain word if none is."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from activelearning.knowledge import ImageKnowledge
from datastore import ConflictError, LandmarkDatastore
from gateway.guard import ForbiddenError
from landmarklabel.active import BY_NAME, STRATEGIES, Pool, choose
from landmarklabel.active.leases import Lease, Leases, PutOff, PutOffImages
from landmarklabel.errors import NotFoundError, listed

logger = logging.getLogger(__name__)

_TRIES = 50


@dataclass(frozen=True)
class _State:
    """The images without a final label, by what keeps them from being offered."""

    unlabelled: list[str]
    held: dict[str, Lease]
    put_off: dict[str, PutOff]
    unreadable: dict[str, str]

    def free(self) -> list[str]:
        """Those that nothing keeps."""
        kept = self.held.keys() | self.put_off.keys() | self.unreadable.keys()
        return [name for name in self.unlabelled if name not in kept]

    def postponed(self) -> list[str]:
        """Those that come when no other is left, the longest postponed first."""
        could_be_offered = set(self.unlabelled).difference(self.held, self.unreadable)
        return [name for name, each in self.put_off.items() if not each.for_good and name in could_be_offered]

    def own(self, who: str) -> list[str]:
        """Those that somebody got before and did not label, the first first."""
        left = set(self.unlabelled)
        own = [lease for lease in self.held.values() if who and lease.who == who and lease.image in left]
        return [lease.image for lease in sorted(own, key=lambda lease: lease.since)]


class NextImages:
    """Offers images to annotators, each to one at a time.

    Args:
        store: of images and labels.
        knowledge: by which images are chosen.
        leases: of who has which image.
        put_off: skipped and postponed images.
    """

    def __init__(
        self, store: LandmarkDatastore, knowledge: ImageKnowledge, leases: Leases, put_off: PutOffImages
    ) -> None:
        self._store, self._knowledge, self._leases, self._put_off = store, knowledge, leases, put_off

    def next(self, strategy: str, who: str = "", seed: int | None = None) -> dict[str, Any]:
        """An image for somebody, who keeps it until it is labelled, given back, or the lease ends.

        Asking again gives another image, as long as there is one; the earlier one stays theirs, too.

        Returns:
            ``id`` of the image and why it is this one; or no ``id``, and a sentence why there is none.

        Raises:
            NotFoundError: there is no such strategy.
        """
        if strategy not in STRATEGIES:
            raise NotFoundError(f"there is no strategy '{strategy}'; there are {listed(STRATEGIES)}")
        state = self._state()
        taken = self._take_free(state, strategy, who, seed)
        if taken is None:
            taken = self._take_in_turn(state.postponed(), "postponed", who)
        if taken is None:
            taken = self._take_in_turn(state.own(who), "yours already", who)
        return _nothing(state, len(self._store.list_images())) if taken is None else taken

    def _state(self) -> _State:
        unreadable = self._knowledge.snapshot().unreadable
        return _State(self._store.get_unlabeled_images(), self._leases.held(), self._put_off.all(), unreadable)

    def _take_free(self, state: _State, strategy: str, who: str, seed: int | None) -> dict[str, Any] | None:
        free = state.free()
        snapshot = self._knowledge.snapshot()
        for _ in range(_TRIES):
            if not free:
                return None
            by_name = strategy in BY_NAME
            pool = Pool.of(free) if by_name else snapshot.pool(free, state.unlabelled, state.held)
            (choice,) = choose(strategy, pool, 1, seed)
            if self._leases.take(choice.id, who):
                row = snapshot.rows.get(choice.id)
                error = float("nan") if row is None else float(snapshot.errors[row])
                scored = {} if error != error else {"expected_error": round(error, 5), "unit": snapshot.unit}
                return {**self._offer(choice.id), "strategy": choice.strategy, **scored}
            free.remove(choice.id)  # somebody was faster
        return None

    def _take_in_turn(self, names: Iterable[str], why: str, who: str) -> dict[str, Any] | None:
        for name in names:
            if self._leases.take(name, who):
                return {**self._offer(name), "strategy": why}
        return None

    def _offer(self, name: str) -> dict[str, Any]:
        lease = self._leases.held().get(name)
        until = {} if lease is None else {"leased_until": _time(lease.until)}
        return {"id": name, **until}

    # What happens to an image -------------------------------------------------------------------------------

    def saved(self, name: str) -> None:
        """A label was saved: whoever has the image keeps it, until the label is final.

        What can't be noted now is no reason to call the label unsaved: leases end by themselves.
        """
        try:
            if self._store.get_label_uri(name, "final"):
                self._leases.release(name)
            else:
                self._leases.renew(name)
        except Exception:
            logger.exception("a label is saved, and the lease of its image stays as it was")

    def put_off(
        self, name: str, for_good: bool, who: str = "", reason: str = "", person: str | None = None
    ) -> dict[str, Any]:
        """Never offer an image again, or not before all others; whoever has it gives it back.

        Args:
            who: is noted with it.
            person: with it, only this person's own skip may be replaced.

        Raises:
            NotFoundError: there is no such image.
            ForbiddenError: somebody else has skipped it.
            ConflictError: somebody else labels it just now.
        """
        self._store.require_image(name)
        before = self._put_off.all().get(name)
        if before is not None and before.for_good:  # what is postponed comes back, and may be put off once more
            _require_own(before, person)
        lease = self._leases.held().get(name)
        if lease is not None and who != lease.who:
            raise ConflictError(f"{name} is being labelled by {lease.who or 'somebody else'}; it can't be put off now")
        self._put_off.put_off(name, for_good, who, reason)
        self._leases.release(name)
        return {"id": name, "put_off": "skipped" if for_good else "postponed"}

    def offer_again(self, name: str, person: str | None = None) -> dict[str, Any]:
        """Take back that an image was put off; with ``person``, only if that person has put it off.

        Raises:
            NotFoundError: it was not.
            ForbiddenError: somebody else has.
        """
        before = self._put_off.all().get(name)
        if before is not None:
            _require_own(before, person)
        if before is None or not self._put_off.offer_again(name, before.who):
            raise NotFoundError(f"{name} is neither skipped nor postponed")
        return {"id": name}

    def all_put_off(self) -> list[dict[str, Any]]:
        """What is skipped or postponed, the longest ago first."""
        return [{**asdict(each), "since": _time(each.since)} for each in self._put_off.all().values()]

    def leases(self, who: str | None = None) -> list[dict[str, Any]]:
        """Who has which image; with ``who``, what that person has."""
        held = [lease for lease in self._leases.held().values() if who is None or lease.who == who]
        times = [{"since": _time(lease.since), "until": _time(lease.until)} for lease in held]
        return [{"image": lease.image, "who": lease.who, **when} for lease, when in zip(held, times, strict=True)]

    def give_back(self, name: str, who: str | None = None) -> dict[str, Any]:
        """Let others have an image; with ``who``, only if that person has it.

        Raises:
            NotFoundError: it is not theirs, or nobody's.
        """
        if not self._leases.release(name, who):
            raise NotFoundError(f"nobody has {name}" if who is None else f"{name} is not yours, or no longer")
        return {"id": name}


def _require_own(put_off: PutOff, person: str | None) -> None:
    """Check that this person has put an image off, at whichever client (``PERSON / CLIENT``); None may all.

    Raises:
        ForbiddenError: somebody else has.
    """
    if person is not None and put_off.who.split(" / ")[0] != person:
        how = "skipped" if put_off.for_good else "postponed"
        raise ForbiddenError(f"{put_off.image} was {how} by {put_off.who or 'somebody else'}; an admin may undo that")


def _nothing(state: _State, images: int) -> dict[str, Any]:
    """Why there is no image, in a sentence."""
    if not images:
        return {"detail": "there are no images in these studies yet", "left": 0}
    left = set(state.unlabelled)
    if not left:
        return {"detail": f"all {images} images have a final label", "left": 0}
    reasons = (
        (state.held, "being labelled by others"),
        ([name for name, each in state.put_off.items() if each.for_good], "skipped"),
        (state.unreadable, "unreadable"),
    )
    parts = _counted(left, reasons)
    return {
        "detail": f"there is no image to label now: of {len(left)} without a final label {parts}",
        "left": len(left),
    }


def _counted(left: set[str], reasons: Sequence[tuple[Iterable[str], str]]) -> str:
    rest, parts = set(left), []
    for names, why in reasons:
        found = rest & set(names)
        rest -= found
        if found:
            parts.append(f"{len(found)} {'is' if len(found) == 1 else 'are'} {why}")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
