"""Where PythonQt, which the application has, and other bindings of Qt differ: one way that all of them know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def value(widget: Any, name: str) -> Any:
    """A property, which PythonQt has as an attribute and others as a method."""
    got = getattr(widget, name)
    return got() if callable(got) else got


def connect(sender: Any, signature: str, receiver: Callable[..., Any]) -> None:
    """Call ``receiver`` at a signal, such as ``clicked()``."""
    if type(sender).__module__.startswith("PySide"):
        getattr(sender, signature.partition("(")[0]).connect(receiver)
    else:
        sender.connect(signature, receiver)
