"""The module's parameter node: what of the panel is kept with the scene. Never the token."""

from __future__ import annotations

from typing import Any

_DEFAULTS = {
    "address": "http://127.0.0.1:8000",
    "strategy": "",
    "window": "Whole range",
    "inverted": "0",
    "lines": "0",
    "names": "",
    "image": "",
}


class Parameters:
    """Typed access to a ``vtkMRMLScriptedModuleNode``.

    Args:
        node: of MRML.
    """

    def __init__(self, node: Any) -> None:
        self.node = node

    def text(self, name: str) -> str:
        """A parameter, or what it is before anybody sets it.

        Raises:
            KeyError: there is no such parameter.
        """
        default = _DEFAULTS[name]
        return self.node.GetParameter(name) or default

    def flag(self, name: str) -> bool:
        """A parameter that is on or off."""
        return self.text(name) == "1"

    def set(self, name: str, value: str | bool) -> None:
        """Set a parameter.

        Raises:
            KeyError: there is no such parameter.
        """
        _ = _DEFAULTS[name]
        self.node.SetParameter(name, value if isinstance(value, str) else str(int(value)))
