"""Polling as a timer would."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(poll: Callable[[], Any], condition: Callable[[], Any], what: str = "", seconds: float = 60) -> None:
    """Poll as a timer would, until something has come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain{': ' * bool(what)}{what}"
        poll()
        time.sleep(0.002)
