"""Makes the copy that is faxed instead of a document that cannot be faxed as it is.

What a viewer shows is what is faxed: the copy is judged, and a page that lacks something becomes a
picture of itself.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pikepdf
from pikepdf import Name, Pdf
from pikepdf.sanitize import Sanitizer

from faxdrop.documents.pdf import forms, judge, pictures
from faxdrop.documents.pdf.areas import Flattened
from faxdrop.documents.pdf.judge import Judgement, Loss
from faxdrop.documents.pdf.render import Page, Rendered, RenderError
from faxdrop.documents.pdf.saving import saved
from faxdrop.documents.verdict import Limits

_MARGIN = 4  # pixels around what the copy alone shows
_LARGEST_UNIT = 200.0  # points: a page of 14,400 units is then 1 km long


class TooLargeError(Exception):
    """The copy has more bytes than can be faxed."""

    def __init__(self, size: int, allowed: int, pages: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size
        self.allowed = allowed
        self.pages = pages


class UntidyError(Exception):
    """The copy itself has faults."""


class LossError(Exception):
    """A page shows something that its copy lacks, and no picture of the page can be made."""


@dataclass(frozen=True)
class Copy:
    """A copy, and where it differs from its original on purpose."""

    data: bytes
    original: bytes | None  # to be compared with the copy in place of the original, if need be
    flattened: Flattened
    units: tuple[float, ...]  # for each page, the points in one of its units


def copied(pdf: Pdf, limits: Limits) -> Copy:
    """Return the copy: decrypted and repaired, without form, scripts and attachments.

    Raises TooLargeError, UntidyError, and UndrawableError if a field cannot be shown.
    """
    pages = len(pdf.pages)
    original = _with_its_own_looks(pdf)
    flattened = forms.flatten(pdf)
    Sanitizer().remove_javascript().remove_attachments().apply(pdf)
    data = _to_fax(pdf, limits)
    with pikepdf.open(io.BytesIO(data), inherit_page_attributes=False) as again:
        tidy = not again.is_encrypted and Name.AcroForm not in again.Root
        if not tidy or len(again.pages) != pages or again.get_warnings():
            raise UntidyError
        return Copy(data, original, flattened, tuple(_unit(page) for page in again.pages))


def _with_its_own_looks(pdf: Pdf) -> bytes | None:
    """Return a PDF whose own looks pdfium shows for its fields; None if it does so anyway.

    If a form asks for new looks, pdfium replaces all of them with its own, even those that
    flattening uses as they are.
    """
    form = forms.acroform(pdf)
    if form is None or form.get_bool(Name.NeedAppearances) is not True:
        return None
    form[Name.NeedAppearances] = False
    data = saved(pdf)
    form[Name.NeedAppearances] = True
    return data


def judged(original: bytes, copy: Copy, is_late: Callable[[], bool]) -> Judgement:
    """Compare a copy with its original; see ``judge``."""
    return judge.judge(copy.original or original, copy.data, copy.flattened, copy.units, is_late)


def rasterized(
    original: bytes,
    copy: Copy,
    lost: Mapping[int, Loss],
    limits: Limits,
    is_late: Callable[[], bool],
) -> bytes:
    """Return the copy with pictures instead of the pages that lack something.

    A picture shows what the original shows, and also what only the copy shows. Raises LossError if
    the pictures cannot be made in time, and TooLargeError.
    """
    try:
        with (
            pikepdf.open(io.BytesIO(copy.data)) as pdf,
            Rendered(copy.original or original) as one,
            Rendered(copy.data) as other,
        ):
            for number, loss in lost.items():
                if is_late():
                    raise LossError
                with one.page(number) as page, other.page(number) as flat:
                    size = page.pixels(pictures.FINE, copy.units[number])
                    ours = copy.flattened.of_page(number)
                    boxes = [
                        page.place(area, *size, _MARGIN)
                        for area in (*ours.replaced, *ours.drawn)
                        if area not in loss.undrawn
                    ]
                    shown = pictures.united(page.drawn(*size), flat.drawn(*size), loss, boxes)
                    _show(pdf, number, page, shown)
            return _to_fax(pdf, limits)
    except (RenderError, MemoryError, pikepdf.PdfError):
        raise LossError from None


def pictured(original: bytes, pages: int, limits: Limits, is_late: Callable[[], bool]) -> bytes:
    """Return a PDF with pictures of all pages, for a document that cannot be copied.

    Raises LossError if pdfium cannot draw all of them in time, and TooLargeError.
    """
    try:
        with Pdf.new() as pdf, Rendered(original) as rendered:
            if len(rendered) != pages:
                raise LossError
            for number in range(pages):
                if is_late():
                    raise LossError
                pdf.add_blank_page()
                with rendered.page(number) as page:
                    _show(pdf, number, page, page.drawn(*page.pixels(pictures.FINE)))
            return _to_fax(pdf, limits)
    except (RenderError, MemoryError, pikepdf.PdfError):
        raise LossError from None


def _show(pdf: Pdf, number: int, page: Page, shown: pictures.Picture) -> None:
    picture = pictures.bilevel(pictures.shades(shown))
    pictures.show_instead(pdf, pdf.pages[number].obj, picture, page.box, page.rotation)


def _to_fax(pdf: Pdf, limits: Limits) -> bytes:
    data = saved(pdf, to_fax=True)
    if len(data) > limits.max_bytes:
        raise TooLargeError(len(data), limits.max_bytes, len(pdf.pages))
    return data


def _unit(page: pikepdf.Page) -> float:
    try:
        unit = float(page.obj.get(Name.UserUnit, 1))
    except (TypeError, ValueError):
        return 1.0
    return unit if 0 < unit <= _LARGEST_UNIT else 1.0
