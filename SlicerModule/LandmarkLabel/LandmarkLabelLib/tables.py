"""The panel's tables: worklist, landmarks, measurements. Cells change where something has changed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from .colours import LOOKS
from .contract import Measurement, WorklistItem
from .qtways import connect, value
from .state import Point

# Asked for once: bindings of Qt take their time to find an enumeration's member, and there are hundreds of cells.
_SHOWN, _SIGN = qt.Qt.DisplayRole, qt.Qt.DecorationRole
_KEY, _COLOUR = qt.Qt.UserRole, qt.Qt.UserRole + 1


class Table:
    """Rows with a key each, in a sortable QTableWidget.

    Args:
        widget: a QTableWidget.
        titles: of the columns.
        widths: of the columns but the last, in pixels.
        picked: called with the key of a row that the reader picks.
    """

    def __init__(
        self,
        widget: Any,
        titles: Sequence[str],
        widths: Sequence[int],
        picked: Callable[[str], None] | None = None,
    ) -> None:
        self.widget, self._picked, self._setting = widget, picked, False
        self._rows: dict[str, list[Any]] = {}
        widget.setColumnCount(len(titles))
        widget.setHorizontalHeaderLabels(list(titles))
        widget.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        widget.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        widget.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        widget.verticalHeader().hide()
        widget.verticalHeader().setDefaultSectionSize(22)
        widget.setWordWrap(False)
        widget.horizontalHeader().setStretchLastSection(True)
        for column, width in enumerate(widths):
            widget.setColumnWidth(column, width)
        widget.setSortingEnabled(True)
        widget.horizontalHeader().setSortIndicator(-1, qt.Qt.AscendingOrder)
        connect(widget, "itemSelectionChanged()", self._on_selection)

    def show(self, rows: Sequence[tuple[str, Sequence[Any], str, tuple[float, float, float] | None]]) -> None:
        """These rows: key, cells, tooltip and a colour for the second cell, or none."""
        self._setting = True
        self.widget.setSortingEnabled(False)
        if [row[0] for row in rows] != list(self._rows):
            self._make([row[0] for row in rows], value(self.widget, "columnCount"))
        for key, cells, tip, colour in rows:
            for column, (item, content) in enumerate(zip(self._rows[key], cells)):
                _fill(item, content, tip, colour if column == 1 else None)
        self.widget.setSortingEnabled(True)
        self._setting = False

    def _make(self, keys: Sequence[str], columns: int) -> None:
        self.widget.setRowCount(0)
        self.widget.setRowCount(len(keys))
        self._rows = {}
        for row, key in enumerate(keys):
            self._rows[key] = [qt.QTableWidgetItem() for _ in range(columns)]
            for column, item in enumerate(self._rows[key]):
                item.setData(_KEY, key)
                self.widget.setItem(row, column, item)

    def select(self, key: str | None) -> None:
        """Mark a row, as if the reader had, without a word to the listener."""
        if key is not None and key == self.selected:
            return
        self._setting = True
        if key in self._rows:
            self.widget.setCurrentItem(self._rows[key][0])
            self.widget.scrollToItem(self._rows[key][0])
        else:
            self.widget.clearSelection()
        self._setting = False

    @property
    def selected(self) -> str | None:
        """The key of the marked row."""
        items = self.widget.selectedItems()
        return str(items[0].data(_KEY)) if items else None

    def _on_selection(self) -> None:
        if not self._setting and self._picked is not None and self.selected is not None:
            self._picked(self.selected)


def _fill(item: Any, content: Any, tip: str, colour: tuple[float, float, float] | None) -> None:
    if item.data(_SHOWN) != content:
        item.setData(_SHOWN, content)
    if item.toolTip() != tip:
        item.setToolTip(tip)
    if colour is not None and item.data(_COLOUR) != str(colour):
        item.setData(_COLOUR, str(colour))
        item.setData(_SIGN, qt.QColor(*(round(255 * part) for part in colour)))


def landmark_row(point: Point, state: str, name: str) -> tuple[str, list[Any], str, Any]:
    """A landmark: label, state, confidence in percent, mm moved."""
    look = LOOKS[state]
    confidence = "" if point.confidence is None else round(100 * point.confidence)
    moved = "" if point.moved is None else round(point.moved, 1)
    state = f"{look.sign} {look.title}{', sure' * point.sure}"
    return point.label, [point.label, state, confidence, moved], name, look.colour


def worklist_row(item: WorklistItem) -> tuple[str, list[Any], str, Any]:
    """An image: id and status."""
    status = f"{item.status}, {item.reader}" if item.reader and item.status == "leased" else item.status
    return item.image, [item.image, status], item.file, None


def measurement_row(measure: Measurement) -> tuple[str, list[Any], str, Any]:
    """A measure: name, value with its unit; one that can't be trusted says so."""
    shown = "" if measure.value is None else f"{measure.value:.1f} {measure.unit}"
    doubt = "" if measure.reliable else " (not reliable)"
    return measure.name, [measure.name, shown + doubt], ", ".join(measure.labels), None
