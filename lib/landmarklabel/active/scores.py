"""What was found out about images, kept in a database by their content: found out once, whoever restarts when."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import BigInteger, Column, Float, LargeBinary, String, Table, Text, delete, insert, select
from sqlalchemy.exc import IntegrityError

from ..files import sha256
from ..store.index import METADATA, Index, Name
from .features import Features
from .scoring import ImageScore

_looks = Table(
    "image_looks",
    METADATA,
    Column("content", String(64), primary_key=True),  # digest of the image's file
    Column("appearance", LargeBinary, nullable=False),  # 16-bit floats, little endian
    Column("problem", Text),  # why it can't be read; the appearance is empty then
)
_scores = Table(
    "image_scores",
    METADATA,
    Column("model", String(64), primary_key=True),  # version of its weights
    Column("content", String(64), primary_key=True),
    Column("relative", Float(53)),  # NULL: the model answers nothing
    Column("mm", Float(53)),
    Column("shape", LargeBinary, nullable=False),
)
_contents = Table(
    "image_contents",
    METADATA,
    Column("image", Name, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content", String(64), nullable=False),
)


@dataclass(frozen=True)
class Known:
    """What is known of images, by content.

    Attributes:
        appearance: how they look; of length 0 for those that can't be read.
        scores: by one model.
        problems: why images can't be read.
    """

    appearance: dict[str, Features] = field(default_factory=dict)
    scores: dict[str, ImageScore] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Scores:
    """Appearances and scores of images. Several processes may write: what is known already is not written again.

    Args:
        index: of the studies.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        index.require(_looks, _scores, _contents)

    def content(self, image: str, path: Path) -> str:
        """The digest of an image's file, made again when the file has changed.

        Raises:
            OSError: there is no such file, or it can't be read.
        """
        status = path.stat()
        stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        same = [_contents.c[key] == value for key, value in stamp.items()]
        with self._index.reading() as database:
            known = database.execute(select(_contents.c.content).where(_contents.c.image == image, *same)).scalar()
        if known is not None:
            return str(known)
        content = sha256(path)
        with self._index.writing() as database:
            database.execute(delete(_contents).where(_contents.c.image == image))
        self._add(_contents, {"image": image, "content": content, **stamp})
        return content

    def contents(self) -> dict[str, str]:
        """The digests that are known, by image; a file may have changed since."""
        with self._index.reading() as database:
            return {row.image: row.content for row in database.execute(select(_contents.c.image, _contents.c.content))}

    def note_look(self, content: str, appearance: Features, problem: str | None = None) -> None:
        """How an image looks; or, with an empty appearance, why it can't be read."""
        self._add(_looks, {"content": content, "appearance": _packed(appearance), "problem": problem})

    def forget_look(self, content: str) -> None:
        """Have an image looked at again."""
        with self._index.writing() as database:
            database.execute(delete(_looks).where(_looks.c.content == content))

    def note_score(self, model: str, content: str, score: ImageScore) -> None:
        """What a model, by its version, says of an image."""
        error = None if math.isnan(score.relative) else score.relative
        values = {"relative": error, "mm": score.mm, "shape": _packed(score.shape)}
        self._add(_scores, {"model": model, "content": content, **values})

    def _add(self, table: Table, values: dict[str, object]) -> None:
        try:
            with self._index.writing() as database:
                database.execute(insert(table).values(values))
        except IntegrityError:  # another process has found out the same
            pass

    def known(self, model: str | None) -> Known:
        """All that is known, with the scores by a model."""
        known = Known()
        with self._index.reading() as database:
            for row in database.execute(select(_looks)):
                known.appearance[row.content] = _unpacked(row.appearance)
                if row.problem is not None:
                    known.problems[row.content] = row.problem
            for row in database.execute(select(_scores).where(_scores.c.model == model)):
                error = math.nan if row.relative is None else row.relative
                known.scores[row.content] = ImageScore(error, row.mm, _unpacked(row.shape))
        return known

    def keep_models(self, models: Collection[str]) -> None:
        """Forget what other models have said."""
        with self._index.writing() as database:
            database.execute(delete(_scores).where(_scores.c.model.not_in(list(models))))


def _packed(features: Features) -> bytes:
    return features.astype("<f2").tobytes()


def _unpacked(data: bytes) -> Features:
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
