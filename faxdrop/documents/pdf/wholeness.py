"""What the bytes of a PDF say about its completeness, without parsing it.

Nothing here understands PDF objects. Every function is bounded by the size of its input, and by the
budget if it unpacks.
"""

import re
import zlib
from enum import Enum, auto
from typing import NamedTuple

WINDOW = 1024  # bytes; viewers look for head and tail this far from the ends of a file
FAR = 1 << 16  # bytes of a printer's or a mail's header that may stand before a PDF
_MARGIN = 512  # bytes behind the end mark that every reader looks past
_SECTOR = 512  # bytes; files are written in whole sectors
_CHUNK = 1 << 18
_MARK = b"%%EOF"
_MAX_HEADERS = 1000  # that are looked at
# What some programs write for a header; Adobe's PDF Reference 1.7, H.3, note 14, has the first.
_ODD_HEADER = re.compile(rb"%!PS-Adobe-\d\.\d PDF-\d\.\d|%PDF ?\d\.\d|%pdf-\d\.\d")
_ERASED = b"\xff"  # what a flash memory holds where nothing was written
_PADDING = b"\0\t\n\f\r \x1a"
# What stands behind an end mark when another part of the PDF was to follow.
_UNFINISHED = re.compile(rb"endstream|endobj|(?<!\d)[1-9]\d{0,9}\s{1,8}\d{1,5}\s{1,8}obj")
_BEGUN = re.compile(rb"xref|trailer")
_CUT = re.compile(rb"(?:\A|[\r\n])[1-9]\d{0,9}(?: |\s{1,8}\d{1,5}(?:\s{1,8}(?:o|ob)?)?)?\Z")
_START = re.compile(rb"startxref\s{1,8}(\d{1,19})")
_TABLE = re.compile(
    rb"\s{0,2}(?:xref|\d{1,10}\s{1,8}\d{1,5}\s{1,8}obj(?:(?!stream).){0,999}/XRef)", re.DOTALL
)
_MARKUP = re.compile(rb"<[!/?a-zA-Z].*>", re.DOTALL)
# What an update begins with, and what can only be the rest of something.
_NEXT_PART = re.compile(rb"(?<!\d)\d{1,10}\s{1,8}\d{1,5}\s{1,8}obj|(?<!start)xref|%PDF-")
_REST = re.compile(rb"endstream|endobj")
_BEGIN = re.compile(rb"(?<!end)stream\r?\n")
_LAST_BLOCK, _LAST_BLOCK_BITS = 0b11, 10  # an empty last block: two bits, then eight zeros


def header_offset(data: bytes) -> int | None:
    """Return where ``%PDF-`` is, or None if it is not near the start."""
    at = data.find(b"%PDF-", 0, WINDOW)
    return at if at >= 0 else None


def headed(data: bytes) -> bytes | None:
    """Return a PDF with its header where every reader looks for it; None if it has no header.

    Its sectors stay where sectors were.
    """
    if header_offset(data) is not None:
        return data
    if odd := _ODD_HEADER.search(data, 0, WINDOW):
        header = b"%PDF-" + odd[0][-3:]
        length = len(odd[0])
        return data[: odd.start()] + header[:length].ljust(length) + data[odd.end() :]
    at = data.find(b"%PDF-", 0, FAR)
    before = data[: max(at, 0)].strip(b"\0")
    if at < 0 or b"\0" in before:  # no text: another file, with a PDF in it
        return None
    return data[at - at % _SECTOR :]


class End(NamedTuple):
    """Where a PDF ends."""

    behind: int  # bytes that follow
    marked: bool  # by an end mark as it should be
    usual: bool  # by its end mark, and with nothing behind it that could be more of it


