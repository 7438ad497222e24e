"""JSON as it may come from anybody: of bounded depth, with numbers that are numbers."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from landmarklabel.errors import LandmarkLabelError

#: How deep objects and lists may lie in each other; what clients send is five deep.
DEEPEST = 32

# A string that does not end goes to the end of the text: to look for its end from each quote in it would take for ever.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)


def parse_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        where: what it is, for the sentence: ``params``.

    Raises:
        LandmarkLabelError: it is none, too deep, or holds what JSON has not: NaN, an infinity, half of a character.
    """
    if not text:
        return {}
    try:
        value = _load(text.encode(errors="surrogatepass"), where)
    except json.JSONDecodeError as problem:
        raise LandmarkLabelError(f"the parameters are not valid JSON ({where}: {problem})") from None
    if not isinstance(value, dict):
        raise LandmarkLabelError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def require_plain(content: bytes, where: str) -> None:
    """Check JSON as :func:`parse_object` does; what is no JSON passes: whoever reads it says where it is wrong.

    Raises:
        LandmarkLabelError: it is too deep, or holds what JSON has not.
    """
    with suppress(json.JSONDecodeError):
        _load(content, where)


def _load(content: bytes, where: str) -> Any:
    require_shallow(content, where)
    try:
        value = json.loads(content, parse_constant=lambda name: _refuse(name, where))
        json.dumps(value, ensure_ascii=False).encode()
    except (json.JSONDecodeError, LandmarkLabelError):
        raise
    except UnicodeError:
        raise LandmarkLabelError(f"{where}: JSON that is not UTF-8, or has half of a character") from None
    except ValueError:
        raise LandmarkLabelError(f"{where}: a number that is too long to be read") from None
    return value


def require_shallow(content: bytes, where: str) -> None:
    """Check how deep JSON is before anything follows it down.

    Raises:
        LandmarkLabelError: it is too deep.
    """
    symbols = np.frombuffer(_STRINGS.sub(b"", content), np.uint8)
    opens = np.isin(symbols, (ord("["), ord("{"))).astype(np.int32)
    closes = np.isin(symbols, (ord("]"), ord("}"))).astype(np.int32)
    if symbols.size and np.cumsum(opens - closes).max() > DEEPEST:
        raise LandmarkLabelError(f"{where}: JSON may be {DEEPEST} levels deep, this is deeper")


def _refuse(name: str, where: str) -> NoReturn:
    raise LandmarkLabelError(f"{where}: JSON has no {name}; leave the value out or write null")
