"""The label store: images and labels of a studies folder, nothing of which is ever lost."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import Any

from sqlalchemy import select, update

from ..errors import LandmarkLabelError, NotFoundError
from ..io.layouts.studies import SEGMENTATION_TAG
from .images import ImageWriter
from .index import LABELS
from .layout import require_safe
from .reading import Label
from .versions import CLICKS, MODEL, USER, Action, Version
from .writing import ConflictError

logger = logging.getLogger(__name__)

#: Half-done work, saved by itself again and again: it is resumed, and gone once the label is final.
DRAFT, FINAL = "draft", "final"

#: How many versions of a draft are kept.
DRAFTS = 10

_DRAFT_TAGS, _FINAL_TAGS = ((tag, f"{tag}{SEGMENTATION_TAG}") for tag in (DRAFT, FINAL))


class LabelStore(ImageWriter):
    """Images and labels, each label with its history. What labels hold is not checked here.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = LabelStore(folder.name)
    >>> store.images()
    []
    >>> store.close()
    >>> folder.cleanup()
    """

    def save(
        self, name: str, tag: str, suffix: str, data: bytes, info: dict[str, Any], ends_draft: bool = True
    ) -> Version:
        """Save a label. A final one ends its image's draft.

        Args:
            suffix: the ending of its file.
            data: its content, kept byte for byte.
            info: what is noted of it; ``user``, ``model`` and ``clicks`` are said of the version, too.
            ends_draft: False for a label that was made elsewhere: whoever has a draft here has not seen it.

        Raises:
            LandmarkLabelError: the tag can't be part of a file's name.
            NotFoundError: there is no such image.
            StorageError: the disk is full, or the folder can't be written; the old label is as it was.
        """
        require_safe(tag, "label tag")
        with self._locked():
            self.image_file(name)
            version = self._put(name, tag, suffix, data, info, Action.SAVED)
            if tag in _FINAL_TAGS and ends_draft:
                self._end_draft(name, tag.replace(FINAL, DRAFT, 1), version.user)
            elif tag in _DRAFT_TAGS:
                self.history_of(name).prune(tag, DRAFTS)
        return version

    def _end_draft(self, name: str, tag: str, user: str) -> None:
        try:
            self._bury(name, tag, Action.SUPERSEDED, user)
        except LandmarkLabelError as problem:  # the final label is saved
            logger.warning("a draft stays beside its final label (%s)", type(problem).__name__)

    def remove_label(self, name: str, tag: str, user: str = "") -> None:
        """Delete a label; its history stays, and :meth:`undelete` brings it back.

        Raises:
            NotFoundError: there is no such image or label.
        """
        with self._locked():
            self.label(name, tag)
            self._bury(name, tag, Action.DELETED, user)

    def restore(self, name: str, tag: str, number: int, user: str = "") -> Version:
        """Make an earlier version the label again, as a new version.

        Raises:
            NotFoundError: there is no such image or version, or it is a tombstone.
            ConflictError: it belongs to another image of that id, which was deleted.
        """
        with self._locked():
            self.image_file(name)
            self._as_it_is(name, tag)
            history = self.history_of(name)
            version = history.version(tag, number)
            if version.images != len(history.deleted_images()):
                raise ConflictError(f"version {number} of '{tag}' belongs to an image '{name}' that was deleted")
            info = {**version.info, "ts": int(time.time()), "user": user or version.user}
            return self._put(
                name, tag, version.suffix, history.content(tag, version), info, Action.RESTORED, number
            )  # fmt: skip

    def undelete(self, name: str, tag: str, user: str = "") -> Version:
        """Bring a deleted label back as it was.

        Raises:
            NotFoundError: there is no such image, or no such label was deleted.
            ConflictError: there is one of that tag.
        """
        with self._locked():
            self.image_file(name)
            if self._look_again(name, tag) is not None:
                raise ConflictError(f"the image '{name}' has a label '{tag}'; restore one of its versions instead")
            versions = self.history(name, tag)[0] if self.history_of(name).numbers().get(tag) else []
            last = next((version for version in reversed(versions) if version.has_content), None)
            if last is None:
                raise NotFoundError(f"no label '{tag}' of the image '{name}' has been deleted")
            return self.restore(name, tag, last.number, user)

    def note_label(self, name: str, tag: str, info: dict[str, Any]) -> None:
        """Add to what is noted of a label. Who made it, from what and with how many clicks stays; who notes is noted.

        Raises:
            NotFoundError: there is no such image or label.
        """
        with self._locked():
            self.label(name, tag)
            label, history = self._as_it_is(name, tag), self.history_of(name)
            assert label is not None
            assert label.version is not None
            before, merged = history.version(tag, label.version), {**label.info, **_beside(info)}
            told = update(LABELS).where(LABELS.c.image == name, LABELS.c.tag == tag).values(info=json.dumps(merged))
            self._note(
                name,
                write=lambda: history.rewrite(tag, replace(before, info=merged)),
                undo=lambda: history.rewrite(tag, before),
                tell=lambda index: index.execute(told),
            )

    def drafts(self) -> list[Label]:
        """Work that was begun and is not final yet, by image."""
        query = select(LABELS.c.image, LABELS.c.tag).where(LABELS.c.tag.in_(_DRAFT_TAGS))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(LABELS.c.image, LABELS.c.tag)).all()
        labels = (self._label(name, tag) for name, tag in rows)
        return [label for label in labels if label is not None]


def _beside(info: dict[str, Any]) -> dict[str, Any]:
    """What is noted of a label later: who made it, from what and with how many clicks is its version's to say."""
    later = {key: value for key, value in info.items() if key not in (USER, MODEL, CLICKS)}
    return {**later, "noted_by": info[USER]} if info.get(USER) else later
