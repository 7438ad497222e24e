"""Where the files that come with the project are: in a checkout, and in an installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def resource(name: str) -> Path:
    """The folder ``name`` of the project: ``configs``, ``MonaiLabelApp`` or ``sample_data``.

    setup.py puts these folders into the package; in a checkout they lie at its top.
    """
    for base in (_PACKAGE / "resources_", _CHECKOUT):
        if (base / name).is_dir():
            return base / name
    raise FileNotFoundError(f"landmarklabel was installed without its folder '{name}'")
