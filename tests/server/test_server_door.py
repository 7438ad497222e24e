"""On this machine without tokens: what MONAI Label's clients ask is answered, and what nobody should ask is refused."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hostile import (
    Findings,
    crooked_values,
    escaped,
    everything,
    named_requests,
    raw_connections,
    send,
    send_generated,
    send_raw,
)
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelUtils
from PIL import Image
from servers import Server, prepare, publish

import tiny
from landmarklabel.protocol import Protocol

pytestmark = pytest.mark.slow

SETTINGS = {"max_upload_mb": "1", "body_timeout": "2"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol, trained: Path) -> Iterator[Server]:
    """A server that takes files of up to 1 MB, and waits no more than 2 s for a body to go on."""
    running = prepare(tmp_path_factory.mktemp("small") / "s", triangle, **SETTINGS)
    (running.folder / "tmp").mkdir()
    running.environment["TMPDIR"] = str(running.folder / "tmp")
    publish(running, trained)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What the stock client sends, request by request, and the status of each answer."""
    recorded: list[tuple[str, str, int]] = []
    for name in ("http_method", "http_multipart", "http_upload"):
        monkeypatch.setattr(MONAILabelUtils, name, staticmethod(_recording(getattr(MONAILabelUtils, name), recorded)))
    return recorded


def _recording(send_it: Callable[..., Any], recorded: list[tuple[str, str, int]]) -> Callable[..., Any]:
    def sending(method: str, address: str, path: str, *rest: Any, **named: Any) -> Any:
        answer = send_it(method, address, path, *rest, **named)
        recorded.append((method, path.partition("?")[0], answer[0]))
        return answer

    return sending


def test_the_stock_client_and_its_plug_in_of_slicer(
    small: Server, calls: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    """All that the plug-in asks from connecting to submitting, in its order."""
    client = MONAILabelClient(small.address, tmpdir=str(tmp_path), client_id="user-xyz")
    assert client.auth_enabled() is False
    assert client.info()["labels"] == ["left", "right", "top"]
    sample = client.next_sample("first", {})
    assert sample["id"]  # its name and the rest are not needed by the plug-in
    image = requests.get(f"{small.address}/datastore/image?image={sample['id']}", timeout=60)
    picture = tmp_path / sample.get("name", f"{sample['id']}.png")
    picture.write_bytes(image.content)
    file, answer = client.infer("landmarks", sample["id"], {})
    assert Path(file).name.endswith(".mrk.json")
    assert len(answer["landmarks"]) == 3
    label = tmp_path / "label.mrk.json"
    label.write_bytes(Path(file).read_bytes())
    saved = client.save_label(sample["id"], str(label), "final", {"label_info": [{"name": "left", "idx": 1}]})
    assert saved["image"] == sample["id"]
    back = client.download_label(sample["id"], "final")
    assert Path(back).read_bytes() == label.read_bytes()
    Image.fromarray(tiny.triangle_image(60)[0]).save(tmp_path / "new.png")
    assert client.upload_image(str(tmp_path / "new.png"), "uploaded")["image"] == "uploaded"
    assert "uploaded" in client.datastore()["objects"]
    session = client.create_session(str(tmp_path / "new.png"))["session_id"]
    assert client.get_session(session)["name"] == session
    _, answer = client.infer("refine", "", {"corrections": {"top": [30.0, 12.0, 0.0]}}, session_id=session)
    assert len(answer["landmarks"]) == 3
    client.remove_session(session)
    with pytest.raises(Exception, match="404"):
        client.train_status()
    client.train_stop()
    assert calls == [
        ("GET", "/auth/", 200),
        ("GET", "/info/", 200),
        ("POST", "/activelearning/first", 200),
        ("POST", "/infer/landmarks", 200),
        ("PUT", "/datastore/label", 200),
        ("GET", "/datastore/label", 200),
        ("PUT", "/datastore/", 200),
        ("GET", "/datastore/", 200),
        ("PUT", "/session/", 200),
        ("GET", f"/session/{session}", 200),
        ("POST", "/infer/refine", 200),
        ("DELETE", f"/session/{session}", 200),
        ("GET", "/train/", 404),
        ("DELETE", "/train/", 200),
    ]


@pytest.mark.parametrize(
    ("method", "path", "start"),
    [
        ("GET", "/datastore/dataset?limit_cases=2", b"PK"),
        ("POST", "/infer/landmarks?image=image_001&output=image", b"{"),
    ],
)
def test_files_that_are_sent_leave_nothing_behind(small: Server, method: str, path: str, start: bytes) -> None:
    """Whole, in part, or in parts that there are not."""
    before = set((small.folder / "tmp").iterdir())
    for wanted, status in (("", 200), ("bytes=0-1", 206), ("bytes=abc", 400), ("bytes=99999999-", 416)):
        answer = small(method, path, headers={"Range": wanted} if wanted else {})
        assert answer.status_code == status
        assert status >= 400 or answer.content.startswith(start)
    small.wait_for(lambda: set((small.folder / "tmp").iterdir()) <= before, 20)


def test_a_session_that_has_ended(small: Server, tmp_path: Path) -> None:
    for session in ("0" * 36, "00000000-0000-0000-0000-000000000000", "../sessions", ".."):
        answer = small("POST", "/infer/landmarks", params={"session_id": session})
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith(f"session '{session}' has expired, or never was")


@pytest.mark.parametrize(
    ("name", "content", "options", "status", "sentence"),
    [
        ("x.png", b"hello", "", 415, "the file sent is a text file; expected a radiograph"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "", 422, "the file sent: damaged"),
        ("x.zip", b"PK\3\4" + bytes(40), "", 415, "the file sent is of no known image format"),
        ("x.png", b"", "?uncompress=true", 400, "uncompress: archives are not taken"),
        ("x.png", b"", "?expiry=-1", 422, "expiry"),
    ],
)
def test_sessions_of_no_image(
    small: Server, name: str, content: bytes, options: str, status: int, sentence: str
) -> None:
    answer = small("PUT", f"/session/{options}", files={"files": (name, content)})
    assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), answer.text


