"""The state of a training run in one safetensors file, without pickles: tensors as tensors, all else as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import ModelError
from ..files import atomic_path

_KEY = "state"
_TENSOR = "__tensor__"
_INTEGER_KEYS = "__integer_keys__"
_TUPLE = "__tuple__"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts, lists, tuples, numbers, text and tensors; ``path`` is never half of a state.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _flatten(state, "", tensors)
    with atomic_path(path, f"the state of the training run ({path.name})") as temporary:
        save_file(tensors, temporary, metadata={_KEY: json.dumps(skeleton)})


def load_state(path: Path) -> dict[str, Any]:
    """What :func:`save_state` wrote.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        raise ModelError(
            f"{path.name}, the state of the training run, is damaged ({problem}); delete it to start the run anew"
        ) from None
    return _unflatten(skeleton, tensors)


def _flatten(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # A clone: tensors that share memory can't be told apart in the file.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        flat = {str(key): _flatten(item, f"{name}/{key}", tensors) for key, item in value.items()}
        integers = bool(value) and all(isinstance(key, int) for key in value)
        return {_INTEGER_KEYS: flat} if integers else flat
    if isinstance(value, (list, tuple)):
        items = [_flatten(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    return value


def _unflatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_unflatten(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_unflatten(item, tensors) for item in value[_TUPLE])
    if _INTEGER_KEYS in value:
        return {int(key): _unflatten(item, tensors) for key, item in value[_INTEGER_KEYS].items()}
    return {key: _unflatten(item, tensors) for key, item in value.items()}
