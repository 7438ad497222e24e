"""Leases: one image, one person, whatever happens at once; they end, are renewed, and survive a restart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import sampled_from

from landmarklabel.active.leases import LEASE_S, Leases, PutOffImages
from landmarklabel.store.index import Index


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path, "store")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_image_is_kept_for_who_took_it_until_the_lease_ends(index: Index, clock: Clock) -> None:
    leases = Leases(index, now=clock)
    assert leases.take("a", "anna")
    assert not leases.take("a", "bert")
    assert leases.take("a", "anna")
    clock.now += LEASE_S - 1
    assert not leases.take("a", "bert")
    clock.now += 1
    assert leases.held() == {}
    assert leases.take("a", "bert")
    assert leases.held()["a"].who == "bert"


def test_work_that_goes_on_keeps_it(index: Index, clock: Clock) -> None:
    leases = Leases(index, now=clock)
    leases.take("a", "anna")
    for _ in range(5):
        clock.now += LEASE_S - 1
        leases.renew("a")
    assert not leases.take("a", "bert")
    leases.renew("b")
    assert list(leases.held()) == ["a"], "what nobody has is not kept by a save"


def test_only_its_owner_gives_it_back(index: Index, clock: Clock) -> None:
    leases = Leases(index, now=clock)
    leases.take("a", "anna")
    assert not leases.release("a", "bert")
    assert leases.release("a", "anna")
    assert leases.take("a", "bert")
    assert leases.release("a")
    assert not leases.release("a")


def test_nobody_is_not_the_same_as_nobody(index: Index, clock: Clock) -> None:
    """Two clients without a name are two people."""
    leases = Leases(index, now=clock)
    assert leases.take("a", "")
    assert not leases.take("a", "")


def test_a_clock_that_was_set_back_keeps_no_image_for_a_year(index: Index, clock: Clock) -> None:
    leases = Leases(index, now=clock)
    leases.take("a", "anna")
    clock.now -= 365 * 86400
    assert leases.held() == {}
    assert leases.take("a", "bert")


def test_of_many_at_once_one_gets_it(tmp_path: Path, index: Index) -> None:
    """Threads of two servers, each with a connection of its own to the database."""
    servers = [Leases(index), Leases(Index(tmp_path, "store"))]

    def ask(number: int) -> list[bool]:
        return [servers[number % 2].take(f"image {image}", f"person {number}") for image in range(20)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert [sum(got) for got in zip(*answers, strict=True)] == [1] * 20


def test_leases_outlive_the_server(tmp_path: Path, index: Index) -> None:
    assert Leases(index).take("a", "anna")
    index.close()
    assert not Leases(Index(tmp_path, "store")).take("a", "bert")


def test_images_are_put_off_and_offered_again(index: Index, clock: Clock) -> None:
    images = PutOffImages(index, now=clock)
    images.put_off("a", for_good=True, who="anna", reason="a knee")
    clock.now += 1
    images.put_off("b", for_good=False)
    clock.now += 1
    images.put_off("a", for_good=False, reason="x" * 2000)
    assert [(each.image, each.for_good) for each in images.all().values()] == [("b", False), ("a", False)]
    assert len(images.all()["a"].reason) == 1000
    images.put_off("c", for_good=True, who="anna")
    assert not images.offer_again("c", "bert")
    assert images.offer_again("c", "anna")
    assert images.offer_again("a")
    assert not images.offer_again("a")
    assert list(images.all()) == ["b"]


class LeasesAreExclusive(RuleBasedStateMachine):
    """Beside a dictionary: whoever may not have an image does not get it."""

    def __init__(self) -> None:
        super().__init__()
        from tempfile import mkdtemp

        self.clock = Clock()
        self.index = Index(Path(mkdtemp()), "store")
        self.leases = Leases(self.index, seconds=100, now=self.clock)
        self.model: dict[str, tuple[str, float]] = {}

    def holder(self, image: str) -> str | None:
        who, until = self.model.get(image, ("", 0.0))
        return who if until > self.clock.now else None

    @rule(image=sampled_from("ab"), who=sampled_from(["anna", "bert"]))
    def take(self, image: str, who: str) -> None:
        may = self.holder(image) in (None, who)
        assert self.leases.take(image, who) == may
        if may:
            self.model[image] = who, self.clock.now + 100

    @rule(image=sampled_from("ab"))
    def renew(self, image: str) -> None:
        self.leases.renew(image)
        if image in self.model:
            self.model[image] = self.model[image][0], self.clock.now + 100

    @rule(image=sampled_from("ab"), who=sampled_from(["anna", "bert"]))
    def release(self, image: str, who: str) -> None:
        self.leases.release(image, who)
        if self.model.get(image, ("", 0))[0] == who:
            del self.model[image]

    @rule(seconds=sampled_from([1, 60, 100]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    def teardown(self) -> None:
        held = {image: lease.who for image, lease in self.leases.held().items()}
        assert held == {image: who for image in self.model if (who := self.holder(image)) is not None}
        self.index.close()


LeasesAreExclusive.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestLeasesAreExclusive = LeasesAreExclusive.TestCase