def test_what_is_too_large_is_refused(small: Server) -> None:
    for path, part in (("/datastore/image?image=x", "file"), ("/infer/landmarks", "file"), ("/session/", "files")):
        method = "POST" if "infer" in path else "PUT"
        answer = small(method, path, files={part: ("x.png", bytes(4 << 20))})
        assert answer.status_code == 413
        assert answer.json()["detail"] == "this request is too long; at most 3 MB are taken here"
    answer = small("POST", "/activelearning/first", json={"x": "y" * (1 << 20)})
    assert answer.status_code == 413


def test_what_grows_too_large_is_refused_while_it_comes(small: Server) -> None:
    """Without a length in its header, a body is cut off where it becomes too long."""
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n'
        for _ in range(640):
            sent += 1 << 20
            yield bytes(1 << 20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    try:
        answer = small("PUT", "/datastore/image?image=x", data=body(), headers=headers)
        assert answer.status_code == 413
    except requests.ConnectionError:
        pass  # the connection was closed while the client was still sending
    assert sent < 200 << 20
    assert not list((small.folder / "tmp").glob("received_*"))


def test_a_body_that_stops_is_given_up(small: Server) -> None:
    head = (
        b"PUT /datastore/image?image=x HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    )
    with socket.create_connection(("127.0.0.1", small.port), timeout=30) as connection:
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n--x\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the request came too slowly" in answer


def test_ten_gigabytes_are_refused_before_they_come(small: Server) -> None:
    cases = dict(raw_connections("127.0.0.1", small.port))
    assert send_raw(small, cases["declared 10 GB"]) == 413


@pytest.mark.parametrize("host", ["elsewhere.org", "10.0.0.1", "127.0.0.1.elsewhere.org"])
def test_names_of_elsewhere_are_not_this_machine(small: Server, host: str) -> None:
    """A page whose name was made to mean 127.0.0.1 would be of the same origin."""
    assert small("GET", "/info/", headers={"Host": host}).status_code == 403
    assert small("GET", "/info/", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    assert small("POST", "/activelearning/first", headers={"Origin": f"https://{host}"}).status_code == 403


def corrections(x: float, session: str) -> dict[str, str]:
    return {"params": json.dumps({"corrections": {"top": [x, 12.0, 0.0]}, "session": session})}


def test_many_clients_click_at_once(small: Server) -> None:
    """Each gets the answer of its own click."""

    def click(number: int) -> Any:
        path = f"/infer/refine?image=image_{number % 26:03d}&output=json"
        return small("POST", path, data=corrections(20.0 + number / 10, f"reader {number}"))

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(click, range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    placed = [answer.json()["landmarks"][2]["position"][0] for answer in answers]
    assert placed == [20.0 + number / 10 for number in range(50)]


def test_of_corrections_in_a_row_the_newest_is_answered(small: Server) -> None:
    """Older ones may be answered if they were in time; none after a newer one, and none with an error but that."""
    begun = threading.Barrier(20)

    def click(number: int) -> tuple[int, str]:
        begun.wait()
        time.sleep(0.002 * number)
        answer = small("POST", "/infer/refine?image=image_025", data=corrections(20.0 + number, "one reader"))
        return answer.status_code, answer.text

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(click, range(20)))
    assert {status for status, _ in answers} <= {200, 409}
    assert any(status == 200 for status, _ in answers)
    refused = {json.loads(text)["detail"] for status, text in answers if status == 409}
    assert refused <= {"a newer correction of this image has come; this one is not answered"}


def inferences(server: Server) -> float:
    """How many have ended, however."""
    lines = server("GET", "/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith('landmarklabel_inferences_total{lane="image"')
    )


def test_a_client_that_goes_takes_its_work_along(small: Server) -> None:
    before = inferences(small)
    with socket.create_connection(("127.0.0.1", small.port), timeout=30) as connection:
        connection.sendall(b"POST /infer/landmarks?image=image_001 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    small.wait_for(lambda: inferences(small) > before, 20)
    small.wait_for(lambda: 'waiting{lane="image"} 0.0' in small("GET", "/metrics").text, 20)
    # What a worker had begun by then is written, and deleted as nobody is there to take it.
    small.wait_for(lambda: not list((small.folder / "tmp").glob("landmarks_*")), 20)


def test_some_hundred_hostile_requests(small: Server) -> None:
    """The small run of hostile.py: no 5xx but 503, nothing outside the store, and no trace in the log."""
    findings, before = Findings(), everything(small)
    for what, content in raw_connections("127.0.0.1", small.port):
        findings.note(what, send_raw(small, content))
    image = "image_002"
    picture = (small.studies / f"{image}.png").read_bytes()
    label = small("GET", f"/datastore/label?label={image}&tag=final").content
    cases = [*named_requests(image, label, picture), *crooked_values(image)]
    for method, path, options in cases[::9]:
        send(small, findings, method, path, options)
    send_generated(small, findings, examples=4)
    assert findings.requests > 400
    assert not findings.broken
    assert not escaped(small, before)
    assert small.process is not None
    assert small.process.poll() is None
    assert "Traceback" not in small.log.read_text()
    assert len(small.infer(image)["landmarks"]) == 3