def end_of(data: bytes) -> End | None:
    """Return where a PDF ends, None if the end is missing.

    That is after its last end mark, or after the place of its cross-reference, if that is right and
    the mark is misspelt or missing. Since viewers forgive it, anything may follow; but not the
    beginning of an update, the rest of an object, or a gap.
    """
    mark = data.rfind(_MARK)
    end = mark + len(_MARK) if mark >= 0 else 0
    unmarked = _unmarked_end(data, end)
    end = unmarked or end
    rest = data[end:].rstrip(b"\0")
    after = rest.strip(_PADDING)
    if not end or _BEGUN.match(after) or _UNFINISHED.search(after) or _CUT.search(rest):
        return None
    is_little = len(after) <= WINDOW or not after.strip(_ERASED) or _MARKUP.fullmatch(after)
    if not is_little and bytes(_SECTOR) in rest:
        return None
    return End(len(data) - end, marked=not unmarked, usual=not unmarked and bool(is_little))


def _unmarked_end(data: bytes, start: int) -> int:
    """Return where a PDF ends whose last end mark is misspelt or missing; 0 if it does not.

    The place of its cross-reference is the last that is written. A part of that number, or what an
    attached PDF says, leads elsewhere.
    """
    last = data.rfind(b"startxref", start)
    found = _START.match(data, last) if last >= 0 else None
    if found is None:
        return 0
    places = {int(found[1]), int(found[1]) + (header_offset(data) or 0)}
    is_right = any(at < last and _TABLE.match(data, at) for at in places)
    return found.end() if is_right else 0


def trimmed(data: bytes, end: End) -> bytes:
    """Return a PDF with an end mark, and without what follows it, if that is more than usual."""
    if end.marked and end.behind <= _MARGIN:
        return data
    return data[: len(data) - end.behind] + (b"\n" if end.marked else b"\n%%EOF\n")


def is_wrapped(data: bytes) -> bool:
    """Return whether there is something else before or after a PDF, or much padding."""
    after = data[data.rfind(_MARK) + len(_MARK) :]
    return header_offset(data) != 0 or len(after) > _MARGIN or bool(after.strip(_PADDING))


def has_rest_of_another(data: bytes) -> bool:
    """Return whether this PDF was written over a longer one, whose rest follows it.

    After an end mark that is not the last one, an update begins. If instead something begins in the
    middle, it belongs to another PDF that was written to the same file. An end mark may also be the
    last visible part of an attached PDF.
    """
    mark = data.find(_MARK)
    while (following := data.find(_MARK, mark + 1)) >= 0:
        start = mark + len(_MARK)
        rest = _REST.search(data, start, following)
        # The rest of an end mark's own comment is none.
        if rest and data[start : rest.start()].strip(_PADDING):
            begun = _NEXT_PART.search(data, start, rest.end())
            if begun is None:
                return True
        mark = following
    return False


def ends_in_an_attachment(data: bytes) -> bool:
    """Return whether a PDF that is attached as it is, is all that has come of this one's end.

    Its end mark looks like that of the whole file; but the stream that it lies in is not closed.
    """
    start = _attachment(data)
    if start is None:
        return False
    begun = sum(1 for _ in _BEGIN.finditer(data, start))
    return begun > data.count(b"endstream", start)


def _attachment(data: bytes) -> int | None:
    """Return where the first stream begins that holds a PDF as it is, None if there is none."""
    at = 0
    for _again in range(_MAX_HEADERS):
        at = data.find(b"%PDF-", at + 1)
        if at < 0:
            break
        # Like that of any file, its header need not be the first that it holds.
        before = max(0, at - WINDOW)
        begun = list(_BEGIN.finditer(data, before, at))
        if begun and data.find(b"endstream", begun[-1].end(), at) < 0:
            return begun[-1].start()
    return None


class NulRun(NamedTuple):
    """A long run of NULs in a file."""

    start: int
    stop: int

    @property
    def is_of_sectors(self) -> bool:
        """Whether it begins and ends where sectors do, as what was not written does."""
        return self.start % _SECTOR == 0 and self.stop % _SECTOR == 0

    @property
    def touches_sectors(self) -> bool:
        """Whether it begins or ends where a sector does."""
        return self.start % _SECTOR == 0 or self.stop % _SECTOR == 0


