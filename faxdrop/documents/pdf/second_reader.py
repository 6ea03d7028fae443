"""How pdfium, which shares no code with the first reader, reads a PDF.

It is asked if the first reader had to guess, and runs in the same child: a PDF that makes it crash
or hang does no more harm.
"""

import contextlib
from collections.abc import Callable

import pypdfium2
from pypdfium2 import PdfiumError

from faxdrop.documents.pdf.areas import Flattened
from faxdrop.documents.pdf.judge import compared
from faxdrop.documents.pdf.render import Rendered, RenderError

_NEAR = 1.0  # points
_NOTHING = Flattened()  # no difference is on purpose


def sizes(data: bytes, most: int) -> list[tuple[float, float]] | None:
    """Return width and height of each page, at most so many; None if it can read nothing.

    A page that it cannot load has the size (0, 0).
    """
    found = []
    try:
        with pypdfium2.PdfDocument(data) as pdf:
            for number in range(min(len(pdf), most)):
                size = (0.0, 0.0)
                with contextlib.suppress(PdfiumError):
                    size = pdf.get_page_size(number)
                found.append(size)
    except PdfiumError:
        return None
    return found


def are_alike(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    """Return whether the pages have the same sizes, if both readers know them."""
    return all(
        abs(mine - yours) <= _NEAR
        for first, second in zip(one, other, strict=False)
        for mine, yours in zip(first, second, strict=True)
    )


def text(data: bytes, page: int) -> str | None:
    """Return the text of a page; None if it cannot be read."""
    try:
        with pypdfium2.PdfDocument(data) as pdf:
            return str(pdf[page].get_textpage().get_text_bounded())
    except (PdfiumError, IndexError):
        return None


class DisagreementError(Exception):
    """Each of two readings shows something that the other does not."""


def fuller(file: bytes, copy: bytes, is_late: Callable[[], bool]) -> bytes:
    """Return the one that shows more when drawn: a damaged file itself, or its copy.

    If they show the same, returns the file. Raises DisagreementError.
    """
    lacks = {"file": False, "copy": False}
    try:
        with Rendered(file) as one, Rendered(copy) as other:
            if len(one) != len(other):
                return copy
            for number in range(len(other)):
                if is_late():
                    break
                with one.page(number) as page, other.page(number) as copied:
                    lacks["copy"] |= compared(page, copied, _NOTHING).ink
                    lacks["file"] |= compared(copied, page, _NOTHING).ink
    except RenderError:
        return copy
    if all(lacks.values()):
        raise DisagreementError
    return copy if lacks["file"] else file
