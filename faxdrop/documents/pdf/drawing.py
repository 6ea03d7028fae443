"""Draws looks for form fields and for text on pages that bring none of their own."""

import copy
import re
from collections.abc import Iterable
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

from faxdrop.documents.pdf import fields
from faxdrop.documents.pdf.annotations import Sketch, colour, line_width, opacity_of
from faxdrop.documents.pdf.fields import Field, name_text, numbers_of, text_of
from faxdrop.documents.pdf.lettering import (
    EXTRA_GLYPHS,
    FIRST_CODE,
    PlacedText,
    TextBox,
    runs,
    symbol_codes,
    written,
)
from faxdrop.documents.pdf.placing import Rect, corners_of

# The fonts of each look: Windows' character set, accents, dingbats; and that of /DA, for symbols.
_FONTS = (Name("/FdA"), Name("/FdB"), Name("/FdC"))
_SYMBOLS = Name("/FdS")
_SYMBOL_WIDTH = 800  # thousandths, where the font does not say
_MAX_SIDE = 20_000.0  # points; the largest page of PDF 1.7 has 14,400
_MAX_CELLS = 1000

# Paths in a box of one by one, with the way to paint them; what /CA in ZapfDingbats stands for.
_CIRCLE = (
    b"0.85 0.5 m 0.85 0.693 0.693 0.85 0.5 0.85 c 0.307 0.85 0.15 0.693 0.15 0.5 c "
    b"0.15 0.307 0.307 0.15 0.5 0.15 c 0.693 0.15 0.85 0.307 0.85 0.5 c f"
)
_CHECK = b"0.12 w 0.15 0.5 m 0.4 0.2 l 0.85 0.85 l S"
_MARKS = {
    "4": _CHECK,
    "8": b"0.12 w 0.15 0.15 m 0.85 0.85 l 0.15 0.85 m 0.85 0.15 l S",
    "l": _CIRCLE,
    "n": b"0.2 0.2 0.6 0.6 re f",
    "u": b"0.5 0.1 m 0.9 0.5 l 0.5 0.9 l 0.1 0.5 l f",
}
# Turned appearances: /R of /MK -> the /Matrix for a box of the given width and height.
_TURNS = {
    90: (0, 1, -1, 0, 1, 0),
    180: (-1, 0, 0, -1, 1, 1),
    270: (0, -1, 1, 0, 0, 1),
}


class _Frame(NamedTuple):
    """Where something is drawn, and what is around it."""

    width: float
    height: float
    matrix: tuple[float, ...]
    border: float  # width of its line
    surround: bytes  # operators for background and border


def text_on(mark: Dictionary) -> str:
    """Return the text that somebody wrote or stamped onto the page."""
    if name_text(mark.get_raw(Name.Subtype)) == "/Stamp":
        words = re.sub("([a-z])([A-Z])", r"\1 \2", text_of(mark.get_raw(Name.Name)) or "Draft")
        return words.upper()
    return text_of(mark.get_raw(Name.Contents))


