"""Values of MONAI Label's ``--conf NAME VALUE``: each is text, and is read in one way, whoever's setting it is.

A setting that is not given, or is blank, has its default. What can't be read is a ConfigError that quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from landmarklabel.errors import ConfigError

_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")

_TOO_MUCH = 1e9  # of anything that can be set: seconds, megabytes, threads


def text(conf: Mapping[str, str], name: str, default: str = "") -> str:
    """What is given, without the blanks around it."""
    return str(conf.get(name, "")).strip() or default


def yes_or_no(conf: Mapping[str, str], name: str) -> bool:
    """``yes`` or ``no``, which is the default; ``true`` and ``1``, ``false`` and ``0`` say the same."""
    given = text(conf, name, "no").lower()
    if given not in _YES + _NO:
        raise _unexpected(name, given, "yes or no")
    return given in _YES


def number(conf: Mapping[str, str], name: str, default: float, least: float | None = None) -> float:
    """A number of ``least`` or more; above 0, if there is no ``least``."""
    found = _as_float(text(conf, name), default)
    if not (found > 0 if least is None else found >= least) or found >= _TOO_MUCH:
        bound = "above 0" if least is None else f"of {least:g} or more"
        raise _unexpected(name, text(conf, name), f"a number {bound}, below {_TOO_MUCH:g}")
    return found


def whole(conf: Mapping[str, str], name: str, default: int, least: int, most: int | None = None) -> int:
    """A whole number of ``least`` or more, and up to ``most``, where that is given."""
    given = text(conf, name, str(default))
    found = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else -1
    if not least <= found <= (found if most is None else most):
        bound = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise _unexpected(name, given, f"a whole number {bound}")
    return found


def probability(conf: Mapping[str, str], name: str, default: float) -> float:
    """A number between 0 and 1, and neither."""
    found = _as_float(text(conf, name), default)
    if not 0 < found < 1:
        raise _unexpected(name, text(conf, name), f"a probability between 0 and 1, such as {default}")
    return found


def _as_float(given: str, default: float) -> float:
    try:
        return float(given) if given else default
    except ValueError:
        return math.nan


def _unexpected(name: str, given: str, expected: str) -> ConfigError:
    return ConfigError(f"--conf {name} {given[:40]}: expected {expected}")
