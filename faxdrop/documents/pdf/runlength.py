"""Whether a picture packed as runs of bytes has as many bytes as it needs.

Viewers show something of any data. But after foreign bytes the runs soon begin elsewhere, and no
longer come to whole rows.
"""

_LAST = 128


def is_foreign(raw: bytes, needed: int, rows: int) -> bool:
    """Return whether runs lack something of a picture, or have more than whole rows of it."""
    more = _unpacked(raw) - needed
    row = needed // rows
    return more < 0 or (more >= row and more % row > 0)


def _unpacked(raw: bytes) -> int:
    """Return how many bytes the data unpack to."""
    size = at = 0
    while at < len(raw) and raw[at] != _LAST:
        length = raw[at]
        if length < _LAST:
            size += min(length + 1, len(raw) - at - 1)
            at += length + 2
        else:
            size += 257 - length
            at += 2
    return size
