"""The client: a sentence for each kind of failure, tried again only where that is safe, and the real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers_apart import ROOT, SampleServer, free_port
from trouble import Trouble

from LandmarkLabelLib import client as client_module
from LandmarkLabelLib.client import Client, checked_address, image_id, write_whole
from LandmarkLabelLib.contract import ServerError
from LandmarkLabelLib.markups import to_markups
from LandmarkLabelLib.state import Reading


@pytest.fixture
def stranger() -> Iterator[Trouble]:
    """Something that answers, with no server behind it."""
    proxy = Trouble()
    yield proxy
    proxy.vanish()


def failure(call) -> ServerError:  # type: ignore[no-untyped-def]
    with pytest.raises(ServerError) as caught:
        call()
    assert caught.value.sentence.endswith(".") or caught.value.sentence.endswith("?"), caught.value.sentence
    return caught.value


@pytest.mark.parametrize(
    ("address", "kind", "says"),
    [
        ("", "address", "http://127.0.0.1:8000"),
        ("127.0.0.1:8000", "scheme", "http://127.0.0.1:8000"),
        ("localhost:8000/", "scheme", "http://localhost:8000"),
        ("ftp://server", "address", "ftp://server"),
        ("http://", "address", "address"),
        ("http://server:99999", "address", "99999"),
    ],
)
def test_addresses_that_are_none(address: str, kind: str, says: str) -> None:
    problem = failure(lambda: checked_address(address))
    assert problem.kind == kind
    assert says in problem.sentence


def test_nothing_listens() -> None:
    assert failure(Client(f"http://127.0.0.1:{free_port()}").info).kind == "refused"


def test_a_name_that_nobody_knows() -> None:
    assert failure(Client("http://no-such-host.invalid:8000").info).kind == "unreachable"


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_QUICK_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        problem = failure(Client(f"http://127.0.0.1:{silent.getsockname()[1]}").info)
    assert problem.kind == "time-out"
    assert problem.away


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("token", "unauthorised"), ("refuse", "forbidden"), ("unavailable", "unavailable"),
        ("gone", "not MONAI Label"), ("moved", "not MONAI Label"), ("nonsense", "not MONAI Label"),
        ("wrong", "not MONAI Label"),
    ],
)  # fmt: skip
def test_what_answers_is_not_what_should(stranger: Trouble, mode: str, kind: str) -> None:
    stranger.mode = mode
    assert failure(Client(stranger.address).info).kind == kind


def test_the_token_goes_to_the_server_and_nowhere_else(stranger: Trouble, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Not into what is printed of a client; and what ~/.netrc holds for the host does not take its place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    stranger.mode = "refuse"
    client = Client(stranger.address, " abc123 ")
    failure(client.info)
    failure(Client(stranger.address).info)
    assert stranger.tokens == ["Bearer abc123", ""]
    assert "abc123" not in repr(client) + repr(vars(client))


def test_what_may_happen_twice_is_tried_twice_and_nothing_else(trouble: Trouble) -> None:
    trouble.mode = "half"
    client = Client(trouble.address)
    assert failure(client.worklist).kind == "broken off"
    assert len(trouble.asked) == 2
    trouble.asked.clear()
    failure(lambda: client.train("no such task"))
    assert len(trouble.asked) == 1


def test_the_real_server(ceph_server: SampleServer, trouble: Trouble, tmp_path: Path) -> None:
    """Every call once."""
    client = Client(ceph_server.address + "/")
    info = client.info()
    labels = info.protocol.labels
    assert (info.protocol.name, len(labels)) == ("cephalometric_19", 19)
    assert info.total >= info.completed >= 20
    assert "farnet" in info.trainers
    items = {item.image: item for item in client.worklist()}
    assert items["cephalometric_0000"].status == "final"
    assert items["cephalometric_0023"].status == "unlabelled"
    assert client.next_image("first") in items

    file = client.download("cephalometric_0023", tmp_path)
    assert file.read_bytes() == (ceph_server.studies / "cephalometric_0023.nrrd").read_bytes()
    found = client.detect("cephalometric_0023", labels)
    reading = Reading("cephalometric_0023", labels, "test")
    reading.detected(found)
    reading.place("S", found.landmarks["S"].position or ())
    request = reading.request()
    assert request is not None
    refined = client.refine(
        "cephalometric_0023", labels, request.corrections, request.missing, request.previous, "test"
    )
    assert refined.landmarks["S"].position == found.landmarks["S"].position
    assert len(refined.review_order) > 0

    client.save("cephalometric_0023", to_markups(reading.points, info.protocol.name), {"reader": "me"}, final=False)
    again = {item.image: item for item in client.worklist()}["cephalometric_0023"]
    assert again.status == "draft"
    assert client.labels("cephalometric_0023")["draft"]["reader"] == "me"
    assert set(client.labels("cephalometric_0000")) == {"final"}
    assert client.label("cephalometric_0023", "draft")["markups"][0]["controlPoints"][0]["label"] == labels[0]
    assert failure(lambda: client.segmentation("cephalometric_0023", tmp_path)).kind == "conflict"
    assert failure(lambda: client.detect("nothing", labels)).kind == "not found"
    assert "nothing" in failure(lambda: client.detect("nothing", labels)).sentence
    assert failure(lambda: client.train("nothing")).kind == "not found"


def test_upload(ceph_server: SampleServer, tmp_path: Path) -> None:
    image = tmp_path / "new one.nrrd"
    image.write_bytes((ROOT / "sample_data/cephalometric_19/cephalometric_0005.nrrd").read_bytes())
    client = Client(ceph_server.address)
    assert client.upload(image) == "new one"
    assert client.upload(image) == "new one", "the same again is no mistake"
    assert "new one" in [item.image for item in client.worklist()]
    downloaded = client.download("new one", tmp_path / "downloaded")
    assert (downloaded.name, downloaded.read_bytes()) == ("new one.nrrd", image.read_bytes())
    text = tmp_path / "text.nrrd"
    text.write_text("hello")
    assert failure(lambda: client.upload(text)).kind == "invalid"
    assert failure(lambda: client.upload(tmp_path / "absent.png")).kind == "file"


@pytest.mark.parametrize(
    ("name", "expected"), [("a.dcm", "a"), ("a.b.png", "a.b"), ("a.nii.gz", "a"), ("a", "a"), ("IM-0001.2", "IM-0001")]
)
def test_ids_of_files(name: str, expected: str) -> None:
    assert image_id(Path(name)) == expected


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "x"
    write_whole(target, b"one")
    with pytest.raises(TypeError):
        write_whole(target, "no bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
