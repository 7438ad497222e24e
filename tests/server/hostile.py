"""Requests that mean no good, by the thousand: none may make the server stumble, or write outside its folders.

    python tests/server/hostile.py --requests 10000 --json hostile.json

Three kinds: schemathesis, from the server's own OpenAPI; names with paths in them, links, NUL and the like, in every
place that takes a name; and connections that keep to no protocol. A test runs a few hundred of them, ``make soak`` all.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "lib")]

from servers import Server

from landmarklabel.resources import resource

#: Part of every name that tries to leave its folder: no file on the machine may have it in its name afterwards.
MARK = "hostile_escape"

#: Work that takes a process of its own for minutes, and what ends the server's own work.
LEFT_TO_OTHER_TESTS = ("/train", "/scoring", "/batch")

_SILENT_S = 3


@dataclass
class Findings:
    """What came of it.

    Attributes:
        statuses: how often each was answered.
        broken: requests that were answered with 5xx other than 503 and 507, or not at all.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def note(self, what: str, status: int, text: str = "") -> None:
        self.statuses[status] += 1
        if status >= 500 and status not in (503, 507):
            self.broken.append(f"{status} {what}: {text[:200]}")

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())


def hostile_names() -> list[str]:
    """Names that try to be something else."""
    return [
        f"../{MARK}", f"../../{MARK}", f"..\\{MARK}", f"/tmp/{MARK}", f"//{MARK}", f"./../{MARK}", f"a/../../{MARK}",
        f"file:///tmp/{MARK}", f"C:\\{MARK}", f"{MARK}\0.png", f"{MARK}\n", f"\r\n{MARK}", f"~/{MARK}", f"$HOME/{MARK}",
        f"%2e%2e/{MARK}", f"..%2f{MARK}", f"%00{MARK}", f"{MARK}/", f".{MARK}", "..", ".", "", " ", "-", "*", "?",
        "/etc/passwd", "../studies.models", "../datastore_v2.json", "datastore_v2.json", "link", "CON", "a" * 300,
        "ä" * 200, "\u202e", "\ud83d\ude00", "\ufffe", "null", "NaN", "None", "true", "[]", "{}", "0", "-1", "1e400",
        "__proto__", "'; DROP TABLE images; --", "${jndi:ldap://x}", "{{7*7}}", "<script>", "%s%n", "`id`", "|id",
    ]  # fmt: skip


