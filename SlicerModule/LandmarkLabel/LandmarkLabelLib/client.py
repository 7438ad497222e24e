"""The server's endpoints as functions, over ``requests``. Every request has a time-out; every failure is a sentence.

Kinds of failure (:class:`~LandmarkLabelLib.contract.ServerError`): ``address`` and ``scheme`` (not an address, or
http:// forgotten), ``refused``, ``unreachable``, ``time-out``, ``broken off``, ``unauthorised`` (401), ``forbidden``
(403), ``not found`` (404), ``conflict`` (409), ``invalid`` (400, 413, 415, 422), ``busy`` (429), ``unavailable`` (502
to 504), ``full`` (507), ``failed`` (500), ``not MONAI Label`` (also a 404 of whatever stands before the server),
``another app``, ``nonsense``, ``file``.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from .contract import (
    DRAFT,
    FINAL,
    NOT_MONAI_LABEL,
    Answer,
    Position,
    ServerError,
    ServerInfo,
    WorklistItem,
    nonsense,
    read_answer,
    read_info,
    read_worklist,
)

CONNECT_S = 3.05
_QUICK_S, _INFER_S, _TRANSFER_S = 10.0, 60.0, 120.0
_KINDS = {
    400: "invalid", 401: "unauthorised", 403: "forbidden", 404: "not found", 409: "conflict",
    413: "invalid", 415: "invalid", 422: "invalid", 429: "busy", 502: "unavailable", 503: "unavailable",
    504: "unavailable", 507: "full",
}  # fmt: skip


def checked_address(address: str) -> str:
    """A server's address without blanks and the slash at its end.

    Raises:
        ServerError: it is none, or http:// was forgotten.
    """
    text = address.strip()
    if not text:
        raise ServerError("address", "Which server? Give its address, such as http://127.0.0.1:8000.")
    if "://" not in text:
        raise ServerError("scheme", f"The address lacks http:// in front: did you mean http://{text.rstrip('/')} ?")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ServerError("address", f"'{text}' is not an address of a server; one looks like http://127.0.0.1:8000.")
    return text.rstrip("/")


class _Bearer(requests.auth.AuthBase):
    """The token of each request. As an AuthBase, even without one, it keeps what ~/.netrc holds out of it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """One server. May be used from several threads.

    Args:
        address: http://HOST:PORT
        token: kept in memory only.

    Raises:
        ServerError: the address is none.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.address = checked_address(address)
        self._auth = _Bearer(token.strip())
        self._sessions = threading.local()

    # Server ---------------------------------------------------------------------------------------------------

    def info(self) -> ServerInfo:
        """What the server offers; also the test of a connection."""
        try:
            return read_info(self._json("GET", "/info/", timeout=_QUICK_S))
        except ServerError as problem:
            if problem.kind in ("not found", "nonsense"):
                raise ServerError("not MONAI Label", NOT_MONAI_LABEL, problem.status) from None
            raise

    def train(self, task: str, settings: Mapping[str, Any] | None = None) -> None:
        """Start a training. Not tried twice: it might start twice."""
        self._json("POST", f"/train/{_path(task)}", timeout=_QUICK_S, tries=1, json=dict(settings or {}))

    def stop_training(self) -> None:
        """Stop what trains."""
        self._json("DELETE", "/train/", timeout=_QUICK_S)

    # Worklist -------------------------------------------------------------------------------------------------

    def worklist(self) -> list[WorklistItem]:
        """All images, with the state of each."""
        return read_worklist(self._json("GET", "/datastore/", params={"output": "all"}, timeout=_INFER_S))

    def next_image(self, strategy: str, leave_out: Sequence[str] = (), reader: str = "") -> str | None:
        """The image that the server wants labelled next; None if none is left.

        Args:
            strategy: of the server.
            leave_out: images that are open already. A server that does not know of this may name one all the same.
            reader: who asks.
        """
        asked = {"exclude": list(leave_out), **({"client_id": reader} if reader else {})}
        content = self._json("POST", f"/activelearning/{_path(strategy)}", timeout=_INFER_S, tries=1, json=asked)
        if not isinstance(content, dict):
            raise nonsense("the next image is not as expected")
        return str(content["id"]) if content.get("id") else None

    def leases(self) -> dict[str, str]:
        """Image to who has it on lease; empty at a server that has no leases."""
        found = self._if_there("GET", "/activelearning/leases")
        entries = found if isinstance(found, list) else []
        return {str(each.get("image")): str(each.get("who", "")) for each in entries if isinstance(each, dict)}

    def give_back(self, image: str, reader: str) -> None:
        """Let others have an image that this reader got and will not read."""
        self._if_there("DELETE", f"/activelearning/leases/{_path(image)}", params={"client_id": reader})

    def skip(self, image: str, reader: str) -> None:
        """Ask for this image last; a server that knows nothing of that says so (404 or 405)."""
        self._json(
            "PUT", f"/activelearning/put_off/{_path(image)}", params={"later": "true", "client_id": reader},
            timeout=_QUICK_S,
        )  # fmt: skip

    def runs(self) -> list[dict[str, Any]]:
        """Training runs, the newest first; none at a server that does not list them."""
        found = self._if_there("GET", "/runs/")
        return [each for each in found if isinstance(each, dict) and each.get("id")] if isinstance(found, list) else []

    def publish_run(self, run: str) -> None:
        """Answer with the model of this run from now on."""
        self._json("POST", f"/runs/{_path(run)}/publish", timeout=_INFER_S, tries=1)

    def _if_there(self, method: str, path: str, **options: Any) -> Any:
        """What a newer server has, and an older one not."""
        try:
            return self._json(method, path, timeout=_QUICK_S, **options)
        except ServerError as problem:
            if problem.status in (404, 405, 409):
                return None
            raise

    # Images and labels ----------------------------------------------------------------------------------------

    def download(self, image: str, folder: Path) -> Path:
        """An image's file, in a folder of its own, so that no viewer takes its neighbours for a series.

        Args:
            image: id.
            folder: where; made if need be.
        """
        response = self._ask("GET", "/datastore/image", params={"image": image}, timeout=_TRANSFER_S)
        name = Path(_file_name(response) or image).name
        if not response.content:
            raise nonsense(f"the image {image} is empty")
        target = Path(folder) / "image" / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, response.content)
        except OSError as problem:
            raise ServerError("file", f"The image can't be kept at {target} ({problem.strerror}).") from None
        return target

    def upload(self, path: Path, image: str = "") -> str:
        """Put an image of this machine on the server, under the name of its file or another; its id there."""
        name = image or image_id(path)
        try:
            content = Path(path).read_bytes()
        except OSError as problem:
            raise ServerError("file", f"{path} can't be read ({problem.strerror}).") from None
        answer = self._json(
            "PUT", "/datastore/image", params={"image": name}, files={"file": (Path(path).name, content)},
            timeout=_TRANSFER_S,
        )  # fmt: skip
        return str(answer.get("image", name)) if isinstance(answer, dict) else name

    def label(self, image: str, tag: str) -> Any:
        """The markups JSON of a label."""
        return self._json("GET", "/datastore/label", params={"label": image, "tag": tag}, timeout=_QUICK_S)

    def labels(self, image: str) -> dict[str, dict[str, Any]]:
        """What is known of the draft and the final label of an image, as it is now; of those that there are."""
        found = {}
        for tag in (DRAFT, FINAL):
            try:
                info = self._json("GET", "/datastore/label/info", params={"label": image, "tag": tag}, timeout=_QUICK_S)
            except ServerError as problem:
                if problem.kind != "not found":
                    raise
            else:
                found[tag] = info if isinstance(info, dict) else {}
        return found

    def save(self, image: str, markups: Mapping[str, Any], info: Mapping[str, Any], final: bool) -> None:
        """Store landmarks, as draft or as final; the same again changes nothing."""
        self._json(
            "PUT", "/datastore/label", params={"image": image, "tag": FINAL if final else DRAFT},
            files={"label": ("label.mrk.json", json.dumps(markups))}, data={"params": json.dumps(info)},
            timeout=_INFER_S,
        )  # fmt: skip

    # Inference ------------------------------------------------------------------------------------------------

    def detect(self, image: str, labels: Sequence[str]) -> Answer:
        """All landmarks of an image, as network and shape of labels have them together, or what there is of the two.

        By ``refine``, which answers without a network, too: so nothing jumps at the first correction that this says
        nothing of.
        """
        return self.refine(image, labels, {})

    def refine(
        self, image: str, labels: Sequence[str], corrections: Mapping[str, Position], missing: Sequence[str] = (),
        previous: Mapping[str, Position | None] | None = None, session: str = "",
    ) -> Answer:  # fmt: skip
        """All landmarks of an image, given what a person has placed (LPS mm) and what is not there.

        Args:
            image: id.
            labels: of the protocol.
            corrections: where a person placed landmarks.
            missing: what a person found not to be there.
            previous: where landmarks were before.
            session: the same for all corrections of one reading.
        """
        asked = {"corrections": dict(corrections), "missing": list(missing), "previous": dict(previous or {})}
        return read_answer(self._infer("refine", image, {**asked, **({"session": session} if session else {})}), labels)

    def segmentation(self, image: str, folder: Path) -> Path:
        """The structures of an image as a file ``.seg.nrrd``."""
        response = self._ask(
            "POST", "/infer/segmentation", params={"image": image, "output": "image"}, data={"params": "{}"},
            timeout=_INFER_S,
        )  # fmt: skip
        target = Path(folder) / "structures.seg.nrrd"
        if not response.content.startswith(b"NRRD"):
            raise nonsense("the structures are no .seg.nrrd file")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, response.content)
        return target

    def _infer(self, task: str, image: str, params: Mapping[str, Any]) -> Any:
        return self._json(
            "POST", f"/infer/{task}", params={"image": image, "output": "json"}, data={"params": json.dumps(params)},
            timeout=_INFER_S,
        )  # fmt: skip

    # Requests -------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self._ask(method, path, **options)
        try:
            return json.loads(response.content or b"null")
        except (ValueError, RecursionError):
            raise nonsense("it is not JSON") from None

    def _ask(self, method: str, path: str, timeout: float, tries: int = 2, **options: Any) -> requests.Response:
        """Ask, and once more where the connection broke: what is asked twice here does nothing twice."""
        for left in reversed(range(tries)):
            try:
                response = self._session().request(
                    method, self.address + path, timeout=(CONNECT_S, timeout), allow_redirects=False, **options
                )
                break
            except requests.RequestException as problem:
                error = self._failure(problem)
                if not left or error.kind not in ("broken off", "refused"):
                    raise error from None
        if response.status_code >= 300:
            raise failure_of_status(response)
        return response

    def _session(self) -> requests.Session:
        """Sessions are for one thread each."""
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
            self._sessions.session.auth = self._auth
        session: requests.Session = self._sessions.session
        return session

    def _failure(self, problem: requests.RequestException) -> ServerError:
        """What a failed connection means."""
        text = str(problem)
        if isinstance(problem, requests.Timeout):
            return ServerError("time-out", f"{self.address} does not answer in time; it may be busy or out of reach.")
        if isinstance(problem, requests.exceptions.SSLError):
            return ServerError("unreachable", f"{self.address}: no secure connection; is it http:// and not https:// ?")
        if "refused" in text or "WinError 10061" in text:
            return ServerError(
                "refused", f"Nothing answers at {self.address}. Is the server running, and the port right?"
            )
        if any(sign in text for sign in ("NameResolution", "getaddrinfo", "resolve", "unreachable", "No route")):
            return ServerError(
                "unreachable", f"There is no way to {self.address}. Is the name right, and the network up?"
            )
        if isinstance(problem, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            return ServerError("broken off", f"{self.address} broke off in the middle of its answer.")
        return ServerError(
            "nonsense", f"{self.address} does not speak as a web server does ({type(problem).__name__})."
        )


def failure_of_status(response: requests.Response) -> ServerError:
    """What a status that is no success means."""
    status = response.status_code
    if status < 400:
        where = response.headers.get("Location", "elsewhere")[:120]
        return ServerError(
            "not MONAI Label", f"The address leads on to {where}; give the server's own address.", status
        )
    own = _detail(response)
    if status == 401:
        return ServerError("unauthorised", "The server asks for a token, and this one is missing or not valid.", status)
    if status == 403:
        return ServerError("forbidden", f"Your token does not allow this: {own or 'forbidden.'}", status)
    if status == 404 and not own:
        return ServerError("not MONAI Label", NOT_MONAI_LABEL, status)
    if status in _KINDS:
        return ServerError(_KINDS[status], own or f"The server refused this ({status} {response.reason}).", status)
    return ServerError("failed", own or f"The server failed ({status} {response.reason}).", status)


def _detail(response: requests.Response) -> str:
    """The server's own sentence, if it said one."""
    try:
        detail = json.loads(response.content).get("detail", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    if isinstance(detail, list):  # as FastAPI lists what is wrong with a request
        detail = "; ".join(str(each.get("msg", each)) if isinstance(each, dict) else str(each) for each in detail)
    text = str(detail)[:500].strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _file_name(response: requests.Response) -> str:
    """The file's name in the answer's headers, which write one with a blank or an umlaut in another way."""
    header = Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    return header.get_filename("")


def _path(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def image_id(path: Path) -> str:
    """The id of an image: its file's name without the ending."""
    name = Path(path).name
    for suffix in (".nii.gz", ".seg.nrrd"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(name).stem if Path(name).suffix else name


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it is never there in half, whatever happens meanwhile."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=str(target.parent))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        if temporary.exists():
            temporary.unlink()
        raise