class Painter:
    """Draws looks for one PDF. Raises UnwritableError for characters that no font here has."""

    def __init__(self, pdf: Pdf) -> None:
        self._pdf = pdf
        self._fonts: Dictionary | None = None

    def text_field(self, field: Field, *, plain: bool = False) -> Stream | None:
        """Draw a text field or a choice field with its value; None: it has no place.

        ``plain``: without background and border.
        """
        frame = _frame(field.widget)
        if frame is None:
            return None
        if plain:
            frame = frame._replace(surround=b"")
        style = field.style
        box = TextBox(
            frame.width, frame.height, max(2 * frame.border, 2.0), field.align, style.size
        )
        symbols = field.symbols
        if field.kind == "/Tx" and symbols is not None:
            return self._look(frame, _in_symbols(field.value, symbols, box, style.colour), symbols)
        if field.kind == "/Ch":
            lines, chosen = self._choice(field, box)
        else:
            lines, chosen = self._text(field, box), b""
        return self._look(frame, chosen + self._lettered(lines, style.colour, frame))

    def text_mark(self, field: Field) -> Stream | None:
        """Draw text, or a stamp with its name, that somebody put on the page."""
        mark = field.widget
        rect = corners_of(mark.get_raw(Name.Rect))
        frame = _frame(mark)
        if frame is None or rect is None:
            return None
        style = field.style
        text = written(text_on(mark))
        is_stamp = name_text(mark.get_raw(Name.Subtype)) == "/Stamp"
        ink = colour(mark.get_raw(Name.C), b"0 g", stroke=False) if is_stamp else style.colour
        edge = min(line_width(mark, 2.0 if is_stamp else 1.0), frame.width / 4, frame.height / 4)
        ground = b"" if is_stamp else colour(mark.get_raw(Name.C), stroke=False)
        surround = b""
        if ground:
            surround += b"%s 0 0 %s re f " % (ground, _numbers((frame.width, frame.height)))
        if edge and ink:
            inset = (edge / 2, edge / 2, frame.width - edge, frame.height - edge)
            surround += b"%s %s w %s re S " % (_stroking(ink), _numbers((edge,)), _numbers(inset))
        frame = frame._replace(border=edge, surround=b"q %sQ " % surround)
        size = frame.height * 0.6 if is_stamp else style.size
        box = TextBox(
            frame.width, frame.height, max(2 * edge, 2.0), 1 if is_stamp else field.align, size
        )
        lines = box.one_line(text) if is_stamp else box.many_lines(text)
        return self._look(
            frame, self._lettered(lines, ink or b"0 g", frame), opacity=opacity_of(mark)
        )

    def sketch(self, drawn: Sketch) -> Stream:
        """Return the look of a mark, in the page's own coordinates."""
        return self._stream(drawn.content, drawn.box, opacity=drawn.opacity)

    def button(self, field: Field, *, on: bool) -> Stream | None:
        """Draw a check box or a radio button, with its mark if it is on."""
        frame = _frame(field.widget)
        if frame is None:
            return None
        mark = b""
        if on:
            settings = field.widget.get_raw(Name.MK)
            wanted = settings.get_str(Name.CA, "") if isinstance(settings, Dictionary) else ""
            usual = _CIRCLE if field.flags & fields.RADIO else _CHECK
            side = min(frame.width, frame.height)
            place = (side, 0, 0, side, (frame.width - side) / 2, (frame.height - side) / 2)
            ink = field.style.colour
            both = ink + b" " + _stroking(ink)
            mark = b"q %s %s cm %s Q " % (both, _numbers(place), _MARKS.get(wanted, usual))
        return self._look(frame, mark)

    # -- inside -----------------------------------------------------------------------------

    def _text(self, field: Field, box: TextBox) -> PlacedText:
        text = written(field.value)
        flags = field.flags
        if flags & fields.PASSWORD:
            text = "*" * len(text)
        if flags & fields.MULTILINE:
            return box.many_lines(text)
        text = text.replace("\n", " ")
        cells = field.number(Name.MaxLen)
        if flags & fields.COMB and 0 < cells <= _MAX_CELLS:
            return box.comb(text, cells)
        return box.one_line(text)

    def _choice(self, field: Field, box: TextBox) -> tuple[PlacedText, bytes]:
        """Return the text of a choice field, and the operators that mark the chosen ones."""
        options = field.options
        names = {option.value: option.shown for option in reversed(options)}
        chosen = [names.get(value, value) for value in field.values]
        if field.flags & fields.COMBO:
            return box.one_line(written(" ".join(chosen))), b""
        shown = [written(option.shown) for option in options[:_MAX_CELLS]]
        lines = box.many_lines("\n".join(shown))
        if len(lines.lines) != len(options) or lines.lines[-1].y < 0:
            first = max(field.number(Name.TI), 0)
            lines, options = box.rows(shown[first:]), options[first:][: len(shown)]
            if not set(chosen) <= {option.shown for option in options[: len(lines.lines)]}:
                # Viewers show them only to who scrolls, but what was chosen must not be lost.
                return box.many_lines("\n".join(map(written, chosen))), b""
        marked = (
            _numbers((0, line.y - 0.25 * lines.size, box.width, 1.15 * lines.size))
            for line, option in zip(lines.lines, options, strict=False)
            if option.shown in chosen
        )
        return lines, b"0.75 g " + b"".join(bar + b" re f " for bar in marked)

    def _lettered(self, lines: PlacedText, colour: bytes, frame: _Frame) -> bytes:
        edge = frame.border
        inside = (edge, edge, max(frame.width - 2 * edge, 0), max(frame.height - 2 * edge, 0))
        shown = b"".join(
            b"%s Tm %s" % (_numbers((1, 0, 0, 1, line.x, line.y)), _shown(line.text, lines.size))
            for line in lines.lines
        )
        return b"/Tx BMC q %s re W n BT %s %sET Q EMC" % (_numbers(inside), colour, shown)

    def _look(
        self, frame: _Frame, content: bytes, symbols: Object | None = None, opacity: float = 1.0
    ) -> Stream:
        look = self._stream(
            frame.surround + content, (0, 0, frame.width, frame.height), opacity=opacity
        )
        look[Name.Matrix] = Array([_rounded(number) for number in frame.matrix])
        fonts = self._fonts or self._made_fonts()
        if symbols is not None:
            fonts = copy.copy(fonts)
            fonts[_SYMBOLS] = symbols
        look[Name.Resources][Name.Font] = fonts
        return look

    def _stream(self, content: bytes, box: Rect, *, opacity: float) -> Stream:
        resources = Dictionary()
        if opacity < 1:
            state = Dictionary(Type=Name.ExtGState, CA=opacity, ca=opacity)
            resources[Name.ExtGState] = Dictionary(Opacity=state)
            content = b"/Opacity gs " + content
        look = Stream(self._pdf, content)
        look[Name.Type] = Name.XObject
        look[Name.Subtype] = Name.Form
        look[Name.BBox] = Array([_rounded(side) for side in box])
        look[Name.Resources] = resources
        return look

    def _made_fonts(self) -> Dictionary:
        names = (Name("/" + glyph) for glyph in EXTRA_GLYPHS)
        accents = Dictionary(Type=Name.Encoding, Differences=Array([FIRST_CODE, *names]))
        kinds = (
            Dictionary(BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding),
            Dictionary(BaseFont=Name.Helvetica, Encoding=accents),
            Dictionary(BaseFont=Name.ZapfDingbats),
        )
        self._fonts = Dictionary()
        for name, font in zip(_FONTS, kinds, strict=True):
            font[Name.Type], font[Name.Subtype] = Name.Font, Name.Type1
            self._fonts[name] = self._pdf.make_indirect(font)
        return self._fonts


