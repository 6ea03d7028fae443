"""Whether the data of a stream are complete.

Packed data mostly show it themselves: by a checksum, an end mark, a decoder that complains, the
number of bytes that a picture needs. If they do not, the condition of the file decides.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from pikepdf import Array, Dictionary, Name, Object, Pdf, PdfError, Stream

from faxdrop.documents.pdf import group4, jpegs, jpx, runlength, wholeness
from faxdrop.documents.pdf.fields import filters_of
from faxdrop.documents.pdf.group4 import Group4
from faxdrop.documents.pdf.jpegs import Jpeg
from faxdrop.documents.pdf.wholeness import Fault

_FLATE = (["/FlateDecode"], ["/Fl"])
_JPEG = (["/DCTDecode"], ["/DCT"])
_TEXT = (["/ASCII85Decode"], ["/A85"], ["/ASCIIHexDecode"], ["/AHx"])
_COLOURS = {
    "/DeviceGray": 1, "/G": 1, "/CalGray": 1, "/Indexed": 1, "/I": 1, "/Separation": 1,
    "/DeviceRGB": 3, "/RGB": 3, "/CalRGB": 3, "/Lab": 3, "/DeviceCMYK": 4, "/CMYK": 4,
}  # fmt: skip
_MARKS = {
    "/JPXDecode": b"\xff\xd9",
    "/ASCII85Decode": b"~>",
    "/A85": b"~>",
    "/ASCIIHexDecode": b">",
    "/AHx": b">",
}
"""What packed data end with."""
_PNG = 10  # the first of the predictors that put a byte before each row
_MATCHES = 8  # Huffman codes alone pack bytes to an eighth at best
_LAST = 16  # bytes that are searched for an end of CCITT data
_LINE_END = 4  # bytes by which a stated length may differ where line ends were counted or not
_SLIP = 64  # bytes by which a stated length may differ
_VECTOR = 32  # bytes that encryption adds, padding included
_FAX_COLUMNS = 1728  # if a picture does not say how many it has
_MAX_FAX = 12 << 20  # bytes; A3 with 600 dots per inch has nine million
_AGAIN = 4  # bytes that are unpacked in the time in which one is unpacked and packed again
_SLOW = 128  # bytes that are unpacked in the time in which one can be read bit by bit
_MAX_REPACKED = 64 << 20  # bytes, unpacked


class DataState(Enum):
    """The condition of a stream's data."""

    WHOLE = auto()
    MENDED = auto()  # all there, but not as it should be; it was put right in the PDF
    LARGE = auto()  # it unpacks to more than the budget
    DAMAGED = auto()


@dataclass(frozen=True)
class Context:
    """What is known of a stream's file."""

    mended: bool  # the reader had to mend something in it
    sane: bool  # and yet all objects are where the file says
    encrypted: bool


def examined(stream: Stream, budget: int, context: Context) -> tuple[DataState, int]:
    """Return the condition of a stream's data, and how many bytes of the budget that took.

    Faults that every viewer corrects are corrected in the PDF that the stream belongs to.
    """
    raw = stream.read_raw_bytes()
    filters = filters_of(stream)
    stated = stream.get_int(Name.Length, 0)
    slack = (_VECTOR if context.encrypted else _LINE_END) + _halved_ends(raw)
    is_short = stated > slack and _is_guessed(stream, raw, context)
    is_empty = context.mended and picture_size(stream) is not None
    if not raw and (is_short or is_empty):
        return DataState.DAMAGED, 0  # nothing packed is nothing to complain of
    if filters in _FLATE:
        return _flate(stream, raw, budget, context)
    if not context.sane and stated > len(raw) + slack:
        return DataState.DAMAGED, 0  # something was cut out
    if filters in _JPEG:
        return _jpeg(stream, raw, budget, context)
    is_guessed = context.mended and _is_guessed(stream, raw, context)
    if is_guessed and not _is_all(stream, raw, filters, context):
        return DataState.DAMAGED, 0
    return _wrapped(stream, raw, budget, context)


