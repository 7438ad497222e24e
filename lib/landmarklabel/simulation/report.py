"""A simulation told: as sentences and tables of Markdown, as JSON and as a picture; and several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import atomic_write, to_json
from .figures import figures
from .journal import Event

#: What was on screen when an image was opened, in words.
SIGHTS = {"nothing": "nothing", "prior": "the shape of labels", "network": "the network's landmarks"}


def write_report(events: Sequence[Event], out: Path) -> str:
    """Write ``report.json``, ``report.md`` and ``report.png`` into the simulation's folder.

    Returns:
        the first sentence.
    """
    from .plots import plot_simulation

    content = figures(events)
    atomic_write(out / "report.json", to_json(content))
    atomic_write(out / "report.md", f"{markdown(content)}\n".encode())
    plot_simulation(content, out / "report.png")
    return headline(content)


def headline(content: Mapping[str, Any]) -> str:
    """The whole in a sentence."""
    habits, unit = content["settings"]["habits"], content["unit"]
    return (
        f"{content['images']} images of {content['protocol']} labelled with {content['clicks']:,} clicks, where "
        f"placing each landmark takes {content['landmarks']:,}: {content['cost']:.1%}. Every landmark is to be within "
        f"{habits['tolerance']:g} {unit}; {content['slipped']['rate']:.2%} are not."
    )


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    return "\n\n".join(
        [
            "# What it cost to label",
            headline(content),
            _sights(content),
            _landmarks(content),
            _errors(content),
            _waits(content),
            _trainings(content),
            _time(content),
        ]
    )


def _sights(content: Mapping[str, Any]) -> str:
    rows = [
        f"| {SIGHTS[name]} | {part['images']} | {part['clicks']:,} | {part['cost']:.1%} |"
        for name, part in content["by_first_sight"].items()
        if part["images"]
    ]
    head = "| on screen at first | images | clicks | of their landmarks |\n| --- | --- | --- | --- |"
    return "\n".join(["## Where the clicks went\n", head, *rows])


def _landmarks(content: Mapping[str, Any]) -> str:
    named = ", ".join(f"{label} {clicks:.2f}" for label, clicks in content["by_landmark"].items())
    return (
        f"In the last quarter of the images {content['cost_of_last_quarter']:.1%} of the landmarks took a click. "
        f"Clicks an image on those that took most: {named or 'none'}. Looks: {content['looks']:,}."
    )


def _errors(content: Mapping[str, Any]) -> str:
    slipped, unit = content["slipped"], content["unit"]
    text = (
        f"Of the saved landmarks {slipped['rate']:.2%} are beyond the tolerance: {slipped['rate_by_hand']:.2%} because "
        f"the hand slipped, {slipped['rate_unseen']:.2%} because nobody looked. They are {slipped['mean_error']:.2f} "
        f"{unit} off on average, all together."
    )
    if content["readers_differ"] is not None:
        text += f" Two readers of these images are that far apart at {content['readers_differ']:.0%} of them."
    return f"## Errors that slipped through\n\n{text}"


def _waits(content: Mapping[str, Any]) -> str:
    named = {
        "next_image": "from save to the next image with its prediction",
        "next_image_while_training": "the same, while a training runs",
        "click": "from a click to the others",
    }
    rows = [_wait(named[key], part) for key, part in content["waits"].items() if part["times"]]
    return "\n".join(
        ["## Waits, in seconds\n", "| | times | p50 | p95 | max |\n| --- | --- | --- | --- | --- |", *rows]
    )


def _wait(name: str, part: Mapping[str, Any]) -> str:
    return f"| {name} | {part['times']} | {part['p50']:.2f} | {part['p95']:.2f} | {part['max']:.2f} |"


def _trainings(content: Mapping[str, Any]) -> str:
    trainings = content["trainings"]
    return (
        f"Trainings: {trainings['number']}, of which {trainings['published']} made a better model, in "
        f"{trainings['seconds'] / 60:.1f} minutes."
    )


def _time(content: Mapping[str, Any]) -> str:
    hours = content["hours"]
    told = (
        f"At this pace the reader works {hours['reader']:.2f} hours, and {hours['by_hand']:.2f} placing every landmark."
        if hours
        else "No pace was simulated."
    )
    return f"{told} The simulation took {content['seconds'] / 60:.1f} minutes."


def comparison(parts: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """Simulations beside each other, as a table of Markdown.

    Args:
        parts: figures by variant.
        titles: of the variants, in words.
    """
    head = (
        "| | clicks | of manual | last quarter | looks a landmark | slipped | of them unseen | save to next, p95 "
        "| click, p95 |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *(_row(titles.get(name, name), part) for name, part in parts.items())])


def _row(title: str, part: Mapping[str, Any]) -> str:
    slipped, waits = part["slipped"], part["waits"]
    seconds = ["" if waits[key]["p95"] is None else f"{waits[key]['p95']:.2f} s" for key in ("next_image", "click")]
    looks = part["looks"] / max(part["landmarks"], 1)
    return (
        f"| {title} | {part['clicks']:,} | {part['cost']:.1%} | {part['cost_of_last_quarter']:.1%} | {looks:.2f} "
        f"| {slipped['rate']:.2%} | {slipped['rate_unseen']:.2%} | {seconds[0]} | {seconds[1]} |"
    )