def named_requests(image: str, label: bytes, picture: bytes) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each hostile name in each place that takes a name: method, path and options of requests."""
    for name in hostile_names():
        at = quote(name, safe="", errors="replace")
        clicks, missing = ({"data": {"params": json.dumps(given)}} for given in (
            {"corrections": {name: [1, 2, 0]}}, {"missing": [name], "result": name},
        ))  # fmt: skip
        text = json.dumps({"image": name, "session": name, "client_id": name, "label_tag": name, "save_label": True})
        yield from (
            ("POST", f"/infer/landmarks?image={at}", {}),
            ("POST", f"/infer/refine?session_id={at}", {}),
            ("POST", f"/infer/{at}?image={image}", {}),
            ("POST", f"/infer/landmarks?image={image}&output={at}", {}),
            ("POST", f"/infer/refine?image={image}", {"data": {"params": text}}),
            ("POST", f"/infer/refine?image={image}", clicks),
            ("POST", f"/infer/refine?image={image}", missing),
            ("POST", "/infer/landmarks", {"files": {"file": (name or "x", picture)}}),
            ("PUT", f"/datastore/image?image={at}", {"files": {"file": ("x.png", picture)}}),
            ("PUT", "/datastore/image", {"files": {"file": (f"{name}.png", picture[:50])}}),
            ("PUT", f"/datastore/label?image={image}&tag={at}", {"files": {"label": ("x.mrk.json", label)}}),
            ("PUT", f"/datastore/label?image={at}&tag=final", {"files": {"label": ("x.mrk.json", label)}}),
            ("PUT", f"/datastore/label?image={image}&tag=hostile", {"files": {"label": (name or "x", label)}}),
            ("PUT", f"/datastore/label/info?label={at}&tag={at}", {"data": {"info": text}}),
            ("PUT", f"/datastore/image/info?image={image}", {"data": {"info": json.dumps({name: name})}}),
            ("PUT", f"/datastore/updatelabelinfo?label={image}&tag={at}", {"data": {"params": text}}),
            ("GET", f"/datastore/image?image={at}", {}),
            ("HEAD", f"/datastore/image?image={image}&check_sum={at}", {}),
            ("GET", f"/datastore/label?label={at}&tag=final", {}),
            ("GET", f"/datastore/label?label={image}&tag={at}", {}),
            ("HEAD", f"/datastore/label?image={image}&tag={at}", {}),
            ("GET", f"/datastore/label/info?label={image}&tag={at}", {}),
            ("DELETE", f"/datastore/label?id={image}&tag={at}", {}),
            ("DELETE", f"/datastore/image?id={at}", {}),
            ("GET", f"/session/{at}", {}),
            ("DELETE", f"/session/{at}", {}),
            ("PUT", "/session/", {"files": {"files": (name or "x", picture)}}),
            ("PUT", f"/session/?expiry={at}&uncompress={at}", {"files": {"files": ("x.zip", b"PK\3\4" + picture)}}),
            ("POST", f"/activelearning/{at}", {"json": {"strategy": name, "seed": name}}),
            ("GET", f"/model/{at}", {}),
            ("GET", f"/model/info/{at}", {}),
            ("PUT", f"/model/{at}", {"files": {"file": (name or "x", picture)}}),
            ("DELETE", f"/model/{at}", {}),
            ("GET", f"/{at}", {}),
            ("GET", f"/static/{at}", {}),
            ("GET", f"/ohif/{at}", {}),
            ("GET", f"/proxy/dicom/{at}", {}),
            ("GET", f"/logs/?lines={at}", {}),
            ("POST", f"/train/{at or 'nothing'}", {"json": {"config": name}}),  # without a name it would train
        )  # fmt: skip


def crooked_values(image: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """JSON and forms that are too deep, too large, or of the wrong kind."""
    deep = "[" * 100_000 + "]" * 100_000
    objects = '{"a":' * 5_000 + "1" + "}" * 5_000
    values = [
        deep,
        objects,
        "NaN",
        '{"a": NaN}',
        '{"a": 1e999}',
        "1" * 5000,
        '"\\ud800"',
        "[]",
        "null",
        "true",
        "{",
        "\0",
        "[1",
        '\\"' * 400_000,
    ]
    values += ['{"corrections": {"S": [NaN, 1, 2]}}', '{"corrections": {"S": "x"}}', '{"corrections": [[1]]}']
    values += [
        json.dumps({"session": kind, "client_id": kind, "corrections": kind}) for kind in (1, None, [], {}, True, "")
    ]
    for value in values:
        headers = {"Content-Type": "application/json"}
        yield "POST", f"/infer/refine?image={image}", {"data": {"params": value}}
        yield "PUT", f"/datastore/label/info?label={image}&tag=final", {"data": {"info": value}}
        yield "PUT", f"/datastore/label?image={image}&tag=final", {"files": {"label": ("x.mrk.json", value)}}
        yield "POST", "/activelearning/first", {"data": value.encode(), "headers": headers}
        yield "POST", "/train/nothing", {"data": value.encode(), "headers": headers}
    large = {"files": {"file": ("x.png", bytes(3 << 20))}}
    yield "PUT", "/datastore/image?image=large", large
    yield "POST", "/infer/landmarks", {"data": {"params": "x" * (2 << 20)}}
    yield "PUT", f"/datastore/image/info?image={image}", {"data": {f"f{i}": "x" for i in range(2000)}}


def raw_connections(host: str, port: int) -> Iterator[tuple[str, bytes]]:
    """What HTTP is not, or barely."""
    put = b"PUT /datastore/image?image=x HTTP/1.1\r\nHost: localhost\r\n"
    form = b"Content-Type: multipart/form-data; boundary=x\r\n"
    yield "declared 10 GB", put + form + b"Content-Length: 10000000000\r\n\r\n"
    yield "negative length", put + form + b"Content-Length: -1\r\n\r\n"
    yield "two lengths", put + form + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"
    yield "length and chunks", put + form + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "chunk of 10 GB", put + form + b"Transfer-Encoding: chunked\r\n\r\n2540BE400\r\n"
    yield "half a body", put + form + b"Content-Length: 100\r\n\r\n--x\r\n"
    yield "no boundary", put + b"Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"
    yield "NUL in a header", b"GET /info/ HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n"
    yield "NUL in the path", b"GET /info/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "path that goes up", b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "encoded path that goes up", b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "address of elsewhere", b"GET http://elsewhere.org/info/ HTTP/1.1\r\nHost: elsewhere.org\r\n\r\n"
    yield "no host", b"GET /info/ HTTP/1.1\r\n\r\n"
    yield "host that is none", b"GET /info/ HTTP/1.1\r\nHost: [\r\n\r\n"
    yield "no protocol", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200)
    yield "long header", b"GET /info/ HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
    yield "many headers", b"GET /info/ HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"
    yield (
        "websocket",
        (
            b"GET /info/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
    )


def send_raw(server: Server, content: bytes) -> int:
    """The status that is answered; 400 where the connection is closed, or left open, without an answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=_SILENT_S) as connection:
        try:
            connection.sendall(content)
            answer = connection.recv(4096)
        except OSError:
            return 400
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 400


def send_named(server: Server, findings: Findings, most: int, seed: int = 0) -> None:
    """Our own cases, all of them or so many drawn at random."""
    image, file = next((name, file) for name in labelled_images(server) for file in server.studies.glob(f"{name}.*"))
    picture = file.read_bytes()
    label = server("GET", f"/datastore/label?label={image}&tag=final").content
    cases = [*named_requests(image, label, picture), *crooked_values(image)]
    random.Random(seed).shuffle(cases)
    for method, path, options in cases[:most]:
        send(server, findings, method, path, options)


