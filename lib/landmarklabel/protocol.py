"""Protocols: which landmarks an anatomy has, in which order, and what they form together.

A protocol is one YAML file of ``configs/protocols`` or the user's own. Everything that depends on the anatomy
is in it: labels, descriptions, structures, left/right symmetry, the radii at which errors are counted.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from .errors import LabelError, ProtocolError, listed
from .measurements.definition import MeasurementDefinition, parts_of
from .resources import resource
from .yamlfile import read_model, validate

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\r\n\t]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LandmarkDefinition(_Part):
    """One landmark of a protocol.

    Attributes:
        label: its key everywhere: in markups, over HTTP, in tables. The field's abbreviation.
        name: its anatomical name.
        description: one line on where it is, for the person who places it.
    """

    label: Name
    name: Name
    description: str = ""


class ContourDefinition(_Part):
    """A contour: ``count`` landmarks along an outline, and the structure that they form.

    ``label``, ``name`` and ``description`` hold ``{index}`` (from 1), which may be formatted as in ``{index:02d}``.
    """

    contour: Name
    count: Annotated[int, Field(ge=2, le=2000)]
    label: str
    name: str
    description: str = ""
    title: str = ""
    closed: bool = True

    @field_validator("label", "name", "description")
    @classmethod
    def _only_index(cls, text: str) -> str:
        try:
            text.format(index=1)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            raise ValueError(
                f"{text!r}: {{index}} is all that braces may hold; write {{{{ and }}}} for braces"
            ) from None
        return text

    @field_validator("label", "name")
    @classmethod
    def _numbered(cls, text: str) -> str:
        if not re.search(r"\{index(:[^}]*)?\}", text):
            raise ValueError(f"{text!r} would be the same for every point; put {{index}} into it")
        return text

    def landmarks(self) -> Iterator[LandmarkDefinition]:
        for index in range(1, self.count + 1):
            values = {key: getattr(self, key).format(index=index) for key in ("label", "name", "description")}
            yield LandmarkDefinition(**values)

    def structure(self) -> Structure:
        labels = [landmark.label for landmark in self.landmarks()]
        return Structure(name=self.contour, title=self.title, landmarks=tuple(labels), closed=self.closed)


class Structure(_Part):
    """Landmarks that belong together.

    Attributes:
        name: its key.
        title: its name in words.
        landmarks: labels in the order of the outline.
        closed: whether the outline returns to its first landmark.
        kind: ``contour``, or ``vertebra``: four corners in the order upper left, upper right, lower right,
            lower left as seen in the image, whose order is checked in labels.
    """

    name: Name
    title: str = ""
    landmarks: tuple[Name, ...] = Field(min_length=2)
    closed: bool = True
    kind: Literal["contour", "vertebra"] = "contour"

    @model_validator(mode="after")
    def _corners(self) -> Structure:
        if self.kind == "vertebra" and len(self.landmarks) != 4:
            raise ValueError(f"a structure of kind 'vertebra' has 4 corners, got {len(self.landmarks)} landmarks")
        return self


class Symmetry(_Part):
    """What a left/right flip of the image does to the labels.

    Attributes:
        pairs: labels that change places.
        midline: labels that stay.
    """

    pairs: tuple[tuple[Name, Name], ...] = ()
    midline: tuple[Name, ...] = ()


class Rule(_Part):
    """A fact about every correct label of the anatomy, by which suspicious labels are found.

    Attributes:
        above: (A, B): A lies higher in the image than B.
        left_of: (A, B): A lies left of B in the image.
        downwards: structures or landmarks whose centres follow each other from top to bottom.
    """

    above: tuple[Name, Name] | None = None
    left_of: tuple[Name, Name] | None = None
    downwards: tuple[Name, ...] | None = None

    @model_validator(mode="after")
    def _one(self) -> Rule:
        if sum(value is not None for value in (self.above, self.left_of, self.downwards)) != 1:
            raise ValueError("a rule is exactly one of 'above', 'left_of', 'downwards'")
        return self


class Protocol(_Part):
    """An anatomy: its ordered landmarks, and what they form.

    Attributes:
        name: its key; also the name of its file.
        title: its name in words.
        description: what the images are and where the landmarks come from.
        landmarks: in the order of every (K, 2) array of this protocol.
        structures: outlines made of landmarks; contours first, then those listed.
        symmetry: None where the anatomy has no left/right symmetry in this view.
        rules: facts by which suspicious labels are found.
        measurements: what is measured on the landmarks, in the order in which it is shown.
        radii: at which the successful detection rate is counted, in mm (pixels where spacing is unknown).
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    title: str
    description: str = ""
    landmarks: tuple[LandmarkDefinition, ...] = Field(min_length=1)
    structures: tuple[Structure, ...] = ()
    symmetry: Symmetry | None = None
    rules: tuple[Rule, ...] = ()
    measurements: tuple[MeasurementDefinition, ...] = ()
    radii: tuple[float, ...] = (2.0, 2.5, 3.0, 4.0)

    @model_validator(mode="before")
    @classmethod
    def _expand_contours(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not isinstance(content.get("landmarks"), list):
            return content
        landmarks: list[Any] = []
        contours: list[Any] = []
        for index, item in enumerate(content["landmarks"]):
            if isinstance(item, dict) and "contour" in item:
                contour = validate(item, ContourDefinition, ProtocolError, f"landmarks[{index}]")
                landmarks.extend(contour.landmarks())
                contours.append(contour.structure())
            else:
                landmarks.append(item)
        structures = content.get("structures") or []
        if not contours or not isinstance(structures, list):
            return {**content, "landmarks": landmarks}
        return {**content, "landmarks": landmarks, "structures": contours + structures}

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        _require_unique("landmarks", "label", [landmark.label for landmark in self.landmarks])
        _require_unique("structures", "name", [structure.name for structure in self.structures])
        known = set(self.labels)
        for structure in self.structures:
            _require_known(f"structure '{structure.name}'", structure.landmarks, known)
            _require_unique(f"structure '{structure.name}'", "landmark", list(structure.landmarks))
        for rule in self.rules:
            names = rule.above or rule.left_of or rule.downwards or ()
            _require_known("rules", names, known | {structure.name for structure in self.structures})
            if len(names) < 2 or len(set(names)) < len(names):
                raise ValueError(f"rules: {listed(names) or 'nothing'}: a rule names two or more, each once")
        if self.symmetry is not None:
            self._require_symmetry_consistent(known)
        rising = list(self.radii) == sorted(set(self.radii))
        if not self.radii or not rising or not all(0 < radius < math.inf for radius in self.radii):
            raise ValueError(f"radii must be one or more, positive, finite and rising, got {list(self.radii)}")
        _require_unique("measurements", "name", [measurement.name for measurement in self.measurements])
        parts_of(self)
        return self

    def _require_symmetry_consistent(self, known: set[str]) -> None:
        assert self.symmetry is not None
        named = [label for pair in self.symmetry.pairs for label in pair] + list(self.symmetry.midline)
        for label in named:
            if label not in known:
                raise ValueError(
                    f"symmetry: '{label}' is not a landmark of this protocol; use one of its labels "
                    f"({listed(self.labels)})"
                )
        repeated = {label for label in named if named.count(label) > 1}
        if repeated:
            raise ValueError(
                f"symmetry: {listed(sorted(repeated))} named more than once; a landmark has one partner, "
                "or is on the midline"
            )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The K labels, in order."""
        return tuple(landmark.label for landmark in self.landmarks)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: index for index, label in enumerate(self.labels)}

    def __len__(self) -> int:
        return len(self.landmarks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Protocol):
            return NotImplemented
        return self is other or all(getattr(self, name) == getattr(other, name) for name in Protocol.model_fields)

    def __hash__(self) -> int:
        return hash(self.fingerprint)  # not of all that is in it: what is made of a protocol is kept by it

    def index(self, label: str) -> int:
        """Position of a label.

        Raises:
            LabelError: the protocol has no such landmark.
        """
        try:
            return self._index[label]
        except KeyError:
            raise LabelError(
                f"'{label}' is not a landmark of {self.name}, which has {listed(self.labels, 30)}"
            ) from None

    def indices(self, name: str) -> NDArray[np.intp]:
        """Positions of a structure's landmarks in outline order, or of the one landmark of that label."""
        members = self._members.get(name)
        return np.array([self.index(name)] if members is None else members)

    @cached_property
    def _members(self) -> dict[str, list[int]]:
        """Positions of each structure's landmarks."""
        return {each.name: [self._index[label] for label in each.landmarks] for each in self.structures}

    @cached_property
    def kinds(self) -> NDArray[np.intp]:
        """(K,), which kind of place each landmark is, from 0: the same corner of every vertebra is one kind.

        What looks alike wherever it recurs is of one kind; every other landmark is one of its own.
        """
        first = np.arange(len(self))
        vertebrae = [self._members[each.name] for each in self.structures if each.kind == "vertebra"]
        for members in vertebrae:
            first[members] = vertebrae[0]
        return np.unique(first, return_inverse=True)[1].astype(np.intp).reshape(-1)

    @cached_property
    def flip_order(self) -> NDArray[np.intp] | None:
        """``points[flip_order]`` gives each label its place in the mirrored image; None if a flip makes no sense.

        A flip makes sense only if every landmark has a partner or lies on the midline.
        """
        if self.symmetry is None:
            return None
        order = np.full(len(self), -1)
        for left, right in self.symmetry.pairs:
            order[self._index[left]], order[self._index[right]] = self._index[right], self._index[left]
        for label in self.symmetry.midline:
            order[self._index[label]] = self._index[label]
        return None if (order < 0).any() else order

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the labels or their order change; a model serves only the landmarks it was trained for."""
        return hashlib.sha256(json.dumps([self.name, *self.labels]).encode()).hexdigest()[:16]


def _require_unique(where: str, key: str, names: list[str]) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            raise ValueError(
                f"{where}[{index}].{key}: '{name}' is already the {key} of {where}[{first[name]}]; "
                f"give each its own {key}"
            )
        first[name] = index


def _require_known(where: str, names: tuple[str, ...], known: set[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{where} names {listed(unknown)}, which this protocol has not; use its labels")


def shipped_protocols() -> dict[str, Path]:
    """Name and file of each protocol that comes with the project."""
    return {path.stem: path for path in sorted((resource("configs") / "protocols").glob("*.yaml"))}


def load_protocol(name: str | Path) -> Protocol:
    """The protocol of that name, or of that YAML file.

    Raises:
        ProtocolError: there is none, or the file is not valid; says which key is wrong and what would be right.
    """
    shipped = shipped_protocols()
    if str(name) in shipped:
        return read_model(shipped[str(name)], Protocol, ProtocolError)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ProtocolError(
            f"there is no protocol '{name}'; choose one of {listed(shipped, 20)}, or give the path of a .yaml file"
        )
    return read_model(path, Protocol, ProtocolError)
