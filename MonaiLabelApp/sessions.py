"""Editing sessions: which image each is of, and what an interactive network has shown in it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastore import ConflictError
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.predictor import Predictor

Array = NDArray[np.float64]

#: How many sessions of one image keep the maps of their last pass, and of how many it is known which image they are of.
SESSIONS_OF_IMAGE, SESSIONS = 4, 10_000


class SessionImages:
    """Which image each session is of: the one for which it was first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def require(self, session: str, content: str, name: str) -> None:
        """Check that a session is new, or of this image.

        Args:
            content: digest of the image's file.
            name: of the image, in a sentence.

        Raises:
            ConflictError: it is of another image.
        """
        with self._lock:
            first, other = self._images.get(session, (content, name))
        if first != content and other == name:
            raise ConflictError(f"the image {name} is another than when session '{session}' began; start a new session")
        if first != content:
            raise ConflictError(
                f"session '{session}' is of the image {other}, and this is {name}: corrections of one image say "
                "nothing of another; start a new session"
            )

    def note(self, session: str, content: str, name: str) -> None:
        """From now on the session is of this image; the oldest sessions are forgotten."""
        with self._lock:
            self._images.setdefault(session, (content, name))
            self._images.move_to_end(session)
            while len(self._images) > SESSIONS:
                self._images.popitem(last=False)


@dataclass
class _Session:
    """A predictor that has seen the clicks of one session, which landmarks these were, and where they were before."""

    predictor: Predictor
    clicked: frozenset[int]
    before: Array | None


class ClickedImage:
    """An image before an interactive network: a pass for each change of its clicks.

    What the network makes of the image alone is kept for all; the maps of the last pass, which the network is shown at
    the next, for each session. A session that takes a click back begins anew with those that are left, so that its
    answer does not depend on what was taken back.

    Args:
        predictor: with the image set, and seen once without clicks; nobody else uses it.
        budget: bytes to keep; the latest session always stays.

    Attributes:
        bytes: how much memory it takes.
    """

    def __init__(self, predictor: Predictor, budget: int) -> None:
        self._predictor, self._budget = predictor, budget
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self.bytes = self._count()

    def evidence(self, clicks: Array, session: str | None = None, previous: Array | None = None) -> MapEvidence:
        """What the maps say after some clicks.

        Args:
            clicks: (K, 2) in pixels of the image, NaN where a landmark was not clicked.
            session: whose clicks these are; None for nobody's, of whom nothing is kept.
            previous: (K, 2), where landmarks were before they were clicked, for a session that has no maps of its own;
                NaN where that is not known. Without it, they were where the network itself had them.
        """
        clicked = frozenset(np.flatnonzero(np.isfinite(clicks).all(axis=1)).tolist())
        with self._lock:
            state = self._sessions.get(session) if session is not None else None
            if state is None:
                state = _Session(self._predictor.fork(), frozenset(), previous if clicked else None)
            elif not state.clicked <= clicked:
                state = _Session(self._predictor.fork(), frozenset(), state.before)
            state.predictor.set_clicks(clicks, None if state.clicked else state.before)
            state.clicked = clicked
            evidence = state.predictor.evidence()
            if session is not None:
                self._keep(session, state)
            return evidence

    def _keep(self, session: str, state: _Session) -> None:
        self._sessions[session] = state
        self._sessions.move_to_end(session)
        self.bytes = self._count()
        while len(self._sessions) > SESSIONS_OF_IMAGE or (self.bytes > self._budget and len(self._sessions) > 1):
            self._sessions.popitem(last=False)
            self.bytes = self._count()

    def _count(self) -> int:
        """What sessions share counts once."""
        predictors = [self._predictor, *(state.predictor for state in self._sessions.values())]
        return sum({id(part): part.nbytes for predictor in predictors for part in predictor.kept()}.values())
