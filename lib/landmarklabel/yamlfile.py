"""YAML files read into pydantic models, with errors that say which line and key is wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from .errors import LandmarkLabelError, listed

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, where YAML itself silently takes the last.

    What looks like a date or a number and is none (``2024-13-45``, ``0x_``) is YAML that is wrong, as any other.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):  # PyYAML takes them for right
            problem = f"{str(node.value)[:80]!r} is no {str(node.tag).rpartition(':')[2]}; as text it needs quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():  # else refused below
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key that is not one word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key '{key.value}' of line {seen[key.value]} again", problem_mark=key.start_mark
                )
            seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str) -> Any:
    """The content of YAML text.

    Raises:
        yaml.YAMLError: it is not YAML.
        RecursionError: it is nested too deep.
    """
    return yaml.load(text, Loader=_StrictLoader)


def read_yaml(path: Path, error: type[LandmarkLabelError]) -> Any:
    """The content of a YAML file.

    Raises:
        error: the file can't be read, or is not YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: can't be read as text ({problem})") from None
    except yaml.MarkedYAMLError as problem:
        where = f", line {problem.problem_mark.line + 1}" if problem.problem_mark else ""
        raise error(f"{path.name}{where}: not valid YAML: {problem.problem}") from None
    except yaml.YAMLError as problem:
        raise error(f"{path.name}: not valid YAML: {problem}") from None
    except RecursionError:
        raise error(f"{path.name}: nested too deep, or in itself") from None


def read_model(path: Path, model: type[Model], error: type[LandmarkLabelError]) -> Model:
    """A YAML file as a pydantic model.

    Raises:
        error: with the file, line and key of the first thing that is wrong, and what would be right.
    """
    content = read_yaml(path, error)
    if not isinstance(content, dict):
        raise error(f"{path.name}: expected 'key: value' lines, got {type(content).__name__}")
    try:
        return validate(content, model, error, path.name, lines=_lines(path))
    except RecursionError:
        raise error(f"{path.name}: nested too deep, or in itself") from None


def validate(
    content: Any,
    model: type[Model],
    error: type[LandmarkLabelError],
    where: str,
    lines: dict[Location, int] | None = None,
) -> Model:
    """``content`` as a pydantic model; ``where`` names its origin in the error's one sentence."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        raise error(f"{where}{_sentence(problem, model, lines or {})}") from None


def _sentence(problem: ValidationError, model: type[BaseModel], lines: dict[Location, int]) -> str:
    # A misspelt key is also a missing one: name the misspelling.
    first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    location: Location = tuple(first["loc"])
    # Where the key itself is missing or wrong, its parent's line is the nearest that exists.
    line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), None)
    place = (f", line {line}" if line else "") + (f", {key_path(location)}" if location else "")
    more = f" ({problem.error_count() - 1} more)" if problem.error_count() > 1 else ""
    return f"{place}: {_reason(dict(first), location, model)}{more}"


def _reason(first: dict[str, Any], location: Location, model: type[BaseModel]) -> str:
    kind, given = first["type"], first.get("input")
    if kind == "missing":
        return f"'{location[-1]}' is missing; add it"
    if kind == "extra_forbidden":
        known = list(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known here: {listed(known, 20)}"
        return f"unknown key '{location[-1]}'; {hint}"
    if kind in ("value_error", "assertion_error"):
        return str(first["ctx"]["error"])
    return f"got {given!r}; {first['msg'][0].lower()}{first['msg'][1:]}"


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> Sequence[str]:
    """Names of the fields of the model found at ``location`` inside ``model``; of one of several, its ``name`` says."""
    models = [model]
    for step in location:
        if isinstance(step, int):
            continue
        named = [m for m in models if "name" in m.model_fields and m.model_fields["name"].default == step]
        fields = [m.model_fields[step] for m in models if step in m.model_fields]
        models = named or [inner for field in fields for inner in _models_in(field.annotation)]
    return tuple(dict.fromkeys(name for m in models for name in m.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def key_path(location: Sequence[int | str]) -> str:
    """``('landmarks', 3, 'label')`` as ``landmarks[3].label``."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _lines(path: Path) -> dict[Location, int]:
    """Line number of every key and list item of a YAML file."""
    found: dict[Location, int] = {}

    def visit(node: yaml.Node | None, location: Location) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place: Location = (*location, str(key.value))  # a key of !!pairs may be anything
                found[place] = key.start_mark.line + 1
                visit(value, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                place = (*location, index)
                found[place] = value.start_mark.line + 1
                visit(value, place)

    visit(yaml.compose(path.read_text(encoding="utf-8"), Loader=_StrictLoader), ())
    return found
