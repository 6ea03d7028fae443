"""Whether a picture that is packed as runs of bytes has foreign bytes amid them.

Viewers show something of any data. But after foreign bytes the runs soon begin elsewhere, and no
longer come to whole rows.
"""

_LAST = 128  # ends the data; what is less counts bytes as they are, what is more repeats one


def has_foreign_bytes(raw: bytes, needed: int, rows: int) -> bool:
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
