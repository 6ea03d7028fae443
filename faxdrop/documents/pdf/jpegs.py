"""Whether a JPEG is complete, by a decoder that reports what viewers forgive.

A viewer shows as much of a JPEG as it can; missing parts are grey, or come from another picture.
libjpeg notices, since the data then end too early or too late. All coded data are read, but the
picture that is made is small.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

import simplejpeg

_START, _END = b"\xff\xd8", b"\xff\xd9"
_LEAD = 64  # bytes that may stand before a JPEG
_MARKER = 0xFF
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN = 0xDA
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: Huffman-coded
_OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})
_PROGRESSIVE = 0xC2
_BITS = 8
_SPACES = {1: "GRAY", 3: "GRAY", 4: "CMYK"}
_MAX_SCANS = 100  # of a progressive JPEG: each is another pass over the picture
_MAX_PIXELS = 100_000_000
_MAX_JUNK = 8  # bytes before the end mark that some devices leave there
_EIGHTH = 8


class Jpeg(Enum):
    """What was found."""

    SOUND = auto()
    MENDED = auto()  # all of the picture is there, but not all around it is right
    ENDLESS = auto()  # it breaks off
    DAMAGED = auto()  # it does not break off, and yet has too little or too much in it
    UNREAD = auto()  # of a kind that cannot be read here, or too large for it


class JpegFinding(NamedTuple):
    """What was found, and for a repaired JPEG its right bytes."""

    jpeg: Jpeg
    mended: bytes = b""


class _Frame(NamedTuple):
    kind: int
    bits: int
    pixels: int
    components: int


def read(raw: bytes) -> JpegFinding:
    """Read a JPEG and say whether all of it is there."""
    start = max(raw.find(_START, 0, _LEAD), 0)
    data = raw[start:]
    frame = _frame(data)
    space = _SPACES.get(frame.components) if frame is not None else None
    if frame is None or space is None or not _is_readable(frame, data):
        return JpegFinding(Jpeg.UNREAD)
    if _is_sound(data, space):
        return JpegFinding(Jpeg.MENDED, data) if start else JpegFinding(Jpeg.SOUND)
    return _mended(data, space)


def _is_readable(frame: _Frame, data: bytes) -> bool:
    return (
        frame.kind in _FRAMES
        and frame.bits == _BITS
        and frame.pixels <= _MAX_PIXELS
        and data.count(bytes((_MARKER, _SCAN))) <= _MAX_SCANS
    )


def _mended(data: bytes, space: str) -> JpegFinding:
    end = data.rfind(_END)
    if end < scan_start(data):
        whole = data + _END
        return (
            JpegFinding(Jpeg.MENDED, whole)
            if _is_sound(whole, space)
            else JpegFinding(Jpeg.ENDLESS)
        )
    for body in _without_junk(data[:end]):
        if _is_sound(body + _END, space):
            return JpegFinding(Jpeg.MENDED, body + _END)
    return JpegFinding(Jpeg.DAMAGED)


def is_paper(raw: bytes, start: int, stop: int) -> bool:
    """Return whether NULs in a JPEG can be paper, because they add nothing to the picture.

    That they fit into the picture is not enough: a hole may fit by chance.
    """
    scan = raw.rfind(bytes((_MARKER, _SCAN)), 0, start)
    frame = _frame(raw[max(raw.find(_START, 0, _LEAD), 0) :])
    if scan < 0 or frame is None:
        return False
    if frame.kind == _PROGRESSIVE:
        # Only brightness is coded block by block; of details there is none, and that is counted.
        first = scan + 5 + 2 * raw[scan + 4]
        return raw[first : first + 1] == b"\0"
    return _picture(raw[:start]) == _picture(raw[:stop])


def _picture(data: bytes) -> bytes:
    """Return the picture of a JPEG that breaks off; what is missing has the last colour."""
    try:
        return simplejpeg.decode_jpeg(data + _END, "RGB", strict=False).tobytes()  # type: ignore[no-any-return] # ships no types
    except ValueError:
        return b""


def scan_start(data: bytes) -> int:
    """Return where the picture of a JPEG begins: metadata before it may hold NULs of its own."""
    return next((at for at, marker in _segments(data) if marker == _SCAN), 0)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    at = len(_START) if data.startswith(_START) else len(data)
    while at + 4 <= len(data) and data[at] == _MARKER:
        marker = data[at + 1]
        if marker == _MARKER:  # a filler
            at += 1
            continue
        yield at, marker
        if marker == _SCAN:
            return
        at += 2 if marker in _WITHOUT_LENGTH else 2 + int.from_bytes(data[at + 2 : at + 4])


def _frame(data: bytes) -> _Frame | None:
    for at, marker in _segments(data):
        if marker in _FRAMES | _OTHER_FRAMES and at + 10 <= len(data):
            height = int.from_bytes(data[at + 5 : at + 7])
            width = int.from_bytes(data[at + 7 : at + 9])
            return _Frame(marker, data[at + 4], width * height, data[at + 9])
    return None


def _is_sound(data: bytes, space: str) -> bool:
    try:
        simplejpeg.decode_jpeg(data, space, fastdct=True, min_factor=_EIGHTH, strict=True)
    except ValueError:
        return False
    return True


def _without_junk(data: bytes) -> Iterator[bytes]:
    """Yield a JPEG, up to its end mark, without what may be junk before that."""
    body = data.rstrip(data[-1:])  # one byte repeated: whatever fills a block
    yield body
    # The byte may also be the last one of the picture.
    yield data[: len(body) + 1]
    for junk in range(1, _MAX_JUNK + 1):
        yield data[:-junk]
