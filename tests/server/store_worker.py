"""A process that works on a label store until it is killed, or its work is done: what the fault tests start."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from pathlib import Path

from landmarklabel.store import LabelStore

IMAGES = 12


def content(generator: random.Random) -> bytes:
    """Bytes that say whether they are whole: half of them begins with the digest of something else."""
    body = generator.randbytes(generator.randrange(2_000, 60_000)).hex().encode()
    return hashlib.sha256(body).hexdigest().encode() + body


def is_whole(data: bytes) -> bool:
    return hashlib.sha256(data[64:]).hexdigest().encode() == data[:64]


def write(store: LabelStore, generator: random.Random, notes: Path, saves: int) -> None:
    """Save labels; each that the store has acknowledged is noted: image, version, digest."""
    with notes.open("w") as file:
        for number in range(saves):
            name, data = f"image_{generator.randrange(IMAGES):02d}", content(generator)
            if number % 5 == 4:
                store.save(name, "draft", ".mrk.json", data, {"user": notes.stem})
                continue
            version = store.save(name, "final", ".mrk.json", data, {"user": notes.stem, "clicks": number})
            file.write(json.dumps([name, version.number, hashlib.sha256(data).hexdigest()]) + "\n")
            file.flush()


def read(store: LabelStore, generator: random.Random, notes: Path, saves: int) -> None:
    """As training does: all final labels again and again, each whole."""
    while True:
        for name in store.labelled():
            if not is_whole(store.label_file(name, "final").read_bytes()):
                notes.write_text(f"the label of {name} was not whole")
                return


def score(store: LabelStore, generator: random.Random, notes: Path, saves: int) -> None:
    """As scoring does: something is noted of one image after the other, and of its label."""
    while True:
        name = f"image_{generator.randrange(IMAGES):02d}"
        store.note_image(name, {"score": generator.random()})
        if "final" in store.labels(name):
            store.note_label(name, "final", {"score": generator.random()})
        store.notice()
        time.sleep(0.01)


if __name__ == "__main__":
    role, folder, url, seed, notes, saves = sys.argv[1:]
    work = {"write": write, "read": read, "score": score}[role]
    work(LabelStore(folder, url), random.Random(int(seed)), Path(notes), int(saves))