def nul_runs(data: bytes, start: int = 0, end: int | None = None) -> list[NulRun]:
    """Return all runs of NULs that cover at least one whole sector of the file.

    A file that is preallocated and then written in pieces has such runs in place of missing pieces.
    """
    runs: list[NulRun] = []
    end = len(data) if end is None else end
    gap = bytes(_SECTOR)
    at = data.find(gap, start, end)
    while at >= 0:
        # The shortest way past the run that Python offers without a copy of the rest.
        after = re.compile(rb"[^\0]").search(data, at, end)
        run = NulRun(at, after.start() if after else end)
        if -(-run.start // _SECTOR) < run.stop // _SECTOR:
            runs.append(run)
        at = data.find(gap, run.stop, end)
    return runs


class Fault(Enum):
    """What can be wrong with packed data."""

    CUT = auto()  # it ends too early
    FLUSHED = auto()  # it ends where its writer could have gone on
    CHECKSUM = auto()  # all there, but the checksum does not agree
    SLIP = auto()  # all there, and the checksum is one that never was right
    UNCHECKED = auto()  # all there, but the checksum
    OPEN = auto()  # it ends with a block, but it may also be cut there
    CORRUPT = auto()
    TOO_LARGE = auto()  # it unpacks to more than the budget


class Inflated(NamedTuple):
    """The result of unpacking."""

    size: int  # bytes, unpacked
    fault: Fault | None
    data: bytes  # the first bytes, as many as were asked for


def inflate(raw: bytes, budget: int, keep: int = 0) -> Inflated:
    """Unpack Flate data in constant memory, up to ``budget`` bytes, keeping the first ``keep``."""
    if not raw:
        return Inflated(0, None, b"")
    if int.from_bytes(raw[:2]) % 31 or raw[0] & 0x0F != zlib.DEFLATED:
        return Inflated(0, Fault.CORRUPT, b"")
    # Without zlib's frame, to tell data that are cut from a checksum that is missing or wrong.
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    checksum = zlib.adler32(b"")
    kept = bytearray()
    size = 0
    rest = raw[2:]
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(rest, _CHUNK)
            rest = unpacker.unconsumed_tail
            size += len(piece)
            checksum = zlib.adler32(piece, checksum)
            kept += piece[: max(0, keep - len(kept))]
            if size > budget:
                return Inflated(size, Fault.TOO_LARGE, bytes(kept))
            if not piece and not rest and not unpacker.eof:
                return Inflated(size, _unfinished(raw) if size else Fault.CUT, bytes(kept))
    except zlib.error:
        return Inflated(size, Fault.CORRUPT, bytes(kept))
    return Inflated(size, _checked(checksum.to_bytes(4), unpacker.unused_data[:4]), bytes(kept))


def _unfinished(raw: bytes) -> Fault:
    """Return how data end that have no last block."""
    data = raw.rstrip(b"\r\n")
    if data.endswith(b"\0\0\xff\xff"):
        return Fault.FLUSHED
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = data[2:]
    while rest:
        unpacker.decompress(rest, _CHUNK)
        rest = unpacker.unconsumed_tail
    # Zeros that did not fill a byte were not written.
    is_open = any(_ends_block(unpacker.copy(), zeros) for zeros in range(8))
    return Fault.OPEN if is_open else Fault.CUT


def _ends_block(unpacker: "zlib._Decompress", zeros: int) -> bool:
    """Return whether a block ends after some more zeros: only there, an empty last block fits."""
    length = -(-(zeros + _LAST_BLOCK_BITS) // 8)
    try:
        more = unpacker.decompress((_LAST_BLOCK << zeros).to_bytes(length, "little"))
    except zlib.error:
        return False
    # If data are left over, the zeros alone were the end of a last block that was cut.
    return unpacker.eof and not more and not unpacker.unused_data


def _checked(right: bytes, found: bytes) -> Fault | None:
    if found == right:
        return None
    if len(found) < len(right):
        return Fault.UNCHECKED
    # Wrong data change all of a checksum (two sums of all bytes). A single wrong byte, the wrong
    # order, or a sum that was never taken are the fault of whoever wrote the checksum.
    same = sum(one == other for one, other in zip(right, found, strict=True))
    untaken = found in (bytes(4), b"\0\0\0\1", b"\xff" * 4)
    return (
        Fault.SLIP if same == len(right) - 1 or found == right[::-1] or untaken else Fault.CHECKSUM
    )
