"""Lines of text on paper, in DejaVu Sans, which comes with matplotlib: the same page on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.textpath import TextToPath

from .wording import plain

#: Millimetres a point.
POINT = 25.4 / 72

#: From one line to the next, in sizes of the letters.
LEADING = 1.34

INK, GREY, RED = "#1a202c", "#4a5568", "#9b2c2c"

_UNKNOWN = "□"
_AT = 100.0  # the size at which letters are measured


@dataclass(frozen=True)
class Text:
    """A text in a line.

    Attributes:
        x: of its left end, or of its right end, in mm from the left of the column.
        size: of its letters, in points.
    """

    x: float
    text: str
    size: float
    bold: bool = False
    colour: str = INK
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class TextLine:
    """Texts beside each other.

    Attributes:
        height: to the next line, in mm.
        rule: whether a thin line is drawn above it.
    """

    height: float
    texts: tuple[Text, ...] = ()
    rule: bool = False


def height(lines: Iterable[TextLine]) -> float:
    """Of lines below each other, in mm."""
    return sum(line.height for line in lines)


def leading(size: float) -> float:
    """From one line to the next, in mm."""
    return LEADING * size * POINT


def font(bold: bool = False, size: float = _AT) -> FontProperties:
    """Of that weight and size in points, from matplotlib's own files, whatever else is installed or configured."""
    return FontProperties(fname=_file(bold), size=size)


def _file(bold: bool) -> str:
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@cache
def _glyphs(bold: bool) -> frozenset[int]:
    return frozenset(get_font(_file(bold)).get_charmap())


@lru_cache(maxsize=20_000)
def printable(text: str, bold: bool = False) -> str:
    """A text with a box for each letter that the font has not."""
    return "".join(letter if ord(letter) in _glyphs(bold) else _UNKNOWN for letter in plain(text))


@cache
def _advance(letter: str, bold: bool) -> float:
    """Width of a letter in parts of its size."""
    across, _, _ = TextToPath().get_text_width_height_descent(printable(letter, bold), font(bold), ismath=False)
    return float(across) / _AT


def width(text: str, size: float, bold: bool = False) -> float:
    """Of a text on one line, in mm; without kerning, which brings letters nearer to each other."""
    return sum(_advance(letter, bold) for letter in text) * size * POINT


def wrapped(text: str, within: float, size: float, bold: bool = False) -> Iterator[str]:
    """A text on lines no longer than ``within`` mm; a word that is longer is broken."""
    line = ""
    for word in plain(text).split():
        longer = f"{line} {word}" if line else word
        if width(longer, size, bold) <= within:
            line = longer
            continue
        if line:
            yield line
        *full, line = _broken(word, within, size, bold)
        yield from full
    if line:
        yield line


def _broken(word: str, within: float, size: float, bold: bool) -> Iterator[str]:
    """A word in pieces, none but of one letter longer than a line."""
    piece = ""
    for letter in word:
        if piece and width(piece + letter, size, bold) > within:
            yield piece
            piece = ""
        piece += letter
    yield piece
