"""The extension is complete: what CMake installs, what the index is told, what the pages say."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from servers_apart import ROOT

import slicer
from LandmarkLabelLib.colours import LOOKS, SHOWN, lightness
from LandmarkLabelLib.keys import KEYS
from LandmarkLabelLib.parameters import Parameters

EXTENSION = ROOT / "SlicerModule"
MODULE = EXTENSION / "LandmarkLabel"


def test_cmake_installs_every_file_of_the_module() -> None:
    listed = set(re.findall(r"^\s+(\S+\.(?:py|png|ui|nrrd))$", (MODULE / "CMakeLists.txt").read_text(), re.MULTILINE))
    listed = {name.replace("${MODULE_NAME}", "LandmarkLabel") for name in listed}
    there = {path.relative_to(MODULE).as_posix() for path in MODULE.rglob("*") if path.is_file()}
    there = {name for name in there if not name.startswith(("Testing", ".")) and "__pycache__" not in name}
    assert listed == there - {"CMakeLists.txt"}


def test_the_index_is_told_what_it_asks_for() -> None:
    entry = json.loads((EXTENSION / "LandmarkLabel.json").read_text())
    assert entry["scm_url"].endswith("/SlicerLandmarkLabel.git")
    assert {"category", "build_subdirectory", "scm_revision", "tier"} <= set(entry)
    cmake = (EXTENSION / "CMakeLists.txt").read_text()
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert f"set(EXTENSION_{name} " in cmake
    assert (EXTENSION / "LICENSE.txt").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("page", ["SlicerModule/README.md", "docs/slicer.md"])
def test_pictures_of_the_pages_are_there(page: str) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / page).read_text())
    assert pictures
    for picture in pictures:
        assert ((ROOT / page).parent / picture).is_file(), picture


def test_the_page_has_every_key() -> None:
    page = (ROOT / "docs/slicer.md").read_text()
    for key in KEYS.values():
        assert f"`{key.key}`" in page


def test_every_widget_of_the_panel_has_a_name_of_its_own() -> None:
    tree = ElementTree.parse(MODULE / "Resources/UI/LandmarkLabel.ui")
    names = [element.get("name") for element in tree.iter("widget")]
    assert len(names) == len(set(names)) > 30


def test_states_differ_in_colour_in_lightness_and_in_shape() -> None:
    """For those who see no colours, and on paper."""
    looks = [LOOKS[state] for state in SHOWN]
    assert len({look.glyph for look in looks}) == len({look.sign for look in looks}) == len(looks)
    by_lightness = sorted(lightness(look.colour) for look in looks)
    assert min(b - a for a, b in itertools.pairwise(by_lightness)) > 5


def test_parameters_are_kept_in_their_node() -> None:
    node = slicer.vtkMRMLScriptedModuleNode()
    parameters = Parameters(node)
    assert parameters.text("address") == "http://127.0.0.1:8000"
    parameters.set("address", "http://other")
    parameters.set("inverted", True)
    again = Parameters(node)
    assert (again.text("address"), again.flag("inverted"), again.flag("lines")) == ("http://other", True, False)
    with pytest.raises(KeyError):
        parameters.set("token", "secret")


def test_the_module_has_no_code_of_the_library() -> None:
    for path in MODULE.rglob("*.py"):
        assert "landmarklabel." not in Path(path).read_text().replace('landmarklabel."', "")
