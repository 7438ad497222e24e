"""The label store at 50,000 images, and beside MONAI Label's own LocalDatastore at 5,000: what each step takes.

    python benchmarks/store.py
    python benchmarks/store.py --images 5000 --peer 1000 --saves 50

Half of the images have a final label when the folder is first opened, put there by hand. Each contender runs in a
process of its own; ours makes every save durable, MONAI Label's writes without waiting for the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import in_own_process, write
from PIL import Image

from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.resources import resource
from landmarklabel.store.history import History, digest
from landmarklabel.store.versions import Action, Version, now

_PROTOCOL = "spine_68"
_SIZE = (64, 64)


def make_studies(folder: Path, images: int) -> None:
    """Images, the first half of which has final labels."""
    (folder / "labels" / "final").mkdir(parents=True)
    Image.new("L", _SIZE).save(folder / "one.png")
    picture = (folder / "one.png").read_bytes()
    (folder / "one.png").unlink()
    label = label_bytes(0)
    for number in range(images):
        (folder / f"image_{number:05d}.png").write_bytes(picture)
        if number < images // 2:
            (folder / "labels" / "final" / f"image_{number:05d}.mrk.json").write_bytes(label)


def label_bytes(seed: int) -> bytes:
    """A label as Slicer sends one."""
    protocol = load_protocol(_PROTOCOL)
    points = np.random.default_rng(seed).uniform(1, 62, (len(protocol), 2))
    landmarks = LandmarkSet.from_points(protocol, points, Status.CONFIRMED)
    return json.dumps(markups_to_dict(landmarks, Geometry(_SIZE)), indent=1).encode()


def write_histories(folder: Path) -> int:
    """A version in the history for every final label, as so many saves would have left it. Returns how many."""
    labels = sorted((folder / "labels" / "final").iterdir())
    for path in labels:
        name, data = path.name.removesuffix(".mrk.json"), path.read_bytes()
        history = History(folder / ".landmarklabel" / "history" / name)
        if history.numbers():
            continue
        history.folder.mkdir(exist_ok=True)
        version = Version(
            1, Action.SAVED, now(), "reader", suffix=".mrk.json", sha256=digest(data), size=len(data),
            stamp=path.stat().st_mtime_ns, info={"user": "reader", "ts": 0, "name": path.name},
        )  # fmt: skip
        history.path("final", version).write_bytes(data)
        (history.folder / "final.000001.json").write_bytes(version.to_json())
    return len(labels)


def of_ours(folder: Path, saves: int) -> dict[str, Any]:
    """Figures of this project's store."""
    sys.path.insert(0, str(resource("MonaiLabelApp")))
    from datastore import LandmarkDatastore
    from landmarklabel.store import LabelStore

    protocol, before = load_protocol(_PROTOCOL), memory_mb()
    found: dict[str, Any] = {"first_open_s": seconds(lambda: LabelStore(folder).close())}
    found["open_s"] = [seconds(lambda: LabelStore(folder).close()) for _ in range(5)]
    store = LandmarkDatastore(str(folder), protocol, auto_reload=False)
    found["memory_of_an_open_store_mb"] = memory_mb() - before
    images = store.list_images()
    chosen = np.random.default_rng(0).choice(len(images), saves, replace=False)
    data = label_bytes(1)
    found["label_bytes"] = len(data)
    found["save_s"] = [
        seconds(lambda name=images[i]: store.store.save(name, "final", ".mrk.json", data, {"user": "a"}))  # type: ignore[misc]
        for i in chosen
    ]
    file = folder.parent / "sent.mrk.json"
    file.write_bytes(data)
    found["checked_save_s"] = [
        seconds(lambda name=images[i]: store.save_label(name, str(file), "final", {"user": "b"}))  # type: ignore[misc]
        for i in chosen
    ]
    offers = next_images(store)
    for strategy in ("mixed", "random"):
        found[f"next_sample_{strategy}_s"] = [seconds(lambda: offers.next(strategy, "reader")) for _ in range(20)]  # noqa: B023
    found["all_unlabelled_s"] = [seconds(store.store.unlabelled) for _ in range(20)]
    found["status_s"] = [seconds(store.status) for _ in range(20)]
    found["notice_nothing_s"] = [seconds(store.store.notice) for _ in range(20)]
    found["look_through_all_s"] = [seconds(store.store.refresh) for _ in range(3)]
    found["memory_at_the_end_mb"] = memory_mb() - before
    store.store.close()
    found["histories"] = write_histories(folder)
    (folder / ".landmarklabel" / "index.sqlite").write_bytes(b"damaged" * 1000)
    found["open_damaged_s"] = seconds(lambda: LabelStore(folder).close())
    found["index_mb"] = (folder / ".landmarklabel" / "index.sqlite").stat().st_size / 1e6
    return found


