"""Templates of a study's labels follow every label that is saved or deleted."""

import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from label_files import save_final

import tiny
from landmarklabel.errors import RemoteError
from landmarklabel.interaction.templates import Templates
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import LandmarkDatastore
from shapes import StudyShape
from templates import StudyTemplates


@pytest.fixture
def store(tmp_path: Path, triangle: Protocol) -> LandmarkDatastore:
    return LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 8, 3)), triangle, auto_reload=False)


def looked_at(store: LandmarkDatastore) -> StudyTemplates:
    """As of a server that has been running for a while."""
    found = StudyTemplates(store, StudyShape(store))
    while found.step():
        pass
    return found


def learned(found: StudyTemplates) -> Templates:
    templates = found._up_to_date()
    assert templates is not None
    return templates


def same(one: StudyTemplates, other: StudyTemplates) -> bool:
    first, second = learned(one), learned(other)
    return torch.equal(first.rows, second.rows) and torch.equal(first.offsets, second.offsets)


def test_labels_are_looked_at_one_by_one_and_learned_from_at_once(store: LandmarkDatastore) -> None:
    found = StudyTemplates(store, StudyShape(store))
    assert found.labels() == 0
    assert found.say(store.require_image("image_007"), None).evidence is None
    counts = []
    while found.step():
        counts.append(found.labels())
    assert counts == [0, 0, 3]
    evidence = found.say(store.require_image("image_007"), None).evidence
    assert evidence is not None
    best = evidence.places[torch.arange(3), evidence.weights.argmax(dim=1)].numpy()
    np.testing.assert_allclose(best[1], tiny.triangle_image(7)[1][1], atol=2)  # the others look alike so near by


def test_an_image_that_was_shown_is_learned_from_as_soon_as_it_is_labelled(
    store: LandmarkDatastore, tmp_path: Path
) -> None:
    found = looked_at(store)
    found.say(store.require_image("image_005"), None)
    save_final(store, tmp_path, "image_005", 5)
    assert found.labels() == 4
    assert not found.step()
    assert same(found, looked_at(store))


def test_it_follows_each_change(store: LandmarkDatastore, tmp_path: Path) -> None:
    found = looked_at(store)
    before = learned(found).rows
    save_final(store, tmp_path, "image_002", 60)
    assert found.labels() == 3 and not torch.equal(learned(found).rows, before)
    assert same(found, looked_at(store))
    store.remove_label("image_002", "final")
    assert found.labels() == 2 and same(found, looked_at(store))
    store.remove_image("image_001")
    assert found.labels() == 0
    save_final(store, tmp_path, "image_003", 3)
    assert found.step() and found.labels() == 2 and same(found, looked_at(store))


def test_what_is_said_is_kept_until_something_changes(store: LandmarkDatastore, tmp_path: Path) -> None:
    found, image = looked_at(store), store.require_image("image_006")
    first = found.say(image, None).evidence
    assert first is not None and found.say(image, None).evidence is first
    with_network = found.say(image, first).evidence
    assert with_network is not first and found.say(image, first).evidence is with_network
    save_final(store, tmp_path, "image_000", 60)
    assert found.say(image, first, begun=True).evidence is with_network  # nothing moves under the hand of who is at it
    assert found.say(image, first).evidence is not with_network
    assert found.say(image, None, begun=True).network is None  # but another model is asked at once


def test_an_image_that_can_not_be_read_is_left_out(store: LandmarkDatastore) -> None:
    store.require_image("image_001").write_bytes(b"no image")
    assert looked_at(store).labels() == 2


def test_an_image_that_can_not_be_fetched_keeps_no_other_back(
    store: LandmarkDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = store.require_image

    def refuse_one(name: str) -> Path:
        if name == "image_000":
            raise RemoteError("the archive does not give it")
        return give(name)

    found = StudyTemplates(store, StudyShape(store))
    assert found.labels() == 0
    with monkeypatch.context() as away:
        away.setattr(store, "require_image", refuse_one)
        for _ in range(4):
            with suppress(RemoteError):
                found.step()
        assert found.labels() == 2
        templates = learned(found)
        for _ in range(3):
            with pytest.raises(RemoteError):
                found.step()
        assert learned(found) is templates  # nothing moves for nothing
    assert found.step() and found.labels() == 3


def test_who_comes_back_to_an_image_has_what_was_learned_meanwhile(
    store: LandmarkDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, image = StudyTemplates(store, StudyShape(store)), store.require_image("image_006")
    assert found.say(image, None, begun=True).labels == 0
    while found.step():
        pass
    assert found.say(image, None, begun=True).labels == 3
    save_final(store, tmp_path, "image_004", 4)
    assert found.step()
    assert found.say(image, None, begun=True).labels == 3
    monkeypatch.setattr("templates._AT_IT_S", 0.0)
    assert found.say(image, None, begun=True).labels == 4


def test_of_many_labels_always_the_same_count(store: LandmarkDatastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmarklabel.interaction.templates.MOST_LABELS", 2)
    found = looked_at(store)
    assert found.labels() == 2
    assert same(found, looked_at(store))


def test_two_ask_while_labels_change(store: LandmarkDatastore, tmp_path: Path) -> None:
    found, failures, over = looked_at(store), list[BaseException](), threading.Event()

    def guarded(work) -> threading.Thread:  # type: ignore[no-untyped-def]
        def run() -> None:
            try:
                work()
            except BaseException as problem:
                failures.append(problem)

        return threading.Thread(target=run)

    def look() -> None:
        while not over.is_set():
            assert found.say(store.require_image("image_007"), None).evidence is not None

    def change() -> None:
        for seed in range(10):
            save_final(store, tmp_path, "image_004", seed)

    threads = [guarded(look), guarded(look), guarded(found.step)]
    writer = guarded(change)
    for thread in [*threads, writer]:
        thread.start()
    writer.join()
    over.set()
    for thread in threads:
        thread.join()
    while found.step():
        pass
    assert failures == []
    assert found.labels() == 4 and same(found, looked_at(store))
