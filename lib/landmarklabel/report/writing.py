"""A report's files, each there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from ..files import atomic_write
from .content import Report
from .html import to_html
from .pdf import to_pdf


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write ``ID.report.html`` and ``ID.report.pdf`` into a folder that is there.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    page, paper = (folder / f"{report.name}.report.{suffix}" for suffix in ("html", "pdf"))
    atomic_write(page, to_html(report).encode())
    atomic_write(paper, to_pdf(report))
    return page, paper
