"""The loop of reading by itself, with servers that are away, hang and are exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pretend import PlainReader, PretendClient, PretendServer

from LandmarkLabelLib import loop as loop_module
from LandmarkLabelLib.topics import POINTS

HERE, THERE = "http://here:1", "http://there:1"

Start = Callable[..., PlainReader]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the program, with servers by address; again to start it anew."""
    servers: dict[str, PretendServer] = {}
    monkeypatch.setattr(loop_module, "Client", lambda address, token="": PretendClient(address, servers[address]))
    started: list[PlainReader] = []

    def starting(here: PretendServer, there: PretendServer | None = None) -> PlainReader:
        servers.update({HERE: here, **({THERE: there} if there else {})})
        if started:
            started[-1].loop.stop()
        started.append(PlainReader(tmp_path, servers))
        started[-1].connect(HERE)
        return started[-1]

    yield starting
    started[-1].loop.stop()


def leave_a_draft(reader: PlainReader, image: str) -> None:
    reader.open(image)
    reader.loop.place("a", (5.0, 5.0, 0.0))
    reader.loop.save_draft()
    reader.rest()


def test_the_next_image_comes_though_the_one_left_unfinished_is_gone(start: Start) -> None:
    leave_a_draft(start(PretendServer("old")), "old")
    reader = start(PretendServer("new"))
    assert reader.loop.unfinished == "old"
    assert reader.next() == ""
    assert "no image old" in reader.loop.message
    assert reader.next() == "new"


def test_what_was_left_unfinished_of_another_protocol_is_not_next(start: Start) -> None:
    leave_a_draft(start(PretendServer("old", "new")), "old")
    reader = start(PretendServer("new", "old", protocol="q"))
    assert reader.next() == "new"


def test_what_was_submitted_is_not_unfinished(start: Start) -> None:
    """Though connecting once more found its draft."""
    reader = start(PretendServer("only"))
    leave_a_draft(reader, "only")
    reader.connect(HERE)
    assert reader.loop.unfinished == "only"
    reader.loop.submit()
    reader.rest()
    assert reader.image == ""
    assert "Every image is labelled" in reader.loop.message