def _wrapped(stream: Stream, raw: bytes, budget: int, context: Context) -> tuple[DataState, int]:
    """Examine data that were packed twice, or written as text after that.

    They are unwrapped in the PDF: what is around them shows no damage to them.
    """
    filters = filters_of(stream)
    examine = _BY_FILTER.get(filters[-1]) if filters else None
    if examine is None:
        return DataState.WHOLE, 0
    mended = False
    while filters[1:]:
        if filters[:1] in _TEXT:
            found = _from_text(raw, filters[0])
        elif filters[:1] in _FLATE:
            size, fault, found = wholeness.inflate(raw, budget, keep=budget)
            if fault is Fault.TOO_LARGE:
                return DataState.LARGE, size
            if fault in (Fault.CUT, Fault.CORRUPT):
                return DataState.DAMAGED, size
            mended = mended or fault is not None
        else:
            return DataState.WHOLE, 0
        if found is None:
            return DataState.DAMAGED, 0
        raw, filters = found, filters[1:]
    if filters != filters_of(stream):
        stream.write(raw, filter=Name(filters[0]), decode_parms=_parameters(stream))
    state, size = examine(stream, raw, budget, context)
    return (DataState.MENDED if mended and state is DataState.WHOLE else state), size


def _parameters(stream: Stream) -> Dictionary | None:
    """Return the parameters of a stream's last filter."""
    found = stream.get_raw(Name.DecodeParms)
    if isinstance(found, Array) and len(found):
        found = found[-1]
    return found if isinstance(found, Dictionary) else None


def _from_text(raw: bytes, name: str) -> bytes | None:
    """Return data that were written as text; None if it is no such text."""
    with Pdf.new() as pdf:
        text = Stream(pdf, raw.strip().removeprefix(b"<~"), Filter=Name(name))
        try:
            return text.read_bytes()
        except PdfError:
            return None


def _flate(stream: Stream, raw: bytes, budget: int, context: Context) -> tuple[DataState, int]:
    size, fault, _ = wholeness.inflate(raw, budget)
    if fault is None:
        return DataState.WHOLE, size
    if fault is Fault.TOO_LARGE:
        return DataState.LARGE, size
    needed = picture_size(stream)
    match fault:
        case Fault.OPEN if needed is None:
            # It may be cut where a block ends, but not if it is as long as it says.
            good = not _is_guessed(stream, raw, context)
        case Fault.CUT | Fault.OPEN:
            good = size == needed
        case Fault.FLUSHED | Fault.SLIP | Fault.UNCHECKED:
            # A writer that never closes its packer leaves it flushed.
            good = needed is None or size >= needed
        case Fault.CHECKSUM if needed is not None:
            # Two who write to one file leave a mixture that may well unpack, even to the right
            # size. Not so where nearly everything was packed as a repetition.
            good = size == needed and size > _MATCHES * len(raw)
        case Fault.CHECKSUM:
            good = not context.mended
        case _:
            good = False
    if not good:
        return DataState.DAMAGED, size
    if size <= _MAX_REPACKED:
        whole = wholeness.inflate(raw, _MAX_REPACKED, keep=size).data
        _replace(stream, zlib.compress(whole))
    return DataState.MENDED, size


def _jpeg(stream: Stream, raw: bytes, budget: int, context: Context) -> tuple[DataState, int]:
    size = picture_size(stream) or 0
    if size > budget:
        return DataState.LARGE, size
    finding = jpegs.read(raw)
    match finding.jpeg:
        case Jpeg.SOUND:
            return DataState.WHOLE, size
        case Jpeg.MENDED:
            _replace(stream, finding.mended)
            return DataState.MENDED, size
        case Jpeg.ENDLESS:
            # A device that gave up leaves such a picture in an otherwise perfect file.
            good = not context.mended
        case Jpeg.UNREAD:
            good = not context.mended or not _is_guessed(stream, raw, context)
        case _:
            good = False
    return (DataState.WHOLE if good else DataState.DAMAGED), size


