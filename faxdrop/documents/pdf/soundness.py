"""Whether everything is there that the pages of a PDF need.

If the reader (qpdf) complains about nothing, it is believed. If it had to repair something, the PDF
is whole if a second reader (pdfium) finds the same pages, nothing that they refer to is missing,
and all that they draw can be unpacked. The wording of the readers' warnings decides nothing.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from pikepdf import Dictionary, Name, Pdf

from faxdrop.documents.pdf import holes, rebuilding, second_reader, streams, wholeness
from faxdrop.documents.pdf.graph import (
    DamageError,
    ObjectId,
    PageList,
    UsedStreams,
    drawn_by,
    page_list,
)
from faxdrop.documents.pdf.saving import saved
from faxdrop.documents.pdf.streams import Context, DataState
from faxdrop.words import _

__all__ = ["Condition", "DamageError", "Inspection", "Source", "inspect"]

_MAX_DRAWING = 256 << 20  # bytes of unpacked drawing operators in a whole document
_MAX_PICTURES = 256 << 20  # bytes of pictures that are unpacked; what lies beyond is trusted
_MAX_OBJECTS = 200_000  # that are looked for
_REFERENCE = re.compile(rb"(?<!\d)(\d{1,10})\s{1,8}(\d{1,5})\s{1,8}R")
_NOTHING = re.compile(rb"(?<!\d)(\d{1,10})\s{1,8}(\d{1,5})\s{1,8}obj\s{0,8}null")


class Condition(Enum):
    """The condition of a PDF of which nothing is missing."""

    PERFECT = auto()
    UNSURE = auto()  # it has long runs of NULs which are its own, as far as can be told
    MENDED = auto()


class Source(NamedTuple):
    """Where a PDF comes from."""

    file: bytes
    readable: bytes  # from which it could be opened; mostly the file itself


class Inspection(NamedTuple):
    """The result of an inspection."""

    condition: Condition
    shown: bytes  # a PDF that shows all that there is to be seen: the file, or one mended


def inspect(pdf: Pdf, source: Source, listed: PageList, is_late: Callable[[], bool]) -> Inspection:
    """Read all that the pages need; raise DamageError if something is missing.

    ``pdf`` was opened from ``source``. Small faults in it are put right if possible.
    """
    pages = listed.pages
    drawn = drawn_by(pages)
    claimed = pdf.Root.Pages.get_int(Name.Count, -1)
    if len(pdf.pages) != len(pages):
        raise DamageError(_("Pages of the PDF are missing."))
    if wholeness.has_rest_of_another(source.file):
        raise DamageError(_("Two PDFs are mixed up in the file."))
    runs = holes.unsure(pdf, source.file)
    mended = listed.mended or bool(pdf.get_warnings())
    sane, unread = True, 0
    if mended:
        if wholeness.ends_in_an_attachment(source.file):
            raise DamageError(_("The PDF is not complete: its end is missing."))
        sane, unread = _compared(source.readable, drawn, len(pages), encrypted=pdf.is_encrypted)
    if (mended and drawn.is_hollow) or (
        (not sane or unread) and _lacks_objects(source.readable, len(pages))
    ):
        raise DamageError(_("Something that the pages of the PDF need is missing."))
    context = Context(mended=mended, sane=sane, encrypted=pdf.is_encrypted)
    packed_anew = _check_streams(drawn, context)
    if mended:
        shown = _shown(pdf, source.file, len(pages), claimed, is_late)
        return Inspection(Condition.MENDED, shown)
    if claimed != len(pages):
        # The second reader believes that number; of a copy it shows all pages.
        return Inspection(Condition.MENDED, _saved(pdf))
    if packed_anew:
        return Inspection(Condition.MENDED, source.file)
    return Inspection(Condition.UNSURE if runs else Condition.PERFECT, source.file)


def _check_streams(drawn: UsedStreams, context: Context) -> bool:
    """Check that everything the pages draw is there; return whether any of it was repaired."""
    budget = {True: _MAX_DRAWING, False: _MAX_PICTURES}
    mended = False
    for stream in drawn.streams:
        operators = drawn.is_operators(stream)
        state, size = streams.examined(stream, budget[operators], context)
        budget[operators] -= min(size, budget[operators])
        if state is DataState.LARGE and operators:
            raise DamageError(
                _("A page of the PDF unpacks to more than {most} MB.").format(
                    most=_MAX_DRAWING >> 20
                ),
                whole=True,
            )
        if state is DataState.DAMAGED:
            raise DamageError(_("The content of a page of the PDF is damaged."))
        mended = mended or state is DataState.MENDED
    return mended


def _compared(data: bytes, drawn: UsedStreams, pages: int, *, encrypted: bool) -> tuple[bool, int]:
    """Compare a PDF with what is found in it without repairs.

    The first result is whether all that pages use is where the file says; then nothing was cut out
    before or after it. The second is how many of the objects that the file lists cannot be read. A
    stream with a wrong length is not found without repairs, and is looked at separately.
    """
    slips = {
        each.objgen
        for each in drawn.streams
        if streams.is_guessed(each, each.read_raw_bytes(), encrypted=encrypted)
    }
    try:
        with rebuilding.opened(data, recover=False) as pdf:
            found = drawn_by(page_list(pdf, pages).pages).ids
            unread = sum(each is None for each in pdf.objects)
    except Exception:  # noqa: BLE001 - whatever is wrong, the file is not as it says
        return False, 0
    return drawn.ids - slips <= found, max(0, unread - len(slips) - len(_NOTHING.findall(data)))


def _lacks_objects(data: bytes, pages: int) -> bool:
    """Return whether pages refer to objects that are not in the file.

    A reader takes such a reference for null. So each missing object is created here before the
    pages are read.
    """
    with rebuilding.opened(data) as pdf:
        there = {each.objgen for each in pdf.objects if each is not None}
    named = {(int(number), int(again)) for number, again in _REFERENCE.findall(data)}
    empty = {(int(number), int(again)) for number, again in _NOTHING.findall(data)}
    highest = min(max((number for number, _ in named | there), default=0), _MAX_OBJECTS)
    # References may also be packed, and so out of sight; only first generations are.
    packed = ((number, 0) for number in range(1, highest + 1))
    missing: set[ObjectId] = {*named, *packed} - there - empty
    with rebuilding.opened(data) as pdf:
        for one in missing:
            pdf._replace_object(one, Dictionary())  # noqa: SLF001 - as pikepdf's own documents do
        return not drawn_by(page_list(pdf, pages).pages).ids.isdisjoint(missing)


def _shown(pdf: Pdf, file: bytes, pages: int, claimed: int, is_late: Callable[[], bool]) -> bytes:
    """Return the one that shows all of a PDF that had to be repaired: the file, or a copy.

    Raises DamageError if the other reader does not find the same pages in the file, or if each
    reader misses something that the other shows.
    """
    copy = _saved(pdf)
    most = pages + 1
    # It does not search for the catalog if the trailer is lost, and not always in object streams.
    hint = b"\ntrailer\n<< /Root %d %d R >>\nstartxref\n0\n%%%%EOF\n" % pdf.Root.objgen
    readings = (file, file + hint, rebuilding.laid_open(file) + hint)
    file = next((each for each in readings if second_reader.sizes(each, most)), file)
    found = second_reader.sizes(file, most)
    known = second_reader.sizes(copy, most)
    # It believes the number of pages that a file claims.
    if (
        not found
        or not known
        or len(known) != pages
        or (len(found) != pages and min(claimed, most) != len(found))
        or not second_reader.are_alike(found, known)
    ):
        raise DamageError(_("The PDF is damaged: two programs find different pages in it."))
    try:
        return second_reader.fuller(file, copy, is_late)
    except second_reader.DisagreementError:
        raise DamageError(_("The PDF is damaged: two programs show it differently.")) from None


def _saved(pdf: Pdf) -> bytes:
    if Name.Size not in pdf.trailer:
        pdf.trailer.Size = len(pdf.objects) + 1  # it would be missing in every copy
    return saved(pdf)
