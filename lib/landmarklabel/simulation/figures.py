"""What a simulation came to: clicks, errors that slipped through, waits, trainings. Numbers alone, no image's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from .journal import Event

#: Which landmarks took the clicks: the first so many are listed.
LISTED = 10

# What was on screen when an image was opened.
_SOURCES = ("nothing", "prior", "network")


def figures(events: Sequence[Event]) -> dict[str, Any]:
    """Every figure of a simulation, for JSON.

    ``cost`` is clicks by landmarks: placing each by hand is 1. A click is a placement, a drag, or the word that a
    landmark is not there; looks are no clicks.
    """
    begun, images = events[0], [event for event in events if event["event"] == "done"]
    clicks = [event["clicks"] for event in images]
    landmarks = [event["landmarks"] for event in images]
    habits = begun["settings"]["habits"]
    return {
        "data": begun["data"],
        "protocol": begun["protocol"],
        "settings": begun["settings"],
        "readers_differ": begun.get("readers_differ"),
        "unit": "mm" if all(event["unit"] == "mm" for event in images) else "px",
        "images": len(images),
        "landmarks": sum(landmarks),
        "clicks": sum(clicks),
        "cost": round(sum(clicks) / max(sum(landmarks), 1), 4),
        "cost_of_last_quarter": _last_quarter(clicks, landmarks),
        "looks": sum(event["looks"] for event in images),
        "by_first_sight": {source: _share(images, source) for source in _SOURCES},
        "by_landmark": _by_landmark(events, len(images)),
        "slipped": _slipped(images),
        "waits": _waits(events, images),
        "hours": _hours(images, events, habits),
        "trainings": _trainings(events),
        "seconds": round(sum(event.get("seconds", 0.0) for event in events), 1),
        "clicks_by_image": clicks,
        "landmarks_by_image": landmarks,
        "sight_by_image": [_SOURCES.index(event["source"]) for event in images],
        "models_by_image": _models(images),
    }


def _last_quarter(clicks: Sequence[int], landmarks: Sequence[int]) -> float:
    """The cost of the images that came last: what the next ones may be expected to take."""
    first = len(clicks) - max(1, len(clicks) // 4)
    return round(sum(clicks[first:]) / max(sum(landmarks[first:]), 1), 4)


def _share(images: Sequence[Event], source: str) -> dict[str, Any]:
    """Images that began with this on screen."""
    chosen = [event for event in images if event["source"] == source]
    clicks, landmarks = (sum(event[key] for event in chosen) for key in ("clicks", "landmarks"))
    return {"images": len(chosen), "clicks": clicks, "cost": round(clicks / landmarks, 4) if landmarks else None}


def _by_landmark(events: Sequence[Event], images: int) -> dict[str, float]:
    """Clicks an image on the landmarks that took most of them."""
    counted = Counter(event["landmark"] for event in events if event["event"] in ("click", "missing"))
    return {label: round(clicks / images, 3) for label, clicks in counted.most_common(LISTED)}


def _slipped(images: Sequence[Event]) -> dict[str, Any]:
    """Saved landmarks beyond the tolerance, in all and by why: the hand's own slips, or that nobody looked."""
    landmarks = max(sum(event["landmarks"] for event in images), 1)
    counts = {key: sum(event[f"beyond_{key}"] for event in images) for key in ("by_hand", "unseen")}
    errors = [event["mean_error"] for event in images if event["mean_error"] is not None]
    return {
        "rate": round(sum(counts.values()) / landmarks, 5),
        **{f"rate_{key}": round(count / landmarks, 5) for key, count in counts.items()},
        "mean_error": round(float(np.mean(errors)), 4) if errors else None,
    }


def _waits(events: Sequence[Event], images: Sequence[Event]) -> dict[str, Any]:
    """Seconds from saving a label to the next image with its prediction, and from a click to the update."""
    opened = images[1:]
    clicked = [event["wait_s"] for event in events if event["event"] in ("click", "missing") and event["wait_s"] > 0]
    return {
        "next_image": _quantiles([event["wait_s"] for event in opened]),
        "next_image_while_training": _quantiles([event["wait_s"] for event in opened if event["training"]]),
        "click": _quantiles(clicked),
    }


def _quantiles(seconds: Sequence[float]) -> dict[str, Any]:
    if not seconds:
        return {"times": 0, "p50": None, "p95": None, "max": None}
    p50, p95 = np.percentile(seconds, (50, 95))
    return {"times": len(seconds), "p50": round(p50, 4), "p95": round(p95, 4), "max": round(max(seconds), 4)}


def _hours(images: Sequence[Event], events: Sequence[Event], habits: dict[str, Any]) -> dict[str, float] | None:
    """Hours of the reader at this pace, waits among them; and of one who places everything. None without a pace."""
    if not habits["click_s"]:
        return None
    waits = sum(event.get("wait_s", 0.0) for event in events)
    clicks, looks, landmarks = (sum(event[key] for event in images) for key in ("clicks", "looks", "landmarks"))
    spent = clicks * habits["click_s"] + looks * habits["look_s"] + waits
    return {"reader": round(spent / 3600, 3), "by_hand": round(landmarks * habits["click_s"] / 3600, 3)}


def _trainings(events: Sequence[Event]) -> dict[str, Any]:
    ended = [event for event in events if event["event"] == "ended"][-1:]
    runs = [run for event in ended for run in event["runs"] if run["state"] != "kept"]  # a replay's models are of none
    seconds = [_seconds(run) for run in runs]
    return {
        "number": len(runs),
        "published": sum(bool(run.get("published")) for run in runs),
        "failed": sum(run["state"] == "failed" for run in runs),
        "seconds": round(sum(seconds), 1),
        "each": [
            {
                "images": (run.get("data") or {}).get("training_images"),
                "validation_mre": (run.get("metrics") or {}).get("val_mre"),
                "published": bool(run.get("published")),
                "seconds": taken,
            }
            for run, taken in zip(runs, seconds, strict=True)
        ],
    }


def _seconds(run: dict[str, Any]) -> float:
    try:
        started, ended = (datetime.strptime(run[key], "%Y-%m-%d %H:%M:%S") for key in ("started", "ended"))
    except (KeyError, TypeError, ValueError):
        return 0.0
    return (ended - started).total_seconds()


def _models(images: Sequence[Event]) -> list[int]:
    """Which model made each first prediction: 0 none, 1 the first that was published, and so on."""
    versions = list(dict.fromkeys(event["version"] for event in images if event["version"]))
    return [versions.index(event["version"]) + 1 if event["version"] else 0 for event in images]
