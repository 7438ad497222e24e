"""An archive that is down, wrong or hostile: one sentence, within bounds, which names nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from landmarklabel.errors import LandmarkLabelError, NotFoundError, RefusedError, RemoteError
from landmarklabel.io.dicomweb import Archive, Limits, Series

UIDS = ("1.2.3", "1.2.4", "1.2.5")
SERIES = Series(*UIDS[:2])


def entry(uid: str, description: str = "") -> dict[str, object]:
    """What QIDO-RS says of a series."""
    values = {"0020000D": ("UI", "1.2.3"), "0020000E": ("UI", uid), "0008103E": ("LO", description)}
    return {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()}


class Strange(BaseHTTPRequestHandler):
    """Answers as its first path says; of a search, every page is the same."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind.isdigit():
            self.send_error(int(kind))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.end_headers()
        try:
            if kind == "endless":
                while True:
                    self.wfile.write(b"[" * 65536)
            elif kind == "hangs":
                self.wfile.write(b"[")
                self.wfile.flush()
                self.server.closing.wait(30)  # type: ignore[attr-defined]
            elif kind == "page":
                self.wfile.write(json.dumps([entry(f"1.2.{number}") for number in range(500)]).encode())
            elif kind == "odd":
                found = [entry("../../etc"), entry("1.2.9", "landmarklabel-landmarks-x"), entry("1.2.8", "Report")]
                self.wfile.write(json.dumps(found).encode())
            else:
                self.wfile.write(b"<html>Secret^Patient</html>")
        except OSError:
            pass  # whoever asked has gone

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    server.closing = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.closing.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("kind", "sentence", "error"),
    [
        ("404", r"(has it no more|offers no search there) \(404\)", NotFoundError),
        ("401", "answered 401; set its user name and password", RemoteError),
        ("503", "answered 503$", RemoteError),
        ("500", "answered 500$", RefusedError),
        ("html", "gave no DICOMweb answer", RefusedError),
        ("endless", "sends more than the 100000 bytes that are taken", RefusedError),
        ("hangs", "did not answer in time|can't be reached", RemoteError),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(
    address: str, kind: str, sentence: str, error: type[LandmarkLabelError]
) -> None:
    archive = Archive(f"{address}/{kind}", limits=Limits(bytes=100_000, wait_s=0.5))
    passing = error is RemoteError
    for ask in (lambda: list(archive.series("DX")), lambda: archive.headers(SERIES), lambda: archive.instance(*UIDS)):
        with pytest.raises(error, match=sentence) as caught:
            ask()
        assert str(caught.value).startswith(f"the DICOM server {address}/{kind}")
        assert "Secret" not in str(caught.value)
        assert not (passing and isinstance(caught.value, RefusedError))


def test_an_archive_that_is_not_there() -> None:
    with pytest.raises(RemoteError, match="the DICOM server http://127.0.0.1:1/x can't be reached"):
        list(Archive("http://127.0.0.1:1/x").series("DX"))


def test_pages_that_repeat_end(address: str) -> None:
    """Not every archive knows where a page begins."""
    assert len(list(Archive(f"{address}/page").series("DX"))) == 500


def test_series_are_chosen_here_where_the_archive_ignores_what_was_asked_for(address: str) -> None:
    archive = Archive(f"{address}/odd")
    assert [series.uid for series in archive.series("SR", "landmarklabel-landmarks-x")] == ["1.2.9"]
    assert [series.uid for series in archive.series("SR")] == ["1.2.9", "1.2.8"]
