"""Label files and the image that each belongs to, wherever they lie: beside it, or in a studies folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import DataError, NotFoundError, listed
from ..files import sha256
from ..store.history import History
from .layouts.common import image_id, images_in, is_image
from .layouts.studies import LABEL_SUFFIX, label_suffix, labels_in

_STUDIES = "studies:"
_LABELS = "labels"
_INDEX = "datastore_v2.json"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class LabelFile:
    """A ``.mrk.json`` file, or an image that may have one beside it.

    Attributes:
        name: id of its image.
        label: the file; it may not be there.
        images: folder of its image.
        info: what the label store knows of it: ``user``, ``ts``, and what else was stored with it; and its ``tag``.
            Empty for a file that lies in no studies folder.
    """

    name: str
    label: Path
    images: Path
    info: Mapping[str, Any] = field(default_factory=dict)

    def image(self) -> Path:
        """The file of its image.

        Raises:
            NotFoundError: there is none of that id.
            DataError: two images there have the same id.
        """
        found = _images(self.images)
        if self.name not in found:
            raise NotFoundError(f"{self.label.name}: there is no image '{self.name}' in {self.images}")
        return found[self.name]


def is_label_input(given: str) -> bool:
    """Whether an input names labels: a ``.mrk.json`` file, or ``studies:DIR``."""
    return given.startswith(_STUDIES) or bool(label_suffix(Path(given).name))


def label_files(inputs: Sequence[str | Path], tag: str = "final", images: Path | None = None) -> list[LabelFile]:
    """The labels that inputs name, sorted by the id of their images.

    Args:
        inputs: ``.mrk.json`` files; images with such a file beside them; folders, of which every such file at the top
            is taken; and ``studies:DIR``, of which every label of the tag is taken.
        tag: of labels in studies folders.
        images: folder of the images, where they lie neither beside their labels nor in a studies folder around these.

    Raises:
        NotFoundError: there is no such file or folder.
        DataError: a folder holds no labels, two labels are of the same image, or an index is damaged.
    """
    if images is not None and not images.is_dir():
        raise NotFoundError(f"{images}: no such folder; expected the folder of the images")
    found: dict[str, LabelFile] = {}
    for file in (file for each in inputs for file in _labels(str(each), tag)):
        label = _label_file(file, images)
        other = found.setdefault(label.name, label)
        if other.label != label.label:
            raise DataError(f"two labels of the image '{label.name}': {other.label} and {file}; give one of them")
    return [found[name] for name in sorted(found)]


def _labels(given: str, tag: str) -> Iterator[Path]:
    if given.startswith(_STUDIES):
        yield from _of_studies(Path(given.removeprefix(_STUDIES)).expanduser(), tag)
        return
    path = Path(given)
    if path.is_dir():
        yield from _in_folder(path, f"{path} holds no landmarks (*{LABEL_SUFFIX}); images alone need a model (--model)")
    elif not path.is_file():
        raise NotFoundError(
            f"{path}: no such file; expected an image, landmarks (*{LABEL_SUFFIX}), or a folder of them"
        )
    else:
        yield path.with_name(image_id(path.name) + LABEL_SUFFIX) if is_image(path) else path


def _of_studies(root: Path, tag: str) -> list[Path]:
    if not root.is_dir():
        raise NotFoundError(f"{root}: no such folder; expected a studies folder, with its labels in {_LABELS}/")
    if Path(tag).name != tag:
        raise DataError(f"'{tag}' is no tag of labels; expected a name, such as final")
    there = sorted(path.name for path in (root / _LABELS).glob("*") if path.is_dir() and labels_in(path, label_suffix))
    return _in_folder(root / _LABELS / tag, f"{root} has no labels '{tag}'; it has {listed(there) or 'none'}")


def _in_folder(folder: Path, otherwise: str) -> list[Path]:
    names = labels_in(folder, label_suffix) if folder.is_dir() else {}
    if not names:
        raise DataError(otherwise)
    return [folder / f"{name}{LABEL_SUFFIX}" for name in names]


def _label_file(file: Path, images: Path | None) -> LabelFile:
    """With the folder of its image: the one given, its own, or that of the studies around ``labels/TAG``."""
    name = file.name.removesuffix(LABEL_SUFFIX)
    folder = file.absolute().parent
    if folder.parent.name != _LABELS:
        return LabelFile(name, file, images or folder)
    root, tag = folder.parent.parent, folder.name
    noted = _noted(root, tag, name, file) or _infos(root, tag).get(name, _NOTHING)
    return LabelFile(name, file, images or root, {**noted, "tag": tag})


def _noted(root: Path, tag: str, name: str, file: Path) -> Mapping[str, Any]:
    """What the history of a label says of the file that is there now; nothing where it was put there by hand."""
    versions = History(root / ".landmarklabel" / "history" / name).versions(tag)
    same = versions and file.is_file() and versions[-1].sha256 == sha256(file)
    return versions[-1].info if same else _NOTHING


@lru_cache(maxsize=4)
def _images(folder: Path) -> dict[str, Path]:
    return images_in(folder)


@lru_cache(maxsize=4)
def _infos(root: Path, tag: str) -> dict[str, Mapping[str, Any]]:
    """What MONAI Label's own index of a studies folder knows of the labels of a tag, by image; nothing without one.

    Raises:
        DataError: the index is damaged.
    """
    path = root / _INDEX
    try:
        content = json.loads(path.read_bytes())
        objects = content["objects"]
        labels = {name: entry["labels"][tag]["info"] for name, entry in objects.items() if tag in entry["labels"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(
            f"{path}: the index of the studies is damaged ({problem}); it does not say who labelled what"
        ) from None
    return {name: info for name, info in labels.items() if isinstance(info, dict)}
