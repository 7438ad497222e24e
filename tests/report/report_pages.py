"""Reports of the sample images, with error bars as of a model, and what a page of HTML says."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser

import numpy as np

from landmarklabel.io.images import read_radiograph
from landmarklabel.io.layouts.common import images_in
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import read_markups
from landmarklabel.measurements.measure import measure
from landmarklabel.measurements.uncertainty import JointErrors
from landmarklabel.protocol import load_protocol
from landmarklabel.report import Report
from landmarklabel.resources import resource

PROTOCOLS = ("cephalometric_19", "spine_68", "chest_166")
_VOID = {"meta", "image", "polyline"}


@cache
def sample_report(name: str, spacing_known: bool = True) -> Report:
    """Of the first sample image of a protocol: predicted, but for the first landmark, which a person placed."""
    protocol, folder = load_protocol(name), resource("sample_data") / name
    image, path = next(iter(images_in(folder).items()))
    radiograph = read_radiograph(path)
    points = read_markups(folder / "labels" / "final" / f"{image}.mrk.json", protocol, radiograph.geometry).points
    landmarks = LandmarkSet.from_points(protocol, points, provenance={"model": "farnet", "version": "0123456789ab"})
    landmarks = landmarks.with_point(protocol.labels[0], points[0], Status.CORRECTED)
    own = np.broadcast_to(4.0 * np.eye(2), (len(protocol), 2, 2)).copy()
    own[0] = 0.25 * np.eye(2)
    placed = np.arange(len(protocol)) == 0
    joint = JointErrors(np.zeros((len(protocol), 2, 1)), own, placed, 0.5)
    spacing = radiograph.spacing if spacing_known else None
    return Report(image, radiograph, landmarks, measure(protocol, points, spacing, joint))


class Page(HTMLParser):
    """A page as a browser takes it apart; what is not closed, or not opened, is an error.

    Attributes:
        tags: of all elements, with their attributes.
        text: all of it but style.
        rows: of each measurement the texts of its cells.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert tag in _VOID, tag

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if self._open and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