def _fax(stream: Stream, raw: bytes, budget: int, context: Context) -> tuple[DataState, int]:
    parameters = _parameters(stream) or Dictionary()
    columns, rows = parameters.get_int(Name.Columns, _FAX_COLUMNS), stream.get_int(Name.Height, 0)
    if parameters.get_int(Name.K, 0) >= 0 or columns <= 0 or rows <= 0:
        return DataState.WHOLE, 0
    size = -(-columns // 8) * rows
    if _AGAIN * size > budget or size > _MAX_FAX:
        return DataState.LARGE, min(_AGAIN * size, budget)
    aligned = parameters.get_bool(Name.EncodedByteAlign, default=False)
    fax, read = group4.read(raw, columns, rows, budget // _SLOW, aligned=aligned)
    size = _AGAIN * size + read * _SLOW
    good = fax is Group4.SOUND or (fax is Group4.ENDLESS and not context.mended)
    return (DataState.WHOLE if good else DataState.DAMAGED), min(size, budget)


def _jpx(_stream: Stream, raw: bytes, _budget: int, _context: Context) -> tuple[DataState, int]:
    return (DataState.DAMAGED if jpx.has_foreign_bytes(raw) else DataState.WHOLE), len(raw)


def _runs(stream: Stream, raw: bytes, budget: int, _context: Context) -> tuple[DataState, int]:
    needed = picture_size(stream)
    if needed is None or _AGAIN * len(raw) > budget:
        return DataState.WHOLE, 0
    is_damaged = runlength.has_foreign_bytes(raw, needed, stream.get_int(Name.Height, 1))
    return (DataState.DAMAGED if is_damaged else DataState.WHOLE), _AGAIN * len(raw)


_BY_FILTER: dict[str, Callable[[Stream, bytes, int, Context], tuple[DataState, int]]] = {
    "/FlateDecode": _flate, "/Fl": _flate, "/DCTDecode": _jpeg, "/DCT": _jpeg,
    "/CCITTFaxDecode": _fax, "/CCF": _fax, "/JPXDecode": _jpx, "/RunLengthDecode": _runs,
    "/RL": _runs,
}  # fmt: skip


def _replace(stream: Stream, raw: bytes) -> None:
    stream.write(raw, filter=Name(filters_of(stream)[0]), decode_parms=_parameters(stream))


def is_guessed(stream: Stream, raw: bytes, *, encrypted: bool) -> bool:
    """Return whether the reader searched for a stream's end: its length was wrong or missing."""
    stated = stream.get_int(Name.Length, -1)
    return not 0 <= stated - len(raw) <= (_VECTOR if encrypted else 0)


def _is_guessed(stream: Stream, raw: bytes, context: Context) -> bool:
    return is_guessed(stream, raw, encrypted=context.encrypted)


def _is_all(stream: Stream, raw: bytes, filters: list[str], context: Context) -> bool:
    """Return whether a guessed end is right, for data that do not show it themselves."""
    needed = picture_size(stream)
    if not filters and needed is not None:
        return len(raw) >= needed
    stated = stream.get_int(Name.Length, 0)
    if filters and stated > 0 and abs(stated - len(raw)) > _SLIP:
        return False  # that may be the length of other data: of two who wrote to one file
    if context.sane:
        # Nothing was cut out before or behind it: the length is a mere slip.
        return True
    if _is_sent_as_text(raw):
        return False
    if filters[-1:] in (["/CCITTFaxDecode"], ["/CCF"]):
        return _ends_as_fax(raw)
    mark = _MARKS.get(filters[-1]) if filters else b""
    return mark is not None and raw[-_LAST:].rstrip().endswith(mark)


def _is_sent_as_text(raw: bytes) -> bool:
    """Return whether every line end became two bytes, as a transfer as text does."""
    ends = raw.count(b"\n")
    return not raw.isascii() and ends > 1 and ends == raw.count(b"\r\n")


def _halved_ends(raw: bytes) -> int:
    """Return how many line ends may have been two bytes before a transfer as text."""
    return raw.count(b"\n") if raw.isascii() and b"\r" not in raw else 0


def _ends_as_fax(raw: bytes) -> bool:
    """Return whether CCITT data end with an end-of-block: twice the code of eleven 0 and a 1."""
    bits = "".join(f"{byte:08b}" for byte in raw.rstrip(b"\r\n")[-_LAST:])
    return re.search("000000000001[01]?000000000001[01]{0,80}$", bits) is not None


def picture_size(stream: Stream) -> int | None:
    """Return how many bytes a picture has when it is unpacked; None if that is not known."""
    if stream.get_raw(Name.Subtype) != Name.Image:
        return None
    width, height = stream.get_int(Name.Width, 0), stream.get_int(Name.Height, 0)
    is_mask = stream.get_bool(Name.ImageMask, default=False)
    bits = 1 if is_mask else stream.get_int(Name.BitsPerComponent, 0)
    colours = 1 if is_mask else _colours(stream.get_raw(Name.ColorSpace))
    if width <= 0 or height <= 0 or bits <= 0 or colours is None:
        return None
    size = -(-width * bits * colours // 8) * height
    parameters = _parameters(stream)
    if parameters is not None and parameters.get_int(Name.Predictor, 1) >= _PNG:
        return size + height
    return size


def _colours(space: Object | None) -> int | None:
    """Return the number of colours that a pixel has in a colour space."""
    if isinstance(space, Name):
        return _COLOURS.get(str(space))
    if not isinstance(space, Array) or not len(space):
        return None
    kind = str(space[0]) if isinstance(space[0], Name) else ""
    if kind == "/ICCBased" and len(space) > 1 and isinstance(space[1], Stream):
        return space[1].get_int(Name.N, 0) or None
    if kind == "/DeviceN" and len(space) > 1 and isinstance(space[1], Array):
        return len(space[1])
    return _COLOURS.get(kind)