def next_images(store: Any) -> Any:
    """What offers the next image on a server without a model, once some images have been looked at."""
    from activelearning.knowledge import ImageKnowledge
    from activelearning.next_image import NextImages
    from landmarklabel.active.leases import Leases, PutOffImages
    from landmarklabel.active.scores import Scores
    from shapes import StudyShape

    index = store.store.index
    knowledge = ImageKnowledge(store, [], Scores(index), StudyShape(store))
    for _ in range(100):
        knowledge.step()
    knowledge.snapshot()
    return NextImages(store, knowledge, Leases(index), PutOffImages(index))


def of_monai_label(folder: Path, saves: int) -> dict[str, Any]:
    """The same of MONAI Label's own store."""
    from monailabel.datastore.local import LocalDatastore
    from monailabel.tasks.activelearning.random import Random

    before = memory_mb()

    def opened() -> Any:
        return LocalDatastore(str(folder), extensions=["*.png", "*.mrk.json"])

    found: dict[str, Any] = {"first_open_s": seconds(opened), "open_s": [seconds(opened) for _ in range(5)]}
    store = opened()
    found["memory_of_an_open_store_mb"] = memory_mb() - before
    images = store.list_images()
    chosen = np.random.default_rng(0).choice(len(images), saves, replace=False)
    file = folder.parent / "sent.mrk.json"
    file.write_bytes(label_bytes(1))
    found["save_s"] = [
        seconds(lambda name=images[i]: store.save_label(name, str(file), "final", {"user": "a"}))  # type: ignore[misc]
        for i in chosen
    ]
    found["next_sample_s"] = [seconds(lambda: next_sample(Random(), store)) for _ in range(20)]
    found["status_s"] = [seconds(store.status) for _ in range(20)]
    found["memory_at_the_end_mb"] = memory_mb() - before
    return found


def next_sample(strategy: Callable[..., Any], store: Any) -> None:
    """What MONAI Label does when it is asked for the next image, but for hashing the image's file."""
    chosen = strategy({"seed": None, "strategy": "random"}, store)["id"]
    store.get_image_info(chosen)
    store.update_image_info(chosen, {"strategy": {"random": {"ts": int(time.time())}}})


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory_mb() -> float:
    """What this process holds now."""
    return float(psutil.Process().memory_info().rss / 2**20)


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Medians and 95th percentiles in place of lists."""
    told: dict[str, Any] = {}
    for key, value in figures.items():
        if isinstance(value, list):
            told[key] = {"median": float(np.median(value)), "p95": float(np.quantile(value, 0.95)), "times": len(value)}
        else:
            told[key] = value
    return told


def disk_s(folder: Path) -> dict[str, float]:
    """What this machine's disk takes to make one new file of a label's size durable: the floor of any durable save."""
    taken = []
    for number in range(100):
        start = time.perf_counter()
        with (folder / f"probe_{number}").open("wb") as file:
            file.write(bytes(30_000))
            file.flush()
            os.fsync(file.fileno())
        taken.append(time.perf_counter() - start)
    return {"median": float(np.median(taken)), "p95": float(np.quantile(taken, 0.95))}


def measured(kind: str, images: int, saves: int, folder: Path) -> dict[str, Any]:
    """Figures of one contender on a fresh folder."""
    studies = folder / f"{kind}_{images}" / "studies"
    make_studies(studies, images)
    try:
        return summary(in_own_process(__file__, "--measure", kind, "--saves", saves, "--folder", studies))
    finally:
        shutil.rmtree(studies.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--peer", type=int, default=5_000, help="images at which MONAI Label's own store is measured")
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--measure", choices=["ours", "monai_label"], help="one contender, in this process")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        run = {"ours": of_ours, "monai_label": of_monai_label}[arguments.measure]
        print(json.dumps(run(arguments.folder, arguments.saves)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as text:
        folder = Path(text)
        result = {
            "disk_new_file_durable_s": disk_s(folder),
            f"ours, {arguments.images} images": measured("ours", arguments.images, arguments.saves, folder),
            f"ours, {arguments.peer} images": measured("ours", arguments.peer, arguments.saves, folder),
            f"MONAI Label, {arguments.peer} images": measured("monai_label", arguments.peer, arguments.saves, folder),
            "load_average": os.getloadavg()[0],
        }
    write("store", "python benchmarks/store.py", result)


if __name__ == "__main__":
    main()
