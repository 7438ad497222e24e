"""Bad days: the server slow, absent, refusing, breaking off, answering nonsense, restarting. No work is lost.

How long a turn of the event loop takes is printed, and not asserted on: the clock of a shared machine is no judge.
docs/slicer.md has the figures of a quiet one, by benchmarks/slicer_module.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from panel import Panel
from servers_apart import SampleServer
from trouble import Trouble

from LandmarkLabelLib import following as following_module
from LandmarkLabelLib import outbox as outbox_module
from LandmarkLabelLib.client import Client
from LandmarkLabelLib.drafts import DraftStore

IMAGE = "cephalometric_0020"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(outbox_module, "QUIET_S", 0.05)
    monkeypatch.setattr(outbox_module, "_FIRST_RETRY_S", 0.2)
    monkeypatch.setattr(outbox_module, "_LONGEST_RETRY_S", 0.2)
    monkeypatch.setattr(following_module, "_RETRY_S", 0.2)


pytestmark = pytest.mark.usefixtures("impatient")


def follows(panel: Panel) -> bool:
    return panel.settled and not panel.loop.outbox.waiting


@pytest.mark.parametrize("mode", ["slow", "absent", "refuse", "token", "unavailable", "half", "nonsense", "wrong"])
def test_a_correction_on_a_bad_day(reading: Panel, trouble: Trouble, mode: str) -> None:
    """Is there at once, stays, is kept on the disk, and reaches the server when that is well again."""
    trouble.mode = mode
    if mode == "absent":
        trouble.vanish()
    before = reading.loop.reading.points
    reading.drag("Go", (30, 20))
    placed = reading.loop.reading["Go"]
    assert placed.status == "corrected"
    longest = reading.wait(lambda: reading.loop.is_problem or follows(reading), mode)
    print(f"{mode}: longest turn of the event loop {1e3 * longest:.0f} ms")
    assert reading.loop.reading["Go"].position == placed.position
    if mode != "slow":
        assert reading.loop.is_problem
        assert reading.ui.messageLabel.text().startswith("⚠ ")
        assert [p for p in reading.loop.reading.points if p.label != "Go"] == [p for p in before if p.label != "Go"]
    store = DraftStore(reading.loop.drafts.folder)
    reading.wait(lambda: store.load(trouble.address, IMAGE) is not None, "on the disk")
    assert tuple(store.load(trouble.address, IMAGE).reading["points"][9]["position"]) == placed.position

    if mode == "absent":
        trouble.come_back()
    trouble.mode = "none"
    if mode in ("refuse", "token", "wrong", "nonsense"):  # nobody asks again for what was refused: the next drag does
        reading.drag("Me", (-10, 5))
    reading.wait(lambda: follows(reading), "all is well again")
    assert reading.loop.reading["Go"].position == placed.position
    saved = Client(trouble.target).label(IMAGE, "draft")["markups"][0]["controlPoints"][9]
    assert (saved["label"], tuple(saved["position"])) == ("Go", placed.position)


def test_a_slow_server_holds_nothing_up(reading: Panel, trouble: Trouble) -> None:
    """While an answer is on its way the reader goes on; only the newest correction counts."""
    trouble.mode, trouble.slow_s = "slow", 2.0
    reading.drag("Go", (30, 20))
    reading.drag("Me", (-10, 5))
    reading.drag("S", (8, 8))
    reading.key("next")
    reading.key("confirm")
    assert sum(not point.settled for point in reading.loop.reading.points) == 15
    state = reading.loop.reading.points
    longest = reading.wait(lambda: reading.settled, "the newest answer", seconds=30)
    print(f"three drags on a slow server: longest turn of the event loop {1e3 * longest:.0f} ms")
    settled = {point.label: point.position for point in state if point.settled}
    assert {p.label: p.position for p in reading.loop.reading.points if p.settled} == settled
    asked = [path for path in trouble.asked if "refine" in path]
    assert 1 <= len(asked) <= 3


@pytest.mark.parametrize("mode", ["absent", "gone", "moved"])
def test_submitted_while_the_server_is_away(reading: Panel, trouble: Trouble, mode: str) -> None:
    """The next image is there all the same, and the label is final once the server is back.

    What a proxy before the server says in its place is no answer to the label.
    """
    reading.wait(lambda: reading.loop.next_is_ready, "the next image")
    reading.drag("Go", (30, 20))
    reading.wait(lambda: follows(reading), "followed")
    expected = reading.loop.reading.points
    trouble.mode = mode
    if mode == "absent":
        trouble.vanish()
    reading.key("submit")
    assert reading.loop.open_image.image != IMAGE
    reading.wait(lambda: reading.loop.is_problem, "the server is away")
    reading.wait(lambda: "sent later" in reading.loop.message, "kept")
    assert IMAGE in reading.ui.savedLabel.text()
    trouble.mode = "none"
    if mode == "absent":
        trouble.come_back()
    reading.wait(lambda: not reading.loop.outbox.waiting, "sent")
    points = Client(trouble.target).label(IMAGE, "final")["markups"][0]["controlPoints"]
    assert [tuple(point["position"]) for point in points] == [point.position for point in expected]
    reading.wait(lambda: reading.loop.drafts.load(trouble.address, IMAGE) is None, "no draft is left")


def test_refused_for_good_is_kept_and_said(reading: Panel, trouble: Trouble, ceph_server: SampleServer) -> None:
    """As when the image was deleted meanwhile."""
    image = ceph_server.studies / f"{IMAGE}.nrrd"
    content = image.read_bytes()
    try:
        requests.delete(f"{trouble.target}/datastore/image", params={"id": IMAGE}, timeout=30)
        reading.drag("Go", (30, 20))
        placed = reading.loop.reading["Go"].position
        reading.wait(lambda: "did not take" in reading.loop.message, "refused")
        store = DraftStore(reading.loop.drafts.folder)
        reading.wait(lambda: store.load(trouble.address, IMAGE).refused, "noted")
        assert tuple(store.load(trouble.address, IMAGE).reading["points"][9]["position"]) == placed
    finally:
        requests.put(
            f"{trouble.target}/datastore/image",
            params={"image": IMAGE},
            files={"file": (image.name, content)},
            timeout=30,
        )


def test_closed_with_the_server_away_and_opened_again(trouble: Trouble, tmp_path: Path) -> None:
    first = Panel(tmp_path)
    first.connect(trouble.address)
    first.open(IMAGE)
    trouble.vanish()
    first.drag("Go", (30, 20))
    placed = first.loop.reading["Go"].position
    first.close()
    trouble.come_back()
    panel = Panel(tmp_path)
    panel.connect(trouble.address)
    panel.wait(lambda: not panel.loop.outbox.waiting and "draft" in Client(trouble.target).labels(IMAGE), "sent")
    panel.ui.openNextButton.click()
    panel.wait(lambda: panel.loop.reading is not None, "resumed")
    assert panel.loop.open_image.image == IMAGE
    assert panel.loop.reading["Go"].position == placed
    panel.close()
