"""Text in Helvetica: which characters it has, how wide they are, where lines break.

Helvetica is one of the fonts that every PDF renderer has, so nothing is embedded. Sizes and
positions are in points. The widths are those of Adobe's font metrics, in thousandths of the size.
"""

# ruff: noqa: RUF001 - characters that look alike are what this is about

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

_ASCII_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_OTHER_WIDTHS = {
    222: "‚‘’łľ", 260: "¦", 278: "\xa0·ìíîïĩīĭįİı", 333: "„ˆ‹“”˜›¡¨\xad¯²³´¸¹", 350: "•",
    365: "º", 370: "ª", 400: "°", 537: "¶", 556: "€ƒ†‡–¢£¤¥§«µ»ðþđŁ", 584: "¬±×÷", 611: "¿ßø",
    667: "Þ", 722: "ÐĐ", 737: "©®", 778: "Ø", 834: "¼½¾", 889: "æ", 944: "œ", 1000: "…‰Œ—™Æ",
}  # fmt: skip
# Accents as glyphs of their own, which every Helvetica has, with their widths; the composed letters
# beyond Windows' character set are missing from many a renderer's Helvetica.
_ACCENTS = {
    "\u0300": "grave", "\u0301": "acute", "\u0302": "circumflex", "\u0303": "tilde",
    "\u0304": "macron", "\u0306": "breve", "\u0307": "dotaccent", "\u0308": "dieresis",
    "\u030a": "ring", "\u030b": "hungarumlaut", "\u030c": "caron", "\u0326": "cedilla",
    "\u0327": "cedilla", "\u0328": "ogonek",
}  # fmt: skip
_BELOW = frozenset({"cedilla", "ogonek"})
_TALL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZbdfhklt")
_OWN_GLYPHS = {"ł": "lslash", "Ł": "Lslash", "ı": "dotlessi"}
EXTRA_GLYPHS = (*sorted(set(_ACCENTS.values())), *_OWN_GLYPHS.values())
"""The glyphs of the second font, whose codes count from ``FIRST_CODE``."""
FIRST_CODE = 33
# ZapfDingbats has Unicode's block of that name in order, but for some; these stand in their places.
_DINGBATS = {
    "☎": b"%", "★": b"H", "●": b"l", "■": b"n", "▲": b"s", "▼": b"t", "◆": b"u",
    "✅": b"4", "❌": b"8", "❎": b"8",
}  # fmt: skip
_DINGBAT_BLOCK = range(0x2701, 0x275F)
_MISSING_DINGBATS = frozenset("\u270a\u270b\u2728\u2753\u2754\u2755\u2757")
_RAISED = 195  # thousandths: from the height of small letters to that of capitals
_PLAIN = str.maketrans(
    {
        "\t": "    ",
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "–",
        "\u2212": "–",
        "\u201b": "‘",
        "Đ": "Ð",
    }
)
_ASCENT, _DESCENT, _LEADING = 0.718, 0.207, 1.15  # in parts of the size
_LEAST_SIZE, _USUAL_SIZE = 5.0, 12.0
WIDTHS = {chr(code): width for code, width in enumerate(_ASCII_WIDTHS, 32)} | {
    character: width for width, characters in _OTHER_WIDTHS.items() for character in characters
}


class UnwritableError(Exception):
    """A character that Helvetica lacks; ``character`` is the first one."""

    def __init__(self, character: str) -> None:
        super().__init__(f"U+{ord(character):04X}")
        self.character = character


class GlyphRun(NamedTuple):
    """Bytes to show in one font; distances in thousandths of the size."""

    codes: bytes
    font: int = 0  # 0: Windows' character set; 1: ``EXTRA_GLYPHS``; 2: ZapfDingbats
    before: float = 0  # to the left, before it is shown
    after: float = 0  # to the left, after it
    rise: int = 0


class TextLine(NamedTuple):
    """One line of text, from where it begins."""

    x: float
    y: float  # of the base line
    text: str


class PlacedText(NamedTuple):
    """Text in place."""

    size: float
    lines: tuple[TextLine, ...]


def _width_of(character: str) -> int:
    known = WIDTHS.get(character) or (800 if _dingbat(character) else None)
    return known or WIDTHS.get(unicodedata.normalize("NFD", character)[0], 1000)


def width(text: str, size: float) -> float:
    """Return how wide a text is."""
    return sum(map(_width_of, text)) * size / 1000


