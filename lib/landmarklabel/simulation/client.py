"""What a reader's program asks of the server, over HTTP; every failure is one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests

from ..errors import RemoteError

#: Who this is, to the server: it gives an image to one reader at a time.
READER = "simulated reader"

_TIMEOUT_S = 120.0


class Client:
    """One server.

    Args:
        address: ``http://HOST:PORT``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, and no password of ~/.netrc, for a server of one's own

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return self._session.get(f"{self._address}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    def info(self) -> dict[str, Any]:
        """What the server says of itself."""
        content: dict[str, Any] = self._json("GET", "/info/")
        return content

    def next_image(self, strategy: str, seed: int) -> str:
        """The image to label next.

        Raises:
            RemoteError: there is none; says what the server says.
        """
        asked = {"client_id": READER, **({"seed": seed} if strategy == "random" else {})}
        answer = self._json("POST", f"/activelearning/{quote(strategy, safe='')}", json=asked)
        if "id" not in answer:
            raise RemoteError(f"the server offers no image ({answer.get('detail', 'and does not say why')})")
        return str(answer["id"])

    def begun(self) -> list[str]:
        """Images that this reader got and has not labelled."""
        leases = self._json("GET", "/activelearning/leases", params={"mine": "true", "client_id": READER})
        return [str(lease["image"]) for lease in leases]

    def image(self, name: str) -> bytes:
        """An image's file, as a viewer loads it."""
        return self._ask("GET", "/datastore/image", params={"image": name}).content

    def landmarks(self, image: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """The network's landmarks; None where there is no network."""
        return self._infer("landmarks", image, params)

    def refine(
        self,
        image: str,
        corrections: Mapping[str, Sequence[float]] | None = None,
        missing: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """All landmarks, given what was placed (LPS mm) and what is not there; None while too little is known."""
        asked = {"corrections": dict(corrections or {}), "missing": list(missing), **(params or {})}
        return self._infer("refine", image, asked)

    def save(self, image: str, markups: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Store the final label; the same again changes nothing."""
        files = {"label": ("label.mrk.json", json.dumps(markups))}
        data = {"params": json.dumps(dict(info))}
        self._ask("PUT", "/datastore/label", params={"image": image, "tag": "final"}, files=files, data=data)

    def train(self, task: str, **settings: Any) -> None:
        """Begin a training."""
        self._ask("POST", f"/train/{quote(task, safe='')}", json=settings)

    def trains(self) -> bool:
        """Whether a training that was asked for waits or runs."""
        response = self._send("GET", "/train/")
        return response.ok and response.json().get("status") in ("SUBMITTED", "RUNNING")

    def runs(self) -> list[dict[str, Any]]:
        """All trainings, the newest first."""
        found: list[dict[str, Any]] = self._json("GET", "/runs/")
        return found

    def _infer(self, task: str, image: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        sent = {"params": json.dumps(dict(params))}
        response = self._send("POST", f"/infer/{task}", params={"image": image, "output": "json"}, data=sent)
        if response.status_code == 409:
            return None
        content: dict[str, Any] = self._checked(response, f"/infer/{task}").json()
        return content

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._ask(method, path, **options).json()

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._checked(self._send(method, path, **options), path)

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, f"{self._address}{path}", timeout=_TIMEOUT_S, **options)
        except requests.RequestException as problem:
            raise RemoteError(f"the server does not answer {method} {path} ({type(problem).__name__})") from None

    @staticmethod
    def _checked(response: requests.Response, path: str) -> requests.Response:
        if not response.ok:
            raise RemoteError(f"the server refused {path} with {response.status_code}: {_detail(response)}")
        return response


def _detail(response: requests.Response) -> str:
    try:
        return str(response.json()["detail"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.text[:300]
