"""Unwritten blocks: parts of a file that are still to be written, and read as NULs until then.

Position and length tell such a hole from white paper: a hole consists of whole sectors of the file.
A long run of NULs that begins or ends elsewhere may belong to a picture, or be a hole beside NULs;
then the data decide.
"""

from functools import cached_property
from typing import NamedTuple

from pikepdf import Pdf, Stream

from faxdrop.documents.pdf import jpegs, wholeness
from faxdrop.documents.pdf.fields import filters_of
from faxdrop.documents.pdf.graph import DamageError
from faxdrop.documents.pdf.jpegs import Jpeg
from faxdrop.documents.pdf.wholeness import Fault, NulRun
from faxdrop.words import _

_MAX_OBJECTS = 200_000  # that are searched for NULs of their own
_MAX_UNPACKED = 256 << 20  # bytes
_GAP = bytes(512)


class _Data:
    """The data of a stream, as they are in the file; each judged once, however many runs it has."""

    def __init__(self, stream: Stream, raw: bytes) -> None:
        self._raw = raw
        self._filters = filters_of(stream)

    def owns(self, run: NulRun, offset: int) -> bool:
        """Return whether NULs belong to these data; ``offset`` is that of the data in the file."""
        start, stop = run.start - offset, run.stop - offset
        match self._filters:
            case ["/FlateDecode" | "/Fl"]:
                return self._is_checked
            case _ if run.is_of_sectors:
                return False
            case []:
                return True
            case ["/DCTDecode" | "/DCT"] if stop <= jpegs.scan_start(self._raw):
                return True  # padding of its metadata
            case ["/DCTDecode" | "/DCT"]:
                # A hole beside a NUL begins or ends where a sector does.
                return self._is_sound and (
                    not run.touches_sectors or jpegs.is_paper(self._raw, start, stop)
                )
        return False  # no other way of packing ever needs so many

    @cached_property
    def _is_checked(self) -> bool:
        # Even and uniform data become NULs when they are packed. The checksum decides.
        fault = wholeness.inflate(self._raw, _MAX_UNPACKED).fault
        return fault in (None, Fault.TOO_LARGE)

    @cached_property
    def _is_sound(self) -> bool:
        # White paper becomes NULs, too, if the Huffman codes are optimised.
        return jpegs.read(self._raw).jpeg is Jpeg.SOUND


class _Span(NamedTuple):
    """Where the data of a stream lie in the file."""

    start: int
    stop: int
    data: _Data

    def encloses(self, run: NulRun) -> bool:
        return self.start <= run.start and run.stop <= self.stop

    def owns(self, run: NulRun) -> bool:
        return self.data.owns(run, self.start)


def unsure(pdf: Pdf, data: bytes) -> bool:
    """Return whether there are long runs of NULs that belong there, as far as this can be known.

    Raises DamageError if one is a hole. Looks at the file from its header to its last end mark.
    """
    runs = wholeness.nul_runs(data, wholeness.header_offset(data) or 0, data.rfind(b"%%EOF"))
    if not runs:
        return False
    # What is encrypted has no such runs of its own.
    spans = [] if pdf.is_encrypted else _spans(pdf, data)
    for run in runs:
        around = [span for span in spans if span.encloses(run)]
        outside = not around and not run.is_of_sectors and not pdf.is_encrypted
        if not outside and not (around and all(span.owns(run) for span in around)):
            raise DamageError(_("The PDF is not complete: there are gaps in it."))
    return True


def _spans(pdf: Pdf, data: bytes) -> list[_Span]:
    spans = []
    for _number, each in zip(range(_MAX_OBJECTS), pdf.objects, strict=False):
        if not isinstance(each, Stream) or _GAP not in (raw := each.read_raw_bytes()):
            continue
        known = _Data(each, raw)
        at = data.find(raw)
        while at >= 0:
            spans.append(_Span(at, at + len(raw), known))
            at = data.find(raw, at + len(raw))
    return spans
