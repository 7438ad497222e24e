"""The figures of a simulation: counted here by hand on a log of three images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from landmarklabel.simulation.figures import figures
from landmarklabel.simulation.plots import plot_comparison, plot_simulation
from landmarklabel.simulation.report import comparison, headline, markdown
from landmarklabel.simulation.settings import TITLES, VARIANTS, Habits, Settings


def act(kind: str, landmark: str, wait: float | None = None) -> dict[str, Any]:
    return {"event": kind, "landmark": landmark, **({} if wait is None else {"wait_s": wait})}


def done(source: str, clicks: int, looks: int, wait: float, **more: Any) -> dict[str, Any]:
    counted = {"beyond_by_hand": 0, "beyond_unseen": 0, "mean_error": 1.0, "training": False}
    return {
        "event": "done", "unit": "mm", "source": source, "version": more.pop("version", ""), "landmarks": 4,
        "clicks": clicks, "looks": looks, "wait_s": wait, **counted, **more,
    }  # fmt: skip


RUN = {"state": "done", "published": True, "started": "2026-11-21 10:00:00", "ended": "2026-11-21 10:01:30"}
SETTINGS = Settings(habits=Habits(tolerance=2, look_s=1, click_s=10))
EVENTS = [
    {"event": "begun", "data": {"name": "d"}, "protocol": "p", "settings": SETTINGS.model_dump(mode="json")},
    {"event": "session", "labels": 0},
    *[act("click", label, 0.0) for label in "ABCD"],
    done("nothing", 4, 0, 9.0, seconds=40.25),
    act("look", "A"), act("click", "A", 0.5), act("look", "B"), act("missing", "B", 0.25),
    done("prior", 2, 2, 1.0, training=True, beyond_by_hand=1, mean_error=2.0, seconds=20.5),
    {"event": "session", "labels": 2},
    act("look", "A"),
    done("network", 0, 1, 3.0, beyond_unseen=2, version="v", seconds=30.25),
    {"event": "ended", "runs": [{**RUN, "metrics": {"val_mre": 1.5}, "data": {"training_images": 2}}]},
]  # fmt: skip


def test_counted_by_hand() -> None:
    found = figures(EVENTS)
    assert (found["images"], found["landmarks"], found["clicks"], found["looks"]) == (3, 12, 6, 3)
    assert (found["cost"], found["cost_of_last_quarter"]) == (0.5, 0.0)
    assert found["by_first_sight"] == {
        "nothing": {"images": 1, "clicks": 4, "cost": 1.0},
        "prior": {"images": 1, "clicks": 2, "cost": 0.5},
        "network": {"images": 1, "clicks": 0, "cost": 0.0},
    }
    assert found["by_landmark"] == {"A": 0.667, "B": 0.667, "C": 0.333, "D": 0.333}
    assert found["slipped"]["rate"] == 0.25
    assert found["slipped"]["rate_by_hand"] == pytest.approx(1 / 12, abs=1e-5)
    assert found["slipped"]["rate_unseen"] == pytest.approx(2 / 12, abs=1e-5)
    assert found["slipped"]["mean_error"] == pytest.approx(4 / 3, abs=1e-4)


def test_who_opens_the_first_image_waits_for_no_label_to_be_saved() -> None:
    waits = figures(EVENTS)["waits"]
    assert waits["next_image"] == {"times": 2, "p50": 2.0, "p95": 2.9, "max": 3.0}
    assert waits["next_image_while_training"]["times"] == 1
    assert waits["click"] == {"times": 2, "p50": 0.375, "p95": 0.4875, "max": 0.5}


def test_hours_are_looks_clicks_and_waits() -> None:
    hours = figures(EVENTS)["hours"]
    assert hours["reader"] == pytest.approx((6 * 10 + 3 * 1 + 13.75) / 3600, abs=1e-3)
    assert hours["by_hand"] == pytest.approx(12 * 10 / 3600, abs=1e-3)
    still = [{**EVENTS[0], "settings": Settings(habits=Habits(tolerance=2)).model_dump(mode="json")}, *EVENTS[1:]]
    assert figures(still)["hours"] is None


def test_trainings_and_sessions_add_up() -> None:
    found = figures(EVENTS)
    assert found["seconds"] == 91
    assert found["trainings"] == {
        "number": 1, "published": 1, "failed": 0, "seconds": 90.0,
        "each": [{"images": 2, "validation_mre": 1.5, "published": True, "seconds": 90.0}],
    }  # fmt: skip
    assert found["models_by_image"] == [0, 0, 1]


def test_a_replay_trains_nothing() -> None:
    kept = {
        "id": "landmarks",
        "state": "kept",
        "published": None,
        "started": "",
        "ended": "",
        "metrics": {},
        "data": {},
    }
    found = figures([*EVENTS[:-1], {"event": "ended", "runs": [kept, kept]}])["trainings"]
    assert found == {"number": 0, "published": 0, "failed": 0, "seconds": 0, "each": []}


def test_no_image_is_named() -> None:
    named = [{**event, "image": "anna"} for event in EVENTS]
    assert "anna" not in str(figures(named))


def test_the_report_says_clicks_and_errors_in_one_breath() -> None:
    found = figures(EVENTS)
    assert headline(found).startswith(
        "3 images of p labelled with 6 clicks, where placing each landmark takes 12: 50.0%."
    )
    assert "within 2 mm; 25.00% are not" in headline(found)
    page = markdown(found)
    assert "| the shape of labels | 1 | 2 | 50.0% |" in page
    assert "16.67% because nobody looked" in page
    table = comparison({"product": found, "prior-only": found}, TITLES)
    assert "| the product | 6 | 50.0% | 0.0% | 0.25 | 25.00% | 16.67% | 2.90 s | 0.49 s |" in table


def test_pictures(tmp_path: Path) -> None:
    found = figures(EVENTS)
    plot_simulation(found, tmp_path / "one.png", "spines")
    plot_comparison({"product": found, "by-hand": found}, TITLES, tmp_path / "two.png", "Spines")
    for name in ("one.png", "two.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 1000
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 20


def test_every_variant_has_its_words() -> None:
    assert TITLES.keys() == VARIANTS.keys()
