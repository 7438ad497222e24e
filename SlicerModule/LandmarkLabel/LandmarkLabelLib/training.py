"""The server's trainings in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contract import ServerInfo


def training_text(server: ServerInfo) -> str:
    """A line or two on each training, and on what can't answer yet."""
    lines = [f"{name}: {_state(stats)}" for name, stats in server.training.items() if stats]
    lines += [f"{task}: {why}" for task, why in server.missing.items()]
    return "\n".join(lines) or "Nothing has been trained here yet."


def _state(stats: Mapping[str, Any]) -> str:
    state = str(stats.get("state", "unknown"))
    if state == "running":
        left = _minutes(stats.get("seconds_left"))
        return f"running, epoch {stats.get('epoch', 0)} of {stats.get('epochs', '?')}{left}{_error(stats)}"
    if state == "failed":
        return f"failed: {stats.get('reason', 'the server does not say why')}"
    if state == "done":
        kept = "now in use" if stats.get("published") else f"not better than {_other(stats)}, which stays"
        return f"done, {kept}{_error(stats)}"
    return state


def _other(stats: Mapping[str, Any]) -> str:
    """What a new model was compared with."""
    return str(stats.get("compared_with") or "the model in use")


def _minutes(seconds: Any) -> str:
    return f", {max(1, round(seconds / 60))} min left" if isinstance(seconds, (int, float)) else ""


def _error(stats: Mapping[str, Any]) -> str:
    new, used = stats.get("validation_mre"), stats.get("published_mre")
    if not isinstance(new, (int, float)):
        return ""
    beside = f" ({_other(stats).removeprefix('the ')}: {used:.2f})" if isinstance(used, (int, float)) else ""
    return f"; mean error on validation images {new:.2f}{beside}"
