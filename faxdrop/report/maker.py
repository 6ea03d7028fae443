"""Makes reports away from the daemon, in a process like the reader's.

``python -m faxdrop.report.maker`` serves as ``faxdrop.documents.reader`` does, with the same
confinement. Its input is an order (see ``order``), its output the report.
"""

import contextlib
import io
import os
from typing import BinaryIO

import pikepdf
from PIL import Image

from faxdrop.documents import reader
from faxdrop.documents.pdf import pictures
from faxdrop.documents.pdf.render import Rendered, RenderError, Resolution
from faxdrop.documents.preview import paper
from faxdrop.documents.verdict import Announce, Limits, Verdict, crashed
from faxdrop.report.drawing import draw
from faxdrop.report.order import Order

_POINTS, _MILLIMETRES = 72.0, 25.4  # an inch
_REDUCED = 2  # dots of the fax for one of the picture, across and down
_NICE = 10  # a report can wait: faxes and the readers of documents go first
_MOST_APPENDED = 20  # pages of sipgate's own report


def read(file: BinaryIO, output: BinaryIO | None, _limits: Limits, announce: Announce) -> Verdict:
    """Write the report that the order wants."""
    file.seek(0)
    order = Order.model_validate_json(file.readline())
    receipt, document, appended = (
        file.read(size) for size in (order.receipt, order.document, order.appended)
    )
    announce(crashed("", 0))
    picture = _first_page(document) if document else None
    made, is_appended = _whole(draw(order.content, picture), order.name, receipt, appended)
    if output is not None:
        output.write(made)
    return Verdict(sha256="", bytes=len(made), whole=True, pages=2 if is_appended else 1)


def _first_page(document: bytes) -> Image.Image | None:
    """Return the first page as a fax shows it, reduced; None if it cannot be drawn."""
    try:
        with Rendered(document) as pages, pages.page(0) as page:
            width, height = (side / _POINTS * _MILLIMETRES for side in page.size)
            across, down, most = pictures.FINE
            # Drawn small at once: drawing the whole fax and reducing it takes four times as long.
            shrunk = paper(width, height).scale / _REDUCED
            size = page.pixels(Resolution(across * shrunk, down * shrunk, most))
            drawn = pictures.bilevel(pictures.shades(page.drawn(*size)))
            return drawn.convert("L")  # reportlab would turn a picture of two colours into RGB
    except (RenderError, ValueError, MemoryError):
        return None


def _whole(page: bytes, name: str, receipt: bytes, appended: bytes) -> tuple[bytes, bool]:
    """Put the receipt into the report, and sipgate's own report behind it where it can be read."""
    file = io.BytesIO()
    with pikepdf.Pdf.open(io.BytesIO(page)) as report:
        is_appended = bool(appended) and _append(report, appended)
        attached = pikepdf.AttachedFileSpec(
            report, receipt, filename=name, mime_type="application/json"
        )
        report.attachments[name] = attached
        report.save(file, deterministic_id=True)
    return file.getvalue(), is_appended


def _append(report: pikepdf.Pdf, appended: bytes) -> bool:
    try:
        with pikepdf.Pdf.open(io.BytesIO(appended)) as theirs:
            if not 0 < len(theirs.pages) <= _MOST_APPENDED:
                return False
            report.pages.extend(theirs.pages)
    except (pikepdf.PdfError, pikepdf.PasswordError, ValueError, TypeError):
        return False
    return True


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # a unit's filter of system calls may forbid it
        os.nice(_NICE)
    reader.run(read)