def test_submitting_twice_in_a_moment_submits_one_image(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = PretendServer("first", "second", "third")
    reader = start(server)
    reader.open("first")
    monkeypatch.setattr(loop_module, "UNREAD_S", 60.0)
    reader.loop.open_image.started -= 100.0
    assert reader.loop.next_is_ready
    assert reader.loop.submit() is True
    assert reader.image == "second"
    assert reader.loop.submit() is False
    assert "only just come" in reader.loop.message
    reader.rest()
    assert (server.final, reader.image) == ({"first"}, "second")
    reader.loop.open_image.started -= 100.0
    assert reader.loop.submit() is True


def test_an_image_of_the_server_before_is_not_shown_after_connecting_to_another(start: Start) -> None:
    there = PretendServer("image", x=50.0)
    reader = start(PretendServer("image"), there)
    connect = there.hold("info")
    reader.loop.connect(THERE)
    reader.loop.open("image")
    connect()
    reader.rest()
    assert (reader.loop.client.address, reader.image) == (THERE, "")
    reader.open("image")
    assert reader.loop.reading["a"].position == (50.0, 20.0, 0.0)


def test_what_the_server_before_says_is_next_is_not_asked_of_another(start: Start) -> None:
    here, there = PretendServer("image", "next"), PretendServer("next")
    reader = start(here, there)
    choose = here.hold("next")
    reader.loop.open("image")
    reader.wait(lambda: "next" in here.asked, "looks ahead")
    reader.loop.connect(THERE)
    reader.wait(lambda: reader.loop.client.address == THERE, "connected")
    choose()
    reader.rest()
    assert not reader.loop.next_is_ready
    assert "download" not in there.asked


def test_what_was_skipped_comes_once_no_other_is_left(start: Start) -> None:
    server = PretendServer("first", "second", "third")
    reader = start(server)
    reader.open("first")
    seen = []
    for act in (reader.loop.skip, reader.loop.submit, reader.loop.skip, reader.loop.submit, reader.loop.skip):
        act()
        reader.rest()
        seen.append(reader.image)
    assert seen == ["second", "third", "first", "third", "third"], "the only one left comes again"
    reader.loop.submit()
    reader.rest()
    assert "Every image is labelled" in reader.loop.message
    assert server.final == set(server.images)


def test_what_was_done_is_kept_though_it_can_t_be_shown(start: Start) -> None:
    """A correction, and what followed it."""
    server = PretendServer("image")
    reader = start(server)
    reader.open("image")

    def fails(topic: str) -> None:
        if topic == POINTS:
            raise RuntimeError("the scene is broken")

    reader.loop._listener = fails
    server.x = 30.0
    with pytest.raises(RuntimeError):
        reader.loop.place("a", (5.0, 5.0, 0.0))
    reader.rest()
    points = reader.loop.drafts.load(HERE, "image").reading["points"]
    assert [point["position"] for point in points] == [[5.0, 5.0, 0.0], [30.0, 20.0, 0.0]]


def test_what_another_server_has_not_got_is_said(start: Start) -> None:
    here, there = PretendServer("image"), PretendServer("image")
    reader = start(here, there)
    reader.open("image")
    here.away = True
    assert reader.loop.submit()
    reader.rest()
    reader.connect(THERE)
    assert reader.loop.unsent_elsewhere == f"Not sent yet, until you connect there: 1 to {HERE} (p)."
    here.away = False
    reader.connect(HERE)
    reader.wait(lambda: here.final == {"image"}, "sent")
    assert reader.loop.unsent_elsewhere == ""


def test_what_was_on_its_way_when_the_image_was_put_away_does_not_come(start: Start) -> None:
    """As when the scene is closed, which may have another one in it by then."""
    server = PretendServer("image")
    reader = start(server)
    download = server.hold("download")
    reader.loop.open("image")
    reader.wait(lambda: "download" in server.asked, "asked")
    reader.loop.close_image()
    download()
    reader.rest()
    assert reader.image == ""


def test_the_next_image_is_given_back_when_the_image_is_put_away(start: Start) -> None:
    server = PretendServer("image", "next")
    reader = start(server)
    reader.open("image")
    assert reader.loop.next_is_ready
    reader.loop.close_image()
    reader.rest()
    assert "give back" in server.asked


def lose(reader: PlainReader, server: PretendServer, request: str) -> None:
    """Open the first image, and have the server gone just when it is asked for this."""
    go_on = server.hold(request)
    reader.loop.open(server.images[0])
    reader.wait(lambda: request in server.asked, "asked")
    server.away = True
    go_on()
    reader.rest()
    server.away = False


def test_connecting_again_finds_the_landmarks_that_could_not_be_found(start: Start) -> None:
    server = PretendServer("image")
    reader = start(server)
    lose(reader, server, "detect")
    assert reader.loop.reading["a"].position is None
    reader.connect(HERE)
    assert reader.loop.reading["a"].position == (10.0, 20.0, 0.0)


def test_connecting_again_gets_the_next_image_that_could_not_be_got(start: Start) -> None:
    server = PretendServer("image", "next")
    reader = start(server)
    lose(reader, server, "next")
    assert not reader.loop.next_is_ready
    reader.connect(HERE)
    assert reader.loop.next_is_ready


def test_connecting_again_asks_for_no_second_next_image(start: Start) -> None:
    """Each that is asked for is kept from others."""
    server = PretendServer("image", "next")
    reader = start(server)
    choose = server.hold("next")
    reader.loop.open("image")
    reader.wait(lambda: "next" in server.asked, "looks ahead")
    reader.loop.connect(HERE)
    reader.wait(lambda: server.asked.count("info") == 2 and not reader.loop.waiting, "connected again")
    choose()
    reader.rest()
    assert server.asked.count("next") == 1
    assert reader.loop.next_is_ready


@pytest.mark.parametrize("slow", ["segmentation", "upload", "info"])
def test_the_others_follow_while_something_else_hangs(start: Start, tmp_path: Path, slow: str) -> None:
    server = PretendServer("image")
    reader = start(server)
    reader.open("image")
    go_on = server.hold(slow)
    asked = server.asked.count(slow)
    {
        "segmentation": reader.loop.segment,
        "upload": lambda: reader.loop.upload(tmp_path / "new.png"),
        "info": lambda: reader.loop.connect(HERE),
    }[slow]()
    reader.wait(lambda: server.asked.count(slow) > asked, "hangs")
    reader.loop.place("a", (5.0, 5.0, 0.0))
    reader.wait(lambda: reader.loop.reading.now.followed, "the others follow")
    assert server.asked.count(slow) == asked + 1  # which still hangs
    go_on()


def test_another_server_is_read_from_while_the_one_before_hangs(start: Start) -> None:
    here = PretendServer("image")
    reader = start(here, PretendServer("image", x=50.0))
    reader.open("image")
    go_on = here.hold("refine")
    reader.loop.place("a", (5.0, 5.0, 0.0))
    reader.wait(lambda: "refine" in here.asked, "hangs")
    reader.connect(THERE)
    reader.open("image")
    assert reader.loop.reading["b"].position == (50.0, 20.0, 0.0)
    go_on()


def test_nothing_of_a_server_that_hangs_is_listed_as_the_next_one_s(start: Start) -> None:
    here = PretendServer("image")
    reader = start(here, PretendServer("another"))
    reader.open("image")
    go_on = here.hold("save")
    reader.loop.place("a", (5.0, 5.0, 0.0))
    reader.loop.save_draft()
    reader.wait(lambda: "save" in here.asked, "hangs")
    reader.loop.connect(THERE)
    reader.wait(lambda: reader.loop.client and reader.loop.client.address == THERE, "connected")
    assert reader.loop.worklist.items == []
    go_on()
    reader.rest()
    assert [item.image for item in reader.loop.worklist.items] == ["another"]


def test_a_server_that_hangs_keeps_nobody_from_testing_another(start: Start) -> None:
    there = PretendServer("image")
    reader = start(PretendServer("image"), there)
    go_on = there.hold("info")
    reader.loop.connect(THERE)
    reader.wait(lambda: "info" in there.asked, "hangs")
    reader.loop.connect(HERE)
    reader.wait(lambda: reader.loop.message.startswith("Connected"), "connected")
    go_on()
    reader.rest()
    assert reader.loop.client is not None
    assert reader.loop.client.address == HERE  # whatever the other says by now


def test_the_next_image_is_chosen_anew_once_another_is_open(start: Start) -> None:
    server = PretendServer("one", "two", "three")
    reader = start(server)
    go_on = server.hold("next")
    reader.loop.open("one")
    reader.wait(lambda: "next" in server.asked, "chooses")
    reader.loop.open("two")
    reader.wait(lambda: reader.image == "two" and reader.loop.open_image.detected, "opened")
    go_on()
    reader.rest()
    assert reader.loop.next_is_ready


def test_of_several_uploads_the_last_is_opened(start: Start, tmp_path: Path) -> None:
    reader = start(PretendServer("image"))
    for name in ("one.png", "two.png"):
        reader.loop.upload(tmp_path / name)
    seen = set()
    reader.wait(lambda: seen.add(reader.image) or not reader.loop.poll(), "sent")
    assert seen == {"", "two"}


def test_an_upload_takes_nobody_away_from_another_image(start: Start, tmp_path: Path) -> None:
    server = PretendServer("image")
    reader = start(server)
    go_on = server.hold("upload")
    reader.loop.upload(tmp_path / "new.png")
    reader.loop.open("image")
    reader.wait(lambda: reader.loop.open_image and reader.loop.open_image.detected, "opened")
    go_on()
    reader.rest()
    assert (reader.image, reader.loop.message) == ("image", "new is on the server.")
