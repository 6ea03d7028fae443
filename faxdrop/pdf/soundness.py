"""Whether all of a PDF is there that its pages need.

A reader (qpdf) that complains of nothing is believed. Where it had to mend something, the PDF is
whole if a second reader (pdfium) finds the same pages, nothing is missing that they refer to, and
all that they draw can be unpacked. What the readers say in words decides nothing.
"""

import io
import re
from enum import Enum, auto

import pikepdf
from pikepdf import Dictionary, Name, Pdf

from faxdrop.pdf import holes, second_reader, streams, wholeness
from faxdrop.pdf.graph import DamageError, Drawn, ObjectId, drawn_by, page_list
from faxdrop.pdf.streams import Context, State

__all__ = ["Condition", "DamageError", "inspect"]

_MAX_DRAWING = 256 << 20  # bytes of unpacked drawing operators in a whole document
_MAX_PICTURES = 256 << 20  # bytes of pictures that are unpacked; what lies beyond is trusted
_MAX_OBJECTS = 200_000  # that are looked for
_MAX_NUMBER = 1 << 22  # of an object; pdfium shows none that has a larger one
_REFERENCE = re.compile(rb"(?<!\d)(\d{1,10})\s{1,8}(\d{1,5})\s{1,8}R")
_NOTHING = re.compile(rb"(?<!\d)(\d{1,10})\s{1,8}(\d{1,5})\s{1,8}obj\s{0,8}null")


class Condition(Enum):
    """How a PDF was found, of which nothing is missing."""

    PERFECT = auto()
    UNSURE = auto()  # it has long runs of NULs which are its own, as far as can be told
    MENDED = auto()


def inspect(pdf: Pdf, data: bytes, pages: list[Dictionary]) -> Condition:
    """Reach all that the pages need; raise DamageError where something is missing.

    ``data`` is the file that ``pdf`` was opened from. Streams in which something small is wrong are
    put right in ``pdf``.
    """
    drawn = drawn_by(pages)
    claimed = pdf.Root.Pages.get_int(Name.Count, -1)
    if len(pdf.pages) != len(pages):
        raise DamageError("Pages of the PDF are missing.")
    if wholeness.has_rest_of_another(data):
        raise DamageError("Two PDFs are mixed up in the file.")
    runs = holes.unsure(pdf, data)
    mended = bool(pdf.get_warnings())
    sane = not mended or _is_sane(data, drawn, len(pages), encrypted=pdf.is_encrypted)
    if not sane and (claimed > len(pages) or _lacks_objects(data, len(pages))):
        raise DamageError("Something that the pages of the PDF need is missing.")
    context = Context(mended=mended, sane=sane, encrypted=pdf.is_encrypted)
    packed_anew = _check_streams(drawn, context)
    if mended:
        _ask_second_reader(pdf, data, len(pages), claimed)
    if (
        mended
        or packed_anew
        or claimed != len(pages)
        or pdf.trailer.get_int(Name.Size, 0) > _MAX_NUMBER
    ):
        return Condition.MENDED
    return Condition.UNSURE if runs else Condition.PERFECT


def _check_streams(drawn: Drawn, context: Context) -> bool:
    """Look whether what the pages draw is all there; return whether any of it was mended."""
    budget = {True: _MAX_DRAWING, False: _MAX_PICTURES}
    mended = False
    for stream in drawn.streams:
        operators = drawn.is_operators(stream)
        state, size = streams.examined(stream, budget[operators], context)
        budget[operators] -= min(size, budget[operators])
        if state is State.LARGE and operators:
            raise DamageError(
                f"A page of the PDF unpacks to more than {_MAX_DRAWING >> 20} MB.", whole=True
            )
        if state is State.DAMAGED:
            raise DamageError("What is on a page of the PDF is damaged.")
        mended = mended or state is State.MENDED
    return mended


def _is_sane(data: bytes, drawn: Drawn, pages: int, *, encrypted: bool) -> bool:
    """Tell whether all that pages use is where the file says, whatever had to be mended.

    Then nothing was cut out or left out: what it does not list, it never had. A stream whose length
    is wrong is not found this way, and is looked at by itself.
    """
    slips = {
        each.objgen
        for each in drawn.streams
        if streams.is_guessed(each, each.read_raw_bytes(), encrypted=encrypted)
    }
    try:
        with _reopened(data, recover=False) as pdf:
            found = drawn_by(page_list(pdf, pages).pages).ids
            unread = sum(each is None for each in pdf.objects)
    except Exception:  # noqa: BLE001 - whatever is wrong, the file is not as it says
        return False
    return drawn.ids - slips <= found and unread <= len(slips) + len(_NOTHING.findall(data))


def _lacks_objects(data: bytes, pages: int) -> bool:
    """Tell whether pages refer to objects that are not in the file.

    To a reader such a reference is none at all. So here, each object that is not there is made one
    before the pages are read.
    """
    with _reopened(data) as pdf:
        there = {each.objgen for each in pdf.objects if each is not None}
    named = {(int(number), int(again)) for number, again in _REFERENCE.findall(data)}
    empty = {(int(number), int(again)) for number, again in _NOTHING.findall(data)}
    highest = min(max((number for number, _ in named | there), default=0), _MAX_OBJECTS)
    # References may also be packed, and so out of sight; only first generations are.
    named |= {(number, 0) for number in range(1, highest + 1)}
    missing: set[ObjectId] = set(sorted(named - there - empty)[:_MAX_OBJECTS])
    with _reopened(data) as pdf:
        for one in missing:
            pdf._replace_object(one, Dictionary())  # noqa: SLF001 - as pikepdf's own documents do
        return not drawn_by(page_list(pdf, pages).pages).ids.isdisjoint(missing)


def _reopened(data: bytes, *, recover: bool = True) -> Pdf:
    return pikepdf.open(
        io.BytesIO(data),
        attempt_recovery=recover,
        suppress_warnings=True,
        inherit_page_attributes=False,
        conversion_mode="explicit",
    )


def _ask_second_reader(pdf: Pdf, data: bytes, pages: int, claimed: int) -> None:
    """Raise DamageError unless another reader finds the same pages in the file."""
    copy = io.BytesIO()
    pdf.save(copy, encryption=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    found = second_reader.sizes(data, pages + 1)
    known = second_reader.sizes(copy.getvalue(), pages + 1)
    # It believes what a file claims to have of pages.
    if (
        not found
        or not known
        or len(known) != pages
        or (len(found) != pages and min(claimed, pages + 1) != len(found))
        or not second_reader.are_alike(found, known)
    ):
        raise DamageError("The PDF is damaged: two readers do not find the same pages in it.")