def labelled_images(server: Server) -> list[str]:
    """Ids of images with a final label."""
    return sorted(path.name.partition(".")[0] for path in (server.studies / "labels" / "final").iterdir())


def send(server: Server, findings: Findings, method: str, path: str, options: dict[str, Any]) -> None:
    what = f"{method} {path[:120]} {str(options)[:80]}"
    try:
        answer = server(method, path, allow_redirects=False, **options)
    except requests.exceptions.ConnectionError as problem:
        findings.broken.append(f"no answer to {what}: {problem}")
    except (ValueError, UnicodeError):
        return  # the client can't send it
    else:
        findings.note(what, answer.status_code, answer.content.decode(errors="replace"))


def send_generated(server: Server, findings: Findings, examples: int, number: int = 0) -> None:
    """What schemathesis makes of the OpenAPI: so many for each operation, of the right kinds and of wrong ones."""
    import schemathesis
    from schemathesis import GenerationMode

    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(LEFT_TO_OTHER_TESTS):
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for case in generated(operation.as_strategy(generation_mode=mode), examples, number):
                what = f"{operation.method.upper()} {operation.path} {case.query} {str(case.body)[:80]}"
                try:
                    answer = case.call(timeout=60)
                except requests.exceptions.ConnectionError as problem:
                    findings.broken.append(f"no answer to {what}: {problem}")
                except (ValueError, UnicodeError, requests.exceptions.InvalidHeader):
                    continue  # the client can't send it
                else:
                    findings.note(what, answer.status_code, answer.content.decode(errors="replace"))


def generated(strategy: Any, examples: int, number: int) -> list[Any]:
    """So many examples, others for each number; none where there are none, as of wrong ones without parameters."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis.errors import Unsatisfiable

    cases: list[Any] = []

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)
    def keep(case: Any) -> None:
        cases.append(case)

    with suppress(Unsatisfiable):
        keep()
    return cases


def escaped(server: Server, before: set[Path]) -> list[Path]:
    """Files that should not be there: outside of what the server keeps, or with the mark of what tried to leave."""
    own = [server.studies, server.models, server.folder / "app", server.folder / ".cache", server.folder / "tmp"]
    found = everything(server) - before
    outside = [path for path in found if not any(folder in path.parents for folder in own) and path != server.log]
    marked = [path for path in found if MARK in path.name and not is_in_store(server, path)]
    marked += [path for folder in (Path("/tmp"), Path("/"), Path.home()) for path in folder.glob(f"*{MARK}*")]
    return sorted({*outside, *marked})


def is_in_store(server: Server, path: Path) -> bool:
    return server.studies in path.parents


def everything(server: Server) -> set[Path]:
    """All files around the server's folders."""
    return {path for path in server.folder.parent.rglob("*") if path.is_file() or path.is_symlink()}


def sample_server(folder: Path) -> Server:
    """The sample cephalograms with their model, not started; uploads of up to 2 MB, bodies that may stop for 2 s."""
    root = resource("sample_data")
    studies = shutil.copytree(root / "cephalometric_19", folder / "s" / "studies")
    shutil.copytree(root / "models", folder / "s" / "models")
    (folder / "s" / "tmp").mkdir()
    (studies / "link.png").symlink_to("/etc/passwd")
    conf = {
        "protocol": "cephalometric_19", "models": str(folder / "s" / "models"), "max_upload_mb": "2",
        "body_timeout": "2",
    }  # fmt: skip
    server = Server(folder / "s", studies, conf)
    server.environment["TMPDIR"] = str(folder / "s" / "tmp")
    return server


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=10_000, help="at least so many")
    arguments.add_argument("--json", type=Path, help="file for what came of it")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile_") as name:
        server = sample_server(Path(name))
        try:
            server.start()
            findings, escapes, seconds = attack(server, options.requests)
            alive = server.process is not None and server.process.poll() is None
            left = [path.name for path in (server.folder / "tmp").iterdir()]
            log = server.log.read_text()
        finally:
            server.stop()
    report = {
        "requests": findings.requests,
        "seconds": round(seconds, 1),
        "statuses": dict(sorted(findings.statuses.items())),
        "broken": findings.broken,
        "written_outside": [str(path) for path in escapes],
        "left_in_tmp": left,
        "tracebacks": log.count("Traceback"),
        "alive": alive,
    }
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if alive and not findings.broken and not escapes else 1


def attack(server: Server, least: int) -> tuple[Findings, list[Path], float]:
    """All our own cases, then what schemathesis makes, ever more of it, until there were so many."""
    findings, before, start = Findings(), everything(server), time.monotonic()
    for what, content in raw_connections("127.0.0.1", server.port):
        findings.note(what, send_raw(server, content))
    send_named(server, findings, most=1_000_000)
    print(f"{findings.requests} of our own; broken: {findings.broken}", file=sys.stderr)
    rounds = 0
    while findings.requests < least:
        send_generated(server, findings, 25, rounds)
        rounds += 1
        print(f"{findings.requests} requests: {dict(findings.statuses)}; broken: {findings.broken}", file=sys.stderr)
    return findings, escaped(server, before), time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
