"""Whether all of a PDF is there that its pages need.

A repair counts as one only where nothing of a page is lost. What qpdf reports while it mends a file
without loss is listed here; anything else that it reports means damage.
"""

import re
from collections import Counter
from enum import Enum, auto

from pikepdf import Dictionary, Name, Pdf, Stream

from faxdrop.pdf import wholeness
from faxdrop.pdf.fields import filters_of
from faxdrop.pdf.graph import DamageError, Drawn, drawn_by
from faxdrop.pdf.wholeness import Fault

__all__ = ["Condition", "DamageError", "inspect"]

_MAX_DRAWING = 256 << 20  # bytes of unpacked drawing operators in a whole document
_MAX_PICTURES = 256 << 20  # bytes of pictures that are unpacked; what lies beyond is trusted
_MAX_OBJECTS = 200_000  # that are searched for NULs of their own

_HARMLESS = re.compile(
    r"""file\ is\ damaged$
    | Attempting\ to\ reconstruct\ cross-reference\ table
    | can't\ find\ startxref | xref\ not\ found | xref\ syntax\ invalid | invalid\ xref\ entry
    | whitespace\ seen\ before\ xref | expected\ trailer\ dictionary | expected\ n\ n\ obj
    | xref\ stream\ not\ found | reported\ number\ of\ objects | [Cc]ross-reference\ stream\ data
    | loop\ detected\ following\ xref\ tables | expected\ endobj | expected\ endstream
    | attempting\ to\ recover\ stream\ length | recovered\ stream\ length:
    | stream\ dictionary\ lacks\ /Length | /Length\ key\ in\ stream\ dictionary\ is\ not
    | stream\ keyword\ (?:not\ )?followed\ by | dictionary\ has\ duplicated\ key
    | [Cc]atalog\ /Type | Resources\ is\ missing\ or\ invalid;
    | unable\ to\ find\ /Root | parsed\ version\ number | invalid\ header | \(hint\ stream
    | name\ with\ stray\ \# | appears\ more\ than\ once\ in\ the\ pages\ tree;
    """,
    re.VERBOSE,
)
_BROKEN = (Fault.CORRUPT, Fault.CUT)
_LENGTH_LOST = re.compile(r"recover(?:ed|) stream length")


class Condition(Enum):
    """How a PDF was found, of which nothing is missing."""

    PERFECT = auto()
    UNSURE = auto()  # it has long runs of NULs which are its own, as far as can be told
    MENDED = auto()


def inspect(pdf: Pdf, data: bytes, pages: list[Dictionary]) -> Condition:
    """Reach all that the pages need; raise DamageError where something is missing.

    ``data`` is the file that ``pdf`` was opened from.
    """
    drawn = drawn_by(pages)
    if len(pdf.pages) != len(pages):
        raise DamageError("Pages of the PDF are missing.")
    warnings = pdf.get_warnings()
    if not all(map(_HARMLESS.search, warnings)):
        raise DamageError("Parts of the PDF are missing or damaged.")
    mended = bool(warnings)
    rebuilt = any("reconstruct" in warning for warning in warnings)
    if rebuilt and not all(Name.Contents in page or Name.Annots in page for page in pages):
        raise DamageError("What was on a page of the PDF is missing.")
    if wholeness.is_mixed(data):
        raise DamageError("Two PDFs are mixed up in the file.")
    _check_streams(drawn, mended=mended, guessed=any(map(_LENGTH_LOST.search, warnings)))
    holes = wholeness.nul_runs(data.rstrip(b"\0"))  # the end mark has been found
    if holes - _own_nuls(pdf, drawn, holes):
        raise DamageError("The PDF is not complete: there are holes in it.")
    if mended:
        return Condition.MENDED
    return Condition.UNSURE if holes else Condition.PERFECT


def _check_streams(drawn: Drawn, *, mended: bool, guessed: bool) -> None:
    """Look whether what the pages draw is all there.

    A PDF that needed no repair gets the benefit of the doubt, and what every viewer forgives is
    forgiven. But two who write to one file at once leave a mixture of which only the packed
    pictures tell. In a repaired one everything must be right that can be told to be right, and
    nothing may be left that cannot.
    """
    budget = {True: _MAX_DRAWING, False: _MAX_PICTURES}
    for stream in drawn.streams:
        operators = drawn.is_operators(stream)
        raw = stream.read_raw_bytes()
        filters = filters_of(stream)
        if filters in (["/FlateDecode"], ["/Fl"]):
            size, fault, _ = wholeness.inflate(raw, budget[operators])
            budget[operators] -= min(size, budget[operators])
            if fault is Fault.TOO_LARGE and operators:
                raise DamageError(
                    f"A page of the PDF unpacks to more than {_MAX_DRAWING >> 20} MB.", whole=True
                )
            if (
                fault in _BROKEN
                or (fault is Fault.CHECKSUM and (mended or not operators))
                or (fault is Fault.UNCHECKED and mended)
            ):
                raise DamageError("What is on a page of the PDF is damaged.")
        elif mended and filters[-1:] == ["/DCTDecode"] and not wholeness.is_whole_jpeg(raw):
            raise DamageError("A picture in the PDF is damaged.")
        elif guessed and filters and not raw.isascii():
            # Its end was guessed, and there is no telling whether it is right.
            raise DamageError("A part of the PDF is damaged.")


def _own_nuls(pdf: Pdf, drawn: Drawn, holes: Counter[int]) -> Counter[int]:
    """Return the long runs of NULs that rightly belong to pictures and other data."""
    own: Counter[int] = Counter()
    if not holes or pdf.is_encrypted:
        return own
    budget = _MAX_DRAWING
    for _, each in zip(range(_MAX_OBJECTS), pdf.objects, strict=False):
        if not isinstance(each, Stream) or drawn.is_operators(each):
            continue
        raw = each.read_raw_bytes()
        match filters_of(each):
            case []:
                own += wholeness.nul_runs(raw)
            case ["/FlateDecode"]:
                # Even and uniform data becomes NULs when it is packed.
                size, fault, _ = wholeness.inflate(raw, budget)
                budget -= min(size, budget)
                if fault in (None, Fault.TOO_LARGE):
                    own += wholeness.nul_runs(raw)
            case ["/DCTDecode"]:
                own += wholeness.nul_runs(raw[: wholeness.jpeg_scan_start(raw)])
    return own
