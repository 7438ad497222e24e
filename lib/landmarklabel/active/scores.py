"""What was found out about images, kept in a database by their content: found out once, whoever restarts when."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Column, Engine, Float, LargeBinary, MetaData, String, Table, Text, delete, insert, select
from sqlalchemy.exc import IntegrityError

from .features import Features
from .scoring import ImageScore

_metadata = MetaData()
_looks = Table(
    "image_looks",
    _metadata,
    Column("content", String(64), primary_key=True),  # digest of the image's file
    Column("appearance", LargeBinary, nullable=False),  # 16-bit floats, little endian
    Column("problem", Text),  # why it can't be read; the appearance is empty then
)
_scores = Table(
    "image_scores",
    _metadata,
    Column("model", String(64), primary_key=True),  # version of its weights
    Column("content", String(64), primary_key=True),
    Column("relative", Float(53)),  # NULL: the model answers nothing
    Column("mm", Float(53)),
    Column("shape", LargeBinary, nullable=False),
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
        engine: of the database; tables are made where they are not there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _metadata.create_all(engine)

    def note_look(self, content: str, appearance: Features, problem: str | None = None) -> None:
        """How an image looks; or, with an empty appearance, why it can't be read."""
        self._add(_looks, {"content": content, "appearance": _packed(appearance), "problem": problem})

    def note_score(self, model: str, content: str, score: ImageScore) -> None:
        """What a model, by its version, says of an image."""
        error = None if math.isnan(score.relative) else score.relative
        values = {"relative": error, "mm": score.mm, "shape": _packed(score.shape)}
        self._add(_scores, {"model": model, "content": content, **values})

    def _add(self, table: Table, values: dict[str, object]) -> None:
        try:
            with self._engine.begin() as database:
                database.execute(insert(table).values(values))
        except IntegrityError:  # another process has found out the same
            pass

    def known(self, model: str | None) -> Known:
        """All that is known, with the scores by a model."""
        known = Known()
        with self._engine.connect() as database:
            for row in database.execute(select(_looks)):
                known.appearance[row.content] = _unpacked(row.appearance)
                if row.problem is not None:
                    known.problems[row.content] = row.problem
            for row in database.execute(select(_scores).where(_scores.c.model == model)):
                error = math.nan if row.relative is None else row.relative
                known.scores[row.content] = ImageScore(error, row.mm, _unpacked(row.shape))
        return known

    def forget(self, content: str) -> None:
        """Find out again what an image is like: the file could not be read, and may be readable now."""
        with self._engine.begin() as database:
            database.execute(delete(_looks).where(_looks.c.content == content))

    def keep_models(self, models: Collection[str]) -> None:
        """Forget what other models have said."""
        with self._engine.begin() as database:
            database.execute(delete(_scores).where(_scores.c.model.not_in(list(models))))


def _packed(features: Features) -> bytes:
    return features.astype("<f2").tobytes()


def _unpacked(data: bytes) -> Features:
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
