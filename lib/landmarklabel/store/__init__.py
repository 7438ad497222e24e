"""The label store: images and labels of a studies folder, every label with its history, none ever lost."""

from .history import History
from .index import METADATA, Index, IndexUnavailableError
from .layout import require_safe, split_image, suffix_of_tag
from .reading import Label
from .store import DRAFT, FINAL, LabelStore
from .versions import Action, Version
from .writing import ConflictError

__all__ = [
    "DRAFT",
    "FINAL",
    "METADATA",
    "Action",
    "ConflictError",
    "History",
    "Index",
    "IndexUnavailableError",
    "Label",
    "LabelStore",
    "Version",
    "require_safe",
    "split_image",
    "suffix_of_tag",
]
