"""What the other side will see of a document: its pages as pictures in a folder.

The copy that would be faxed is made as the daemon makes it, by the same reader with the same
limits. Then it is drawn at the resolutions of fax machines, again in a separate process.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits, Verdict
from faxdrop.fax.job import Record
from faxdrop.words import _

READER = "faxdrop.documents.pdf.facsimile"
_SECONDS_A_PAGE = 10.0
_BYTES_A_PAGE = 2_000_000  # of both pictures; a dithered photograph has a quarter of that

_A4 = (210.0, 297.0)  # millimetres
_FITS = (217.0, 299.0)  # a line of a fax is 215 mm long; programs round
_MOSTLY_BLACK = 0.5  # of a page: a scan of nothing, or white on black


class Sheet(Record):
    """A page as it is faxed, and the sizes of the two PNGs that follow it."""

    width: float  # millimetres
    height: float
    black: float  # how much of it, 1 is all
    fine: int  # bytes
    standard: int


class Paper(NamedTuple):
    """How a page comes out on A4, which is what fax machines have."""

    scale: float  # 1: as it is
    words: str  # what happens to it; "" if nothing


class UndrawnError(Exception):
    """The document can be faxed, but its pages cannot be drawn here."""


@dataclass(frozen=True)
class Preview:
    """The verdict on a document, and what there is to say about its pages."""

    verdict: Verdict
    sheets: tuple[Sheet, ...] = ()


def make(document: BinaryIO, folder: Callable[[], Path], limits: Limits) -> Preview:
    """Write ``page-1-fine.png``, ``page-1-standard.png`` ... into a folder.

    ``folder`` is called for that alone: not if the document is refused. Raises OSError,
    FileExistsError rather than overwrite anything, and UndrawnError.
    """
    with tempfile.TemporaryFile() as copy:
        with Checker(limits) as reader:
            verdict = reader.prepare(document.fileno(), copy.fileno())
        if verdict.facts is None:
            return Preview(verdict)
        faxed = copy if verdict.facts.changes else document
        pages = verdict.facts.pages or 1
        roomy = replace(
            limits,
            max_bytes=limits.max_bytes + pages * _BYTES_A_PAGE,
            seconds=limits.seconds + pages * _SECONDS_A_PAGE,
        )
        with tempfile.TemporaryFile() as sheets, Checker(roomy, reader=READER) as drawer:
            drawn = drawer.prepare(faxed.fileno(), sheets.fileno())
            if drawn.reason is not None or drawn.pages != pages:
                raise UndrawnError
            sheets.seek(0)
            return Preview(verdict, tuple(_unpacked(sheets, folder())))


def _unpacked(sheets: BinaryIO, folder: Path) -> Iterator[Sheet]:
    number = 0
    while line := sheets.readline():
        number += 1
        sheet = Sheet.model_validate_json(line)
        for kind, size in (("fine", sheet.fine), ("standard", sheet.standard)):
            # Exclusively: nobody's file is overwritten.
            with (folder / f"page-{number}-{kind}.png").open("xb") as file:
                file.write(sheets.read(size))
        yield sheet


def paper(width: float, height: float) -> Paper:
    """Return how a page of this size in millimetres is printed."""
    size = f"{width:.0f} x {height:.0f} mm"
    if width <= _FITS[0] and height <= _FITS[1]:
        return Paper(1.0, "")
    scale = min(_A4[0] / width, _A4[1] / height, 1.0)
    percent = f"{scale:.0%}".replace("%", " %")
    if width <= _FITS[1] and height <= _FITS[0]:
        words = _("landscape ({size}): shrunk to {percent}, or turned")
    elif width <= _FITS[0]:
        words = _("longer than A4 ({size}): shrunk to {percent}, or cut in two")
    else:
        words = _("larger than A4 ({size}): shrunk to {percent}")
    return Paper(scale, words.format(size=size, percent=percent))


def remarks(sheet: Sheet) -> str:
    """Return what a person should know of a page before it is faxed; "" if nothing."""
    words = [paper(sheet.width, sheet.height).words]
    if sheet.black == 0:
        words.append(_("blank"))
    elif sheet.black > _MOSTLY_BLACK:
        words.append(_("mostly black"))
    return "; ".join(filter(None, words))
