"""A proxy between viewer and server that behaves as networks and servers do on bad days."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_HOP = ("transfer-encoding", "content-encoding", "connection", "content-length", "date", "server")


class Trouble:
    """In front of a server; ``mode`` says how it behaves.

    Modes: ``none``; ``slow`` (each answer 2 s later); ``absent`` (nothing listens); ``refuse`` (403); ``token``
    (401); ``unavailable`` (503); ``gone`` (404, of a proxy that has no server behind it); ``half`` (breaks off in
    the middle of the answer, the server having done its work); ``nonsense`` (200 and no JSON); ``wrong`` (200 and
    JSON of something else); ``moved`` (302).
    """

    def __init__(self, target: str = "") -> None:
        self.target, self.mode, self.asked = target, "none", []  # type: ignore[var-annotated]
        self.tokens: list[str] = []
        self.slow_s = 2.0
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.listen()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_POST = do_PUT = do_DELETE = lambda self: owner.answer(self)  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                """Whoever asked has gone, as is to be expected here."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def vanish(self) -> None:
        """Nothing listens any more."""
        if self._server is not None:
            self.mode = "half"  # what is still connected gets no answers either
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def come_back(self) -> None:
        self.mode = "none"
        self.listen()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.asked.append(f"{request.command} {request.path}")
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.mode == "slow":
            time.sleep(self.slow_s)
        plain = {
            "refuse": (403, b'{"detail": "only annotators may do this"}'),
            "token": (401, b'{"detail": "Not authenticated"}'),
            "unavailable": (503, b"down for maintenance"),
            "gone": (404, b"<html>404 page not found</html>"),
            "nonsense": (200, b"<html>It works!</html>"),
            "wrong": (200, b'{"landmarks": [{"label": 3}], "objects": 5}'),
        }
        if self.mode in plain:
            self._send(request, *plain[self.mode])
        elif self.mode == "moved":
            self._send(request, 302, b"", {"Location": "http://127.0.0.1:1/"})
        else:
            self._pass_on(request, body)

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", *_HOP)}
        answer = requests.request(
            request.command, self.target + request.path, data=body, headers=headers, allow_redirects=False, timeout=60
        )
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        if self.mode != "half":
            self._send(request, answer.status_code, answer.content, kept)
            return
        request.send_response(answer.status_code)
        request.send_header("Content-Length", str(len(answer.content) + 1))
        request.end_headers()
        request.wfile.write(answer.content[: len(answer.content) // 2])
        request.close_connection = True

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
