"""Draws all pages of a PDF as a fax machine prints them, for a person to look at.

``python -m faxdrop.documents.pdf.facsimile`` replaces the `reader`: instead of a copy, it makes two
pictures of each page, fine and standard.
"""

import io
from typing import BinaryIO

from faxdrop.documents import reader
from faxdrop.documents.pdf import pictures
from faxdrop.documents.pdf.render import Page, Rendered, RenderError, Resolution
from faxdrop.documents.preview import Sheet, paper
from faxdrop.documents.verdict import Announce, Limits, Verdict, crashed

_MILLIMETRES = 25.4  # an inch
_POINTS = 72.0  # an inch
_SHOWN_AT = (204, 196)  # dots an inch


def read(file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce) -> Verdict:
    """Write a line of JSON (a ``Sheet``) and two PNGs for each page."""
    file.seek(0)
    data = file.read()
    cannot = crashed("", len(data))
    announce(cannot)
    try:
        with Rendered(data) as pages:
            for number in range(min(len(pages), limits.max_pages)):
                with pages.page(number) as page:
                    sheet = _sheet(page)
                if output is not None:
                    output.writelines(sheet)
            return Verdict(sha256="", bytes=len(data), whole=True, pages=len(pages))
    except RenderError:
        return cannot


def _sheet(page: Page) -> list[bytes]:
    width, height = (side / _POINTS * _MILLIMETRES for side in page.size)
    shrunk = paper(width, height).scale
    fine = _drawn(page, pictures.FINE, shrunk)
    standard = _drawn(page, pictures.STANDARD, shrunk)
    # Each line is as high as two: so it is seen in proportion.
    standard = standard.resize((standard.width, 2 * standard.height))
    black = fine.histogram()[0] / (fine.width * fine.height)
    images = _png(fine), _png(standard)
    sheet = Sheet(
        width=width, height=height, black=black, fine=len(images[0]), standard=len(images[1])
    )
    return [sheet.model_dump_json().encode() + b"\n", *images]


def _drawn(page: Page, resolution: Resolution, scale: float) -> pictures.Picture:
    across, down, most = resolution
    size = page.pixels(Resolution(across * scale, down * scale, most))
    return pictures.bilevel(pictures.shades(page.drawn(*size)))


def _png(picture: pictures.Picture) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", dpi=_SHOWN_AT)
    return file.getvalue()


if __name__ == "__main__":
    reader.run(read)
