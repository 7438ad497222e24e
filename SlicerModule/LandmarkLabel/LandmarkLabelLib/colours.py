"""How the states of landmarks look: a colour for those who see it, a lightness that tells in greyscale, and a shape.

The hues are those of Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008), which people with any of the common kinds
of colour blindness tell apart, chosen so that they differ in lightness, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from .contract import CONFIRMED, CORRECTED, MISSING, PREDICTED, UNDEFINED
from .state import LOW


@dataclass(frozen=True)
class Look:
    """How a state is shown.

    Attributes:
        title: in the table and the legend.
        sign: one character, as in the table.
        colour: (r, g, b) in [0, 1].
        glyph: name of a glyph of markups' display nodes.
    """

    title: str
    sign: str
    colour: tuple[float, float, float]
    glyph: str


LOOKS: dict[str, Look] = {
    PREDICTED: Look("predicted", "○", (0.337, 0.706, 0.914), "Circle2D"),
    LOW: Look("look at this", "△", (0.835, 0.369, 0.0), "Triangle2D"),
    CORRECTED: Look("corrected", "◆", (0.941, 0.894, 0.259), "Diamond2D"),
    CONFIRMED: Look("confirmed", "■", (0.0, 0.447, 0.698), "Square2D"),
    MISSING: Look("not in this image", "✕", (0.6, 0.6, 0.6), "Cross2D"),
    UNDEFINED: Look("not placed", "·", (0.8, 0.8, 0.8), "Dash2D"),
}

#: States that have a place in the image.
SHOWN = (PREDICTED, LOW, CORRECTED, CONFIRMED)


def lightness(colour: tuple[float, float, float]) -> float:
    """CIE L* of an sRGB colour, 0 to 100."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * luminance ** (1 / 3) - 16 if luminance > 216 / 24389 else luminance * 24389 / 27
