"""The module runs in the oldest Slicer that it is for, 5.8: Python 3.9, and only what Slicer brings along."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from servers_apart import ROOT

FILES = sorted((ROOT / "SlicerModule").rglob("*.py"))

# Of Python's own modules those that are used; numpy, SimpleITK, requests, vtk, qt, ctk and slicer come with Slicer.
ALLOWED = {
    "__future__", "collections", "contextlib", "dataclasses", "email", "hashlib", "itertools", "json", "logging",
    "math", "os", "pathlib", "queue", "shutil", "tempfile", "threading", "time", "typing", "urllib", "uuid",
    "numpy", "SimpleITK", "requests", "vtk", "qt", "slicer", "SampleData", "LandmarkLabelLib",
}  # fmt: skip
# Written with | where Python 3.9 evaluates them.
EVALUATED = (ast.Assign, ast.Call)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if type(node).__name__ in ("Match", "TryStar")]
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"pairwise", "batched", "StrEnum"}, "of later Pythons"
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        keywords = {keyword.arg for keyword in call.keywords}
        assert not (name == "zip" and "strict" in keywords), "zip(strict=) is of 3.10"
        assert not (name == "dataclass" and keywords & {"slots", "kw_only"}), "of 3.10"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_annotations_are_not_evaluated(path: Path) -> None:
    """So that they may be written as later Pythons have them."""
    tree = ast.parse(path.read_text())
    annotated = any(isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation for node in ast.walk(tree))
    first = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert first or not annotated
    for node in (node for node in ast.walk(tree) if isinstance(node, EVALUATED)):
        unions = [each for each in ast.walk(node) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.BitOr)]
        assert not [each for each in unions if isinstance(each.right, ast.Constant) and each.right.value is None]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_only_what_slicer_brings(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(str(node.module).partition(".")[0])
    assert imported <= ALLOWED | ({"unittest", "LandmarkLabel"} if "Testing" in path.parts else set())


def test_there_is_something_to_check() -> None:
    assert {"LandmarkLabel.py", "client.py", "desk.py"} <= {path.name for path in FILES}
