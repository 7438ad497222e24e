"""JSON as it may come from anybody: of bounded depth, with numbers that are numbers."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import numpy as np

from landmarklabel.errors import LandmarkLabelError

#: How deep objects and lists may lie in each other; what clients send is five deep.
DEEPEST = 32

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        where: what it is, for the sentence: ``params``.

    Raises:
        LandmarkLabelError: it is none, too deep, or holds NaN or an infinity, which JSON has not.
    """
    if not text:
        return {}
    content = text.encode(errors="surrogatepass")
    require_shallow(content, where)
    try:
        value = json.loads(content, parse_constant=lambda name: _refuse(name, where))
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise LandmarkLabelError(f"the parameters are not valid JSON ({where}: {problem})") from None
    except ValueError as problem:
        if isinstance(problem, LandmarkLabelError):
            raise
        raise LandmarkLabelError(f"{where}: a number that is too long to be read") from None
    if not isinstance(value, dict):
        raise LandmarkLabelError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def require_plain(content: bytes, where: str) -> None:
    """Check the depth and numbers of JSON; text that is no JSON passes: whoever reads it says where it is wrong.

    Raises:
        LandmarkLabelError: it is too deep, or holds NaN or an infinity.
    """
    require_shallow(content, where)
    try:
        json.loads(content, parse_constant=lambda name: _refuse(name, where))
    except LandmarkLabelError:
        raise
    except ValueError:
        return


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
