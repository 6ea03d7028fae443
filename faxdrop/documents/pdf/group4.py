"""Whether a picture packed as CCITT group 4, as most scanners do, is all right.

Viewers show something of any data. But in good data each row is exactly as wide as the picture;
after a byte that does not belong there, one soon is not.
"""

import io
import struct
from enum import Enum, auto
from functools import cache

from PIL import Image

from faxdrop.documents.pdf import pictures

_MAX_ROWS = 200_000
_END = 128  # bits before the end of the data: some devices give up there, or add something
_END_OF_BLOCK = "000000000001" * 2
_EOFB = 4  # bytes: the end of block, and what the byte before it may have of that

# T.4, tables 2 and 3: codes of runs of 0 to 63 pixels, then of 64, 128, ... 1728.
_WHITE = """
00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101
101010 101011 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100
0011000 00000010 00000011 00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111
00101000 00101001 00101010 00101011 00101100 00101101 00000100 00000101 00001010 00001011 01010010
01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010 01011011 01001010 01001011
00110010 00110011 00110100 11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000
01100111 011001100 011001101 011010010 011010011 011010100 011010101 011010110 011010111 011011000
011011001 011011010 011011011 010011000 010011001 010011010 011000 010011011
"""
_BLACK = """
0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111
000011000 0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111
00000101000 00000010111 00000011000 000011001010 000011001011 000011001100 000011001101
000001101000 000001101001 000001101010 000001101011 000011010010 000011010011 000011010100
000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011
000001010100 000001010101 000001010110 000001010111 000001100100 000001100101 000001010010
000001010011 000000100100 000000110111 000000111000 000000100111 000000101000 000001011000
000001011001 000000101011 000000101100 000001011010 000001100110 000001100111 0000001111
000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100
0000001101101 0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011
0000001110100 0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 0000001010100
0000001010101 0000001011010 0000001011011 0000001100100 0000001100101
"""
# Of 1792, 1856, ... 2560 pixels in either colour.
_LONG = """
00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110
000000010111 000000011100 000000011101 000000011110 000000011111
"""
_PASS, _HORIZONTAL = 10, 11
# T.6, table 1: by how much a change of colour is to the right of that in the row above; or a mode.
# Nobody shows the "extensions" that may follow 0000001.
_MODES = {
    "1": 0, "011": 1, "000011": 2, "0000011": 3, "010": -1, "000010": -2, "0000010": -3,
    "0001": _PASS, "001": _HORIZONTAL,
}  # fmt: skip
_RUN_BITS, _MODE_BITS = 13, 7

_Table = list[tuple[int, int] | None]  # by the next bits: what they mean, and how many they are


class Group4(Enum):
    """What was found."""

    SOUND = auto()
    ENDLESS = auto()  # rows are missing at its end
    DAMAGED = auto()


class _EndError(Exception):
    """There are no more data, or an end of block."""


class _WrongError(Exception):
    """No such code, or a row of another width."""


def read(raw: bytes, columns: int, rows: int, most: int, *, aligned: bool) -> tuple[Group4, int]:
    """Read group 4 data of a picture; ``aligned``: each row begins with a byte.

    The second result is how many bytes were read bit by bit, which is slow: not many more than
    ``most``; what lies beyond is trusted.
    """
    if not aligned and _is_usual(raw, columns, rows):
        return Group4.SOUND, 0
    reading = _Reading(raw[:most], columns)
    above: list[int] = []
    found, done = Group4.SOUND, 0
    try:
        # Rows that are not shown must be right, too: wrong data make many short rows.
        while done < _MAX_ROWS:
            if aligned:
                reading.at += -reading.at % 8
            above = reading.row(above)
            done += 1
    except _EndError:
        found = Group4.ENDLESS
    except _WrongError:
        found = Group4.DAMAGED if reading.at <= 8 * len(raw) - _END else Group4.ENDLESS
    if found is Group4.ENDLESS and (done >= rows or len(raw) > most):
        found = Group4.SOUND
    return found, reading.at // 8


def _is_usual(raw: bytes, columns: int, rows: int) -> bool:
    """Return whether packing what the data show makes the same data, as nearly always."""
    tags = {256: columns, 257: rows, 258: 1, 259: 4, 262: 0, 273: 8, 277: 1, 278: rows}
    tags[279] = len(raw)
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = 8 + len(raw)
    tiff = struct.pack("<2sHI", b"II", 42, start) + raw + struct.pack("<H", len(tags)) + fields
    try:
        with Image.open(io.BytesIO(tiff + bytes(4))) as picture:
            again = pictures.group4(picture)
    except (OSError, ValueError):
        return False
    return raw.startswith(again[:-_EOFB])


class _Reading:
    """Data that are read bit by bit."""

    def __init__(self, raw: bytes, columns: int) -> None:
        used = raw.rstrip(b"\r\n")
        self._bits = f"{int.from_bytes(used):0{8 * len(used)}b}" + "0" * _RUN_BITS
        self._end = 8 * len(used)
        self._columns = columns
        self.at = 0

    def row(self, above: list[int]) -> list[int]:
        """Read a row; return where its colour changes. Raises _EndError and _WrongError."""
        columns = self._columns
        modes = _modes()
        above = [*above, columns, columns, columns, columns]
        row: list[int] = []
        here, black, index = -1, 0, 0
        while here < columns:
            while above[index] <= here < columns and above[index] < columns:
                index += 2
            mode = self._next(modes, _MODE_BITS)
            if mode == _PASS:
                here = above[index + 1]
                continue
            if mode == _HORIZONTAL:
                middle = max(here, 0) + self._run(black)
                _change(row, middle, columns)
                here = middle + self._run(1 - black)
                _change(row, here, columns)
                continue
            there = above[index] + mode
            if there < max(here, 0):
                raise _WrongError
            _change(row, there, columns)
            here, black = there, 1 - black
            index += -1 if index else 1
        return row

    def _run(self, black: int) -> int:
        """Read how many pixels have one colour."""
        table = _runs(_BLACK if black else _WHITE)
        length = 0
        while True:
            part = self._next(table, _RUN_BITS)
            length += part
            if part < 64:  # noqa: PLR2004 - the shortest that another code follows
                return length

    def _next(self, table: _Table, most: int) -> int:
        if self.at >= self._end:
            raise _EndError
        found = table[int(self._bits[self.at : self.at + most], 2)]
        if found is None:
            if self._bits.startswith(_END_OF_BLOCK, self.at) or "1" not in self._bits[self.at :]:
                raise _EndError
            raise _WrongError
        self.at += found[1]
        return found[0]


def _change(row: list[int], where: int, columns: int) -> None:
    """Note that the colour changes; twice in one place is no change."""
    if where > columns:
        raise _WrongError
    if row and row[-1] == where:
        row.pop()
    elif where < columns:
        row.append(where)


@cache
def _modes() -> _Table:
    return _table(_MODES, _MODE_BITS)


@cache
def _runs(codes: str) -> _Table:
    lengths = [*range(64), *range(64, 1729, 64), *range(1792, 2561, 64)]
    return _table(dict(zip([*codes.split(), *_LONG.split()], lengths, strict=True)), _RUN_BITS)


def _table(codes: dict[str, int], most: int) -> _Table:
    table: _Table = [None] * (1 << most)
    for code, meaning in codes.items():
        free = most - len(code)
        first = int(code, 2) << free
        table[first : first + (1 << free)] = [(meaning, len(code))] * (1 << free)
    return table
