"""The keys: one for everything in the loop, as the tooltips and the help page have them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key and what it does, in words."""

    key: str
    does: str

    @property
    def tip(self) -> str:
        return f"{self.does} ({self.key})"


KEYS: dict[str, Key] = {
    "next": Key("N", "Go to the landmark that most needs a look, magnified"),
    "confirm": Key("Space", "Confirm the current landmark and go to the next"),
    "missing": Key("M", "The current landmark is not in this image; again: it is"),
    "place": Key("P", "The next click places the landmark that has no place yet"),
    "here": Key("H", "The current landmark is where the mouse points"),
    "release": Key("R", "Let the current landmark follow the others again"),
    "undo": Key("Z", "Undo"),
    "redo": Key("Shift+Z", "Redo"),
    "confirmAll": Key("Shift+Space", "Confirm all landmarks that are left"),
    "detect": Key("D", "Find the landmarks anew; what you settled stays"),
    "save": Key("S", "Send the draft to the server now; it is kept all the time anyway"),
    "submit": Key("Shift+Return", "Submit as final and go to the next image"),
    "openNext": Key("Shift+N", "Open the next image; this one stays a draft"),
    "skip": Key("X", "Leave this image for later and open the next"),
    "fit": Key("F", "Show the whole image"),
    "invert": Key("I", "Black for white"),
    "lines": Key("L", "Lines and contours through the landmarks"),
    "names": Key("T", "Names beside the landmarks"),
    "window": Key("W", "The next window: whole range, balanced, bone, soft tissue"),
}


def help_text() -> str:
    """All keys, as rich text."""
    rows = "".join(f"<tr><td><b>{key.key}</b>&nbsp;&nbsp;</td><td>{key.does}</td></tr>" for key in KEYS.values())
    return f"<table>{rows}</table>"
