"""Readers that click and look, each as a client of its own: what they wait for is measured from outside."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import requests

from gateways.servers import Running


def while_it_computes(server: Running, ask: Callable[[requests.Session], None]) -> list[float]:
    """Seconds of each of as many requests as fit, one after the other, into one inference of three seconds."""
    slow = threading.Thread(target=lambda: requests.post(f"{server.address}/infer/slow?image={_images(server)[0]}"))
    taken = []
    with requests.Session() as session:
        ask(session)
        slow.start()
        time.sleep(0.5)  # until it computes
        while slow.is_alive():
            start = time.perf_counter()
            ask(session)
            taken.append(time.perf_counter() - start)
            time.sleep(0.02)
    slow.join()
    return taken[:-1] or taken  # the last may have begun when it was over


def ask_info(server: Running) -> Callable[[requests.Session], None]:
    """A client that asks what there is."""

    def ask(session: requests.Session) -> None:
        session.get(f"{server.address}/info/", timeout=60).raise_for_status()

    return ask


def ask_click(server: Running) -> Callable[[requests.Session], None]:
    """A reader who corrects one landmark."""
    image = _images(server)[0]
    label, (x, y, z) = _corner(server, image)
    clicks = iter(range(1_000_000))

    def ask(session: requests.Session) -> None:
        corrections = {label: [x + 0.1 * (next(clicks) % 50), y, z]}
        params = {"params": json.dumps({"corrections": corrections, "session": "a reader"})}
        url = f"{server.address}/infer/refine?image={image}&output=json"
        session.post(url, data=params, timeout=60).raise_for_status()

    return ask


def all_at_once(server: Running, readers: int, clicks: int) -> dict[str, Any]:
    """So many readers, each on an image of theirs, click so often; all begin at the same moment, nobody pauses."""
    images = _images(server)
    corners = {image: _corner(server, image) for image in images}
    together, memory = threading.Barrier(readers), [server.memory_mb()]
    statuses: Counter[str] = Counter()

    def read(number: int) -> list[float]:
        image, taken = images[number % len(images)], []
        label, (x, y, z) = corners[image]
        url = f"{server.address}/infer/refine?image={image}&output=json"
        with requests.Session() as session:
            together.wait()
            for click in range(clicks):
                corrections = {label: [x + 0.1 * (click + number), y, z]}
                params = {"params": json.dumps({"corrections": corrections, "session": f"reader {number}"})}
                start = time.perf_counter()
                try:
                    status = str(session.post(url, data=params, timeout=120).status_code)
                except requests.RequestException as problem:
                    status = type(problem).__name__
                taken.append(time.perf_counter() - start)
                statuses[status] += 1
                memory.append(server.memory_mb() if number == 0 else memory[0])
        return taken

    start = time.perf_counter()
    with ThreadPoolExecutor(readers) as pool:
        taken = list(pool.map(read, range(readers)))
    means = [float(np.mean(each)) for each in taken]
    return {
        "readers": readers,
        "clicks of each": clicks,
        "statuses": dict(statuses),
        "clicks per second": round(readers * clicks / (time.perf_counter() - start), 1),
        **summary([each for one in taken for each in one]),
        "mean of the slowest reader over that of the fastest": round(max(means) / min(means), 2),
        "memory before, MB": round(memory[0]),
        "memory at most, MB": round(max(memory)),
    }


def summary(seconds: list[float]) -> dict[str, Any]:
    """Quantiles, in milliseconds."""
    p50, p99, most = (1000 * np.quantile(seconds, [0.5, 0.99, 1.0])).tolist()
    return {"requests": len(seconds), "p50, ms": round(p50, 1), "p99, ms": round(p99, 1), "most, ms": round(most, 1)}


def _images(server: Running) -> list[str]:
    return sorted(requests.get(f"{server.address}/datastore/?output=all", timeout=60).json()["objects"])


def _corner(server: Running, image: str) -> tuple[str, list[float]]:
    """The first landmark of an image, where the model has it; the image is then known to the server."""
    answer = requests.post(f"{server.address}/infer/landmarks?image={image}&output=json", timeout=120).json()
    landmark = answer["landmarks"][0]
    return landmark["label"], landmark["position"]