def written(text: str) -> str:
    """Return a text with only the characters that can be shown; raise UnwritableError."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = unicodedata.normalize("NFC", text).translate(_PLAIN)
    return "".join(map(_written, text))


def _written(character: str) -> str:
    if character == "\n" or _runs(character):
        return character
    category = unicodedata.category(character)
    if category in {"Cc", "Cf"} or "\ufe00" <= character <= "\ufe0f":
        return ""
    if category in {"Zs", "Zl", "Zp"}:
        return " " if category == "Zs" else "\n"
    simpler = unicodedata.normalize("NFKC", character)
    if simpler != character and all(map(_runs, simpler)):
        return simpler
    raise UnwritableError(character)


def runs(text: str) -> list[GlyphRun]:
    """Return a text that was ``written`` as bytes to show, as few runs as possible."""
    grouped: list[GlyphRun] = []
    for character in text:
        for run in _runs(character):
            last = grouped[-1] if grouped else None
            if last is not None and run == GlyphRun(run.codes) and last == GlyphRun(last.codes):
                grouped[-1] = GlyphRun(last.codes + run.codes)
            else:
                grouped.append(run)
    return grouped


def _runs(character: str) -> tuple[GlyphRun, ...]:
    """Return how to show one character; nothing if it cannot be shown."""
    try:
        if character >= " ":
            return (GlyphRun(character.encode("cp1252")),)
    except UnicodeEncodeError:
        pass
    if symbol := _dingbat(character):
        return (GlyphRun(symbol, font=2),)
    if character in _OWN_GLYPHS:
        return (GlyphRun(_extra(_OWN_GLYPHS[character]), font=1),)
    parts = unicodedata.normalize("NFD", "d\u0304" if character == "đ" else character)
    base, mark = parts[0], _ACCENTS.get(parts[1:])
    if mark is None or not (base.isascii() and base.isalpha()):
        return ()
    letter = _runs("ı" if base == "i" and mark not in _BELOW else base)
    wide, narrow = _width_of(base), 333
    accent = GlyphRun(
        _extra(mark),
        font=1,
        before=(wide + narrow) / 2,
        after=(narrow - wide) / 2,
        rise=_RAISED if base in _TALL and character != "đ" and mark not in _BELOW else 0,
    )
    return (*letter, accent)


def symbol_codes(character: str) -> bytes:
    """Return the codes in a font of symbols that the characters of a value stand for."""
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004 - a character is its code
        return bytes([code])
    if symbol := _dingbat(character):
        return symbol
    raise UnwritableError(character)


def _dingbat(character: str) -> bytes:
    """Return the code of a tick, a cross or the like in ZapfDingbats; b"" for other characters."""
    if character in _DINGBATS:
        return _DINGBATS[character]
    if ord(character) not in _DINGBAT_BLOCK or character in _MISSING_DINGBATS:
        return b""
    return bytes([0x21 + _DINGBAT_BLOCK.index(ord(character))])


def _extra(glyph: str) -> bytes:
    return bytes([FIRST_CODE + EXTRA_GLYPHS.index(glyph)])


@dataclass(frozen=True)
class TextBox:
    """Where text goes: the space, the alignment and the size that is wanted."""

    width: float
    height: float
    padding: float
    align: int = 0  # 0 left, 1 centred, 2 right: the values of /Q
    size: float = 0.0  # 0: whatever fits

    @property
    def room(self) -> float:
        """The width for text."""
        return max(self.width - 2 * self.padding, 1.0)

    def _start(self, text: str, size: float) -> float:
        free = self.room - width(text, size)
        return self.padding + max(free, 0.0) * (0.0, 0.5, 1.0)[self.align]

    def one_line(self, text: str) -> PlacedText:
        """Place text on one line; text that is too long is made smaller, but stays readable."""
        size = self.size or min(_USUAL_SIZE, self.height * 0.8)
        natural = width(text, size)
        if natural > self.room:
            size = max(size * self.room / natural, min(size, _LEAST_SIZE))
        return PlacedText(size, (TextLine(self._start(text, size), self._middle(size), text),))

    def _middle(self, size: float) -> float:
        return self.height / 2 - (_ASCENT - _DESCENT) / 2 * size

    def comb(self, text: str, cells: int) -> PlacedText:
        """Place each character in the middle of its cell."""
        cell = self.width / cells
        size = self.size or min(_USUAL_SIZE, self.height * 0.8)
        size = min(size, 1000 * cell / max(map(_width_of, text), default=1000))
        lines = tuple(
            TextLine(cell * (at + 0.5) - width(each, size) / 2, self._middle(size), each)
            for at, each in enumerate(text[:cells])
        )
        return PlacedText(size, lines)

    def rows(self, texts: list[str]) -> PlacedText:
        """Place each text on a line of its own, from the top, as many as have room; one at least.

        One that is too long is not broken, but leaves the box.
        """
        size = self.size or _USUAL_SIZE
        step = _LEADING * size
        top = self.height - self.padding - _ASCENT * size
        most = max(int((self.height - 2 * self.padding) / step), 1)
        lines = (
            TextLine(self._start(text, size), top - at * step, text)
            for at, text in enumerate(texts[:most])
        )
        return PlacedText(size, tuple(lines))

    def many_lines(self, text: str) -> PlacedText:
        """Break text into lines from the top; if there are too many, make it smaller."""
        size = self.size or _USUAL_SIZE
        room = self.height - 2 * self.padding
        lines = _broken(text, self.room, size)
        while len(lines) * _LEADING * size > room and size > _LEAST_SIZE:
            size = max(size * 0.93, _LEAST_SIZE)
            lines = _broken(text, self.room, size)
        top = self.height - self.padding - _ASCENT * size
        placed = (
            TextLine(self._start(line, size), top - at * _LEADING * size, line)
            for at, line in enumerate(lines)
        )
        return PlacedText(size, tuple(placed))


def _broken(text: str, room: float, size: float) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if width(longer, size) <= room:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while len(line) > 1 and width(line, size) > room:
                fitting = _fitting(line, room, size)
                lines.append(line[:fitting])
                line = line[fitting:]
        lines.append(line)
    return lines


def _fitting(text: str, room: float, size: float) -> int:
    """Return how many characters fit, but at least one."""
    used = 0.0
    for at, character in enumerate(text):
        used += width(character, size)
        if used > room:
            return max(at, 1)
    return len(text)
