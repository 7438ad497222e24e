"""Whatever else in Slicer does to the nodes of the module: what is shown is what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reader import Reader

import slicer
from LandmarkLabelLib.pointlist import ATTRIBUTE

IMAGE = "cephalometric_0020"
NODES: dict[str, Callable[[Reader], object]] = {
    "landmarks": lambda reader: reader.desk.points.node,
    "marks": lambda reader: reader.desk.points.marks["predicted"],
    "image": lambda reader: reader.desk.image.volume,
}


@pytest.fixture(params=NODES)
def deleted(request: pytest.FixtureRequest, reader: Reader) -> Reader:
    """An image is open, and somebody deletes a node that shows it."""
    reader.open(IMAGE)
    reader.view.scene.RemoveNode(NODES[request.param](reader))
    return reader


@pytest.fixture
def lines(reader: Reader) -> Iterator[Reader]:
    reader.open(IMAGE)
    reader.desk.show_lines(True)
    yield reader
    reader.desk.show_lines(False)


def places(reader: Reader) -> dict:
    return {point.label: point.position for point in reader.reading.points}


def test_what_somebody_deletes_is_there_again(deleted: Reader) -> None:
    deleted.wait(lambda: "it is there again" in deleted.loop.message, "restored")
    assert deleted.drawn() == places(deleted)
    deleted.drag("Go", (30, 20))
    deleted.settle()
    assert {point.label for point in deleted.reading.points if point.settled} == {"Go"}
    assert deleted.drawn() == places(deleted)


def test_the_next_image_is_drawn_though_somebody_deletes_what_shows_this_one(deleted: Reader) -> None:
    deleted.open("cephalometric_0021")
    assert deleted.drawn() == places(deleted)


def test_a_correction_is_kept_though_somebody_deletes_the_lines(lines: Reader) -> None:
    lines.view.scene.RemoveNode(lines.desk.image.lines)
    lines.drag("Go", (30, 20))
    lines.settle()
    placed = lines.reading["Go"].position
    lines.saved()
    draft = lines.loop.drafts.load(lines.loop.client.address, IMAGE)
    assert tuple(draft.reading["points"][lines.reading.index("Go")]["position"]) == placed
    assert lines.desk.image.lines.GetScene() is lines.view.scene


@pytest.mark.parametrize("dragged", [False, True])
@pytest.mark.parametrize("how", ["deleted", "missing", "typed"])
def test_what_is_changed_by_a_menu_or_a_table_is_put_back_and_said(reader: Reader, how: str, dragged: bool) -> None:
    reader.open(IMAGE)
    if dragged:
        reader.drag("Go", (30, 20))
        reader.settle()
    before, node, index = reader.reading.now, reader.desk.points.node, reader.reading.index("Me")
    {
        "deleted": lambda: node.UnsetNthControlPointPosition(index),
        "missing": lambda: node.SetNthControlPointPositionMissing(index),
        "typed": lambda: node.SetNthControlPointPosition(index, 1.0, 2.0, 3.0),
    }[how]()
    assert reader.drawn() == places(reader)
    assert reader.reading.now is before
    assert "Me was changed elsewhere in Slicer, and put back" in reader.loop.message


def test_nothing_of_an_open_image_is_saved_with_a_scene(lines: Reader, tmp_path: Path) -> None:
    """Loaded again, it would lie over the landmarks that are, and be nobody's."""
    scene = lines.view.scene
    ours = [node for node in nodes(scene) if node.GetAttribute(ATTRIBUTE)]
    assert len(ours) == 7, "an image, its landmarks, their marks, lines"
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    assert scene.Commit()
    loaded = slicer.vtkMRMLScene()
    loaded.SetURL(str(path))
    assert loaded.Import()
    assert not [node.GetName() for node in nodes(loaded) if node.GetAttribute(ATTRIBUTE)]
    assert not [node.GetName() for node in nodes(loaded) if node.IsA("vtkMRMLMarkupsDisplayNode")]


def nodes(scene) -> list:  # type: ignore[no-untyped-def]
    return [scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes())]
