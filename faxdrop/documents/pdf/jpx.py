"""Whether a JPEG 2000 picture has foreign bytes amid its data.

So that no data look like a marker, its coder never lets FF be followed by more than 8F. Other
packed data have such a pair about every half kilobyte.
"""

import re

_BEGIN = b"\xff\x4f\xff\x51"  # start of codestream, and of the size
_MARKER = 0xFF
_TILE, _DATA, _END = 0x90, 0x93, 0xD9
_TILE_HEADER = 12  # bytes
# What may stand amid data: the number of a packet, and the end of its header.
_ALLOWED = re.compile(rb"\xff\x91\x00\x04..|\xff\x92", re.DOTALL)
_FOREIGN = re.compile(rb"\xff[\x90-\xff]")
_MAX_PARTS = 100_000


def has_foreign_bytes(raw: bytes) -> bool:
    """Return whether there are bytes amid a picture that its coder cannot have written.

    A picture whose parts are not where they should be is not looked at.
    """
    at = _after_header(raw, raw.find(_BEGIN) + 2, _TILE)
    for _again in range(_MAX_PARTS):
        if at is None or raw[at : at + 2] != bytes((_MARKER, _TILE)):
            return False
        length = int.from_bytes(raw[at + 6 : at + 10])
        start = _after_header(raw, at + _TILE_HEADER, _DATA)
        if start is None:
            return False
        end = at + length if length else raw.rfind(bytes((_MARKER, _END)))
        if end < start + 2:
            return False
        data = raw[start + 2 : end]
        found = _FOREIGN.search(data)
        if found and _FOREIGN.search(_ALLOWED.sub(b"", data)):
            return True
        at = end
    return False


def _after_header(raw: bytes, at: int, last: int) -> int | None:
    """Return where the marker ``last`` ends a header; None if it does not."""
    while 0 < at <= len(raw) - 4 and raw[at] == _MARKER:
        if raw[at + 1] == last:
            return at
        at += 2 + int.from_bytes(raw[at + 2 : at + 4])
    return None
