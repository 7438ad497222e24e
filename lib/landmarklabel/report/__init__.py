"""A page for each image: the X-ray with what was measured drawn on it, and the measurements in a table.

:mod:`.content` says what is on the page, :mod:`.drawing` what is drawn on the X-ray; :mod:`.html` and :mod:`.pdf` put
both on a page, the same texts and the same lines.
"""

from .content import Report
from .html import to_html
from .pdf import to_pdf, to_png
from .writing import write_report

__all__ = ["Report", "to_html", "to_pdf", "to_png", "write_report"]