def _shown(text: str, size: float) -> bytes:
    """Return the operators that show text in these fonts."""
    return b"".join(
        b"%s %s Tf %s Ts [%s <%s> %s] TJ "
        % (
            str(_FONTS[run.font]).encode(),
            _numbers((size,)),
            _numbers((run.rise * size / 1000,)),
            _numbers((run.before,)),
            run.codes.hex().encode(),
            _numbers((run.after,)),
        )
        for run in runs(text)
    )


def _in_symbols(text: str, font: Dictionary, box: TextBox, ink: bytes) -> bytes:
    """Return the operators that show a text whose characters are codes in a font of symbols."""
    codes = b"".join(map(symbol_codes, text))
    first = font.get_int(Name.FirstChar, 0)
    widths = numbers_of(font.get_raw(Name.Widths))
    listed = (widths[code - first : code - first + 1] for code in codes if code >= first)
    natural = sum(each[0] if each else _SYMBOL_WIDTH for each in listed) or _SYMBOL_WIDTH
    size = box.size or min(12.0, box.height * 0.8)
    size = min(size, 1000 * box.room / natural)
    x = box.padding + (box.room - natural * size / 1000) * (0.0, 0.5, 1.0)[box.align]
    y = box.height / 2 - 0.35 * size
    at = _numbers((size,)), _numbers((x, y)), codes.hex().encode()
    return b"q BT %s %s %s Tf %s Td <%s> Tj ET Q" % (ink, str(_SYMBOLS).encode(), *at)


def _stroking(ink: bytes) -> bytes:
    """Return the operator that gives lines the colour of surfaces."""
    *numbers, operator = ink.split()
    return b" ".join((*numbers, operator.upper()))


def _rounded(number: float) -> float:
    return round(number, 3)


def _numbers(values: Iterable[float]) -> bytes:
    return " ".join(f"{value:.3f}" for value in values).encode()


def _frame(widget: Dictionary) -> _Frame | None:
    rect = corners_of(widget.get_raw(Name.Rect))
    if rect is None:
        return None
    sides = rect[2] - rect[0], rect[3] - rect[1]
    if not (0 < sides[0] < _MAX_SIDE and 0 < sides[1] < _MAX_SIDE):
        return None
    settings = widget.get_raw(Name.MK)
    settings = settings if isinstance(settings, Dictionary) else Dictionary()
    turn = settings.get_int(Name.R, 0) % 360
    a, b, c, d, e, f = _TURNS.get(turn, (1, 0, 0, 1, 0, 0))
    matrix = (a, b, c, d, e * sides[0], f * sides[1])
    width, height = sides if turn in (0, 180) else sides[::-1]
    background = colour(settings.get_raw(Name.BG), stroke=False)
    line = colour(settings.get_raw(Name.BC), stroke=True)
    border = 0.0
    surround = b""
    if background:
        surround += b"q %s 0 0 %s re f Q " % (background, _numbers((width, height)))
    if line:
        border = min(line_width(widget), width / 4, height / 4)
        inset = (border / 2, border / 2, width - border, height - border)
        surround += b"q %s %s w %s re S Q " % (line, _numbers((border,)), _numbers(inset))
    return _Frame(width, height, matrix, border, surround)
