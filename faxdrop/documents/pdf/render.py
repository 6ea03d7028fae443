"""Draws pages with pdfium, as a viewer shows them: the only place that asks pdfium to draw.

pdfium shares no code with the library that makes the copies (qpdf), so if one of them misreads a
page, the other shows it. Malicious pages can make it hang or crash: it runs only in the checker's
child.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image
from pypdfium2 import raw

from faxdrop.documents.pdf.areas import Area

Grey = NDArray[np.uint8]
"""Rows of pixels, 0 is black."""

_POINTS = 72.0  # per inch
_EMPTY = 2  # bytes of an empty string in UTF-16, with its end
_HIDDEN, _PRINT = 2, 4  # bits of an annotation's /F: ISO 32000-1, table 165
# Symbols that open something on a screen; on paper they would cover the page. Copies lack them.
_NOT_FOR_PAPER = frozenset(
    {
        raw.FPDF_ANNOT_TEXT,
        raw.FPDF_ANNOT_POPUP,
        raw.FPDF_ANNOT_FILEATTACHMENT,
        raw.FPDF_ANNOT_SOUND,
        raw.FPDF_ANNOT_MOVIE,
        raw.FPDF_ANNOT_SCREEN,
        raw.FPDF_ANNOT_RICHMEDIA,
        raw.FPDF_ANNOT_THREED,
    }
)


RenderError = pypdfium2.PdfiumError
"""pdfium cannot open the document, or cannot draw a page of it."""


class Resolution(NamedTuple):
    """Dots per inch across and down, and how many pixels a page may have at most."""

    across: float
    down: float
    most: int


class PageBox(NamedTuple):
    """The part of a page that is shown, in points of the page's own coordinates."""

    left: float
    bottom: float
    right: float
    top: float


class Pixels(NamedTuple):
    """A part of a bitmap: the columns from left to right, the rows from top to bottom."""

    left: int
    top: int
    right: int
    bottom: int


class Rendered:
    """A document that pdfium has opened; a context manager closes it.

    Every method raises RenderError if pdfium fails.
    """

    def __init__(self, data: bytes) -> None:
        self._pdf = pypdfium2.PdfDocument(data)
        self._pdf.init_forms()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pdf.close()

    def __len__(self) -> int:
        return len(self._pdf)

    def page(self, number: int) -> "Page":
        """Return a page, counted from 0; a context manager closes it."""
        return Page(self._pdf, number)


class Page:
    """A page that pdfium has loaded."""

    def __init__(self, pdf: pypdfium2.PdfDocument, number: int) -> None:
        self._form = pdf.formenv
        self._page = pdf[number]
        self._leave_out()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as shown, in units of the page."""
        width, height = self._page.get_size()
        return max(width, 1.0), max(height, 1.0)

    @property
    def box(self) -> PageBox:
        """The part of the page that is shown."""
        return PageBox(*self._page.get_bbox())

    @property
    def rotation(self) -> int:
        """Degrees by which a viewer turns the page clockwise."""
        return int(self._page.get_rotation())

    def pixels(self, resolution: Resolution, unit: float = 1.0) -> tuple[int, int]:
        """Return width and height of the page's bitmap; ``unit``: points in a unit of the page."""
        width, height = (side * unit / _POINTS for side in self.size)
        # A page with more pixels than are allowed is drawn smaller, in proportion.
        across, down = width * resolution.across, height * resolution.down
        shrunk = min(1.0, math.sqrt(resolution.most / max(across * down, 1.0)))
        longest = resolution.most // 16
        return (
            min(max(round(across * shrunk), 1), longest),
            min(max(round(down * shrunk), 1), longest),
        )

    def drawn(self, width: int, height: int) -> Image.Image:
        """Return the page, with annotations and form fields, as an RGB picture of this size."""
        bitmap = pypdfium2.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGRx)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
        place = (bitmap, self._page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
        raw.FPDF_RenderPageBitmap(*place)
        if self._form is not None:
            raw.FPDF_FFLDraw(self._form, *place)
        size = (width, height)
        return Image.frombuffer("RGB", size, bitmap.buffer, "raw", "BGRX", bitmap.stride, 1)

    def place(self, area: Area, width: int, height: int, margin: int) -> Pixels:
        """Return the pixels that an area has in a bitmap of the page."""
        x, y = raw.c_int(), raw.c_int()
        columns, rows = [], []
        for corner in ((area.left, area.bottom), (area.right, area.top)):
            raw.FPDF_PageToDevice(self._page, 0, 0, width, height, 0, *corner, x, y)
            columns.append(min(max(x.value, 0), width))
            rows.append(min(max(y.value, 0), height))
        return Pixels(
            max(min(columns) - margin, 0),
            max(min(rows) - margin, 0),
            min(max(columns) + margin, width),
            min(max(rows) + margin, height),
        )

    def _leave_out(self) -> None:
        """Hide what viewers show but a fax does not, and what only pdfium shows."""
        for at in range(raw.FPDFPage_GetAnnotCount(self._page)):
            annotation = raw.FPDFPage_GetAnnot(self._page, at)
            if not annotation:
                continue
            flags = raw.FPDFAnnot_GetFlags(annotation)
            if self._is_aside(annotation, flags):
                raw.FPDFAnnot_SetFlags(annotation, flags | _HIDDEN)
            raw.FPDFPage_CloseAnnot(annotation)

    def _is_aside(self, annotation: Any, flags: int) -> bool:
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        # pdfium draws marks on layers, whether the layer is on or not.
        if kind in _NOT_FOR_PAPER or raw.FPDFAnnot_HasKey(annotation, b"OC"):
            return True
        if kind != raw.FPDF_ANNOT_WIDGET or self._form is None:
            return False
        match raw.FPDFAnnot_GetFormFieldType(self._form, annotation):
            case raw.FPDF_FORMFIELD_PUSHBUTTON:
                return not flags & _PRINT
            case raw.FPDF_FORMFIELD_CHECKBOX | raw.FPDF_FORMFIELD_RADIOBUTTON:
                # If its state has no look, pdfium draws a grey box for people to click on.
                look = raw.FPDFAnnot_GetAP(
                    annotation, raw.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0
                )
                return look <= _EMPTY or not raw.FPDFAnnot_HasKey(annotation, b"AS")
        return False


def grey(picture: Image.Image) -> Grey:
    """Return a picture's ink as grey: coloured ink counts as darker than it is.

    By brightness alone, yellow would be nearly white, but people see it well.
    """
    return np.asarray(picture.convert("L", (0.30, 0.45, 0.25, 0.5)))
