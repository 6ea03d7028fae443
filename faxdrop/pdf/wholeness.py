"""What the bytes of a PDF say about its completeness, before and beside any parsing.

Nothing here understands PDF objects. Every function is bounded by the size of what it is given, and
by the budget where it unpacks.
"""

import re
import zlib
from collections import Counter
from enum import Enum, auto
from typing import NamedTuple

_WINDOW = 1024  # bytes; viewers look for head and tail this far from the ends of a file
_SECTOR = 512  # bytes; what is preallocated and not yet written is at least a sector of NULs
_CHUNK = 1 << 18
_END = re.compile(rb"startxref\s{1,8}(\d{1,12})\s{1,8}%%EOF")
_BEFORE = re.compile(rb"/(?:Prev|XRefStm)\s{0,8}(\d{1,12})")
_SECTION = re.compile(rb"\s{0,8}(?:xref|\d{1,10}\s{1,8}\d{1,5}\s{1,8}obj)")
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN = 0xDA


def header_offset(data: bytes) -> int | None:
    """Return where ``%PDF-`` stands, or None where it is not near the start."""
    at = data.find(b"%PDF-", 0, _WINDOW)
    return at if at >= 0 else None


def has_end(tail: bytes) -> bool:
    """Tell whether the end mark of a PDF is near the end of these bytes."""
    return b"%%EOF" in tail[-_WINDOW:]


def is_wrapped(data: bytes) -> bool:
    """Tell whether anything but white space and padding stands before or after the PDF."""
    after = data[data.rfind(b"%%EOF") + 5 :].strip(b"\0\t\n\f\r ")
    return header_offset(data) != 0 or bool(after)


def is_cut_linearized(data: bytes) -> bool:
    """Tell whether a linearized PDF is shorter than it says it is.

    Such a file has an end mark near its beginning, too, so it can be cut and still seem to end.
    """
    head = data[: 2 * _WINDOW]
    length = re.search(rb"/L\s+(\d{1,12})\b", head) if b"/Linearized" in head else None
    return length is not None and int(length[1]) > len(data)


def is_mixed(data: bytes) -> bool:
    """Tell whether parts of another PDF are left in this one, written over at its beginning.

    Each update of a PDF refers to the cross-reference before it. One that stands where its own end
    mark says, and that nothing refers to, belongs to a PDF that somebody wrote to the same file.
    """
    ends = [int(number) for number in _END.findall(data)]
    known = {int(number) for number in _BEFORE.findall(data)}
    return any(at not in known and _SECTION.match(data, at) for at in ends[:-1] if at)


def nul_runs(data: bytes) -> Counter[int]:
    """Return the lengths, in bytes, of all long runs of NULs.

    A file that is preallocated and then written in pieces has such runs where pieces are missing.
    """
    runs: Counter[int] = Counter()
    end = len(data)
    gap = b"\0" * _SECTOR
    start = data.find(gap, 0, end)
    while start >= 0:
        # The shortest way past the run that Python offers without a copy of the rest.
        after = re.compile(rb"[^\0]").search(data, start, end)
        stop = after.start() if after else end
        runs[stop - start] += 1
        start = data.find(gap, stop, end)
    return runs


def jpeg_scan_start(data: bytes) -> int:
    """Return where the picture of a JPEG begins: metadata before it may hold NULs, it may not."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker's first byte
        marker = data[at + 1]
        if marker == _JPEG_SCAN:
            return at
        length = int.from_bytes(data[at + 2 : at + 4])
        at += 2 if marker in _JPEG_WITHOUT_LENGTH else 2 + length
    return 0


def is_whole_jpeg(data: bytes) -> bool:
    """Tell whether this begins and ends as a JPEG does."""
    return data[:2] == b"\xff\xd8" and b"\xff\xd9" in data[-64:]


class Fault(Enum):
    """What can be wrong with packed data."""

    CUT = auto()  # it ends too early
    CHECKSUM = auto()  # all there, but the checksum does not agree
    UNCHECKED = auto()  # all there, but the checksum
    CORRUPT = auto()
    TOO_LARGE = auto()  # it unpacks to more than the budget


class Inflated(NamedTuple):
    """What came of unpacking."""

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
                return Inflated(size, Fault.CUT, bytes(kept))
    except zlib.error:
        return Inflated(size, Fault.CORRUPT, bytes(kept))
    right, found = checksum.to_bytes(4), unpacker.unused_data[:4]
    fault = None if found == right else Fault.CHECKSUM
    if len(found) < len(right):
        fault = Fault.UNCHECKED
    return Inflated(size, fault, bytes(kept))
