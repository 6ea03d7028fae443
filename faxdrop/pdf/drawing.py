"""Drawing the appearance of form fields that bring none of their own."""

from collections.abc import Iterable
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

from faxdrop.pdf import fields
from faxdrop.pdf.fields import Field
from faxdrop.pdf.lettering import EXTRA_GLYPHS, FIRST_CODE, Box, Lines, runs, written

_WINDOWS, _EXTRA = Name("/FdA"), Name("/FdB")  # the fonts, in the resources of each appearance
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


class Painter:
    """Draws appearances for one PDF."""

    def __init__(self, pdf: Pdf) -> None:
        self._pdf = pdf
        self._fonts: Dictionary | None = None

    def text_field(self, field: Field) -> None:
        """Draw a text field or a choice field with its value."""
        frame = _frame(field.widget)
        if frame is None:
            return
        style = field.style
        box = Box(frame.width, frame.height, max(2 * frame.border, 2.0), field.align, style.size)
        if field.kind == "/Ch":
            lines, chosen = self._choice(field, box)
        else:
            lines, chosen = self._text(field, box), b""
        self._show(field, frame, chosen + self._lettered(lines, style.colour, frame))

    def free_text(self, field: Field) -> None:
        """Draw text that somebody put on the page as an annotation."""
        frame = _frame(field.widget)
        if frame is None:
            return
        style = field.style
        text = written(fields.text_of(field.widget.get_raw(Name.Contents)))
        box = Box(frame.width, frame.height, max(2 * frame.border, 2.0), field.align, style.size)
        self._show(field, frame, self._lettered(box.many_lines(text), style.colour, frame))

    def button(self, field: Field, *, on: bool) -> None:
        """Draw a check box or a radio button, with its mark where it is on."""
        frame = _frame(field.widget)
        if frame is None:
            return
        mark = b""
        if on:
            settings = field.widget.get_raw(Name.MK)
            wanted = settings.get_str(Name.CA, "") if isinstance(settings, Dictionary) else ""
            usual = _CIRCLE if field.flags & fields.RADIO else _CHECK
            side = min(frame.width, frame.height)
            place = (side, 0, 0, side, (frame.width - side) / 2, (frame.height - side) / 2)
            colour = field.style.colour
            stroke = {b"g": b"G", b"rg": b"RG", b"k": b"K"}[colour.split()[-1]]
            both = colour + b" " + colour.rsplit(None, 1)[0] + b" " + stroke
            mark = b"q %s %s cm %s Q " % (both, _numbers(place), _MARKS.get(wanted, usual))
        self._show(field, frame, mark)

    # -- inside -----------------------------------------------------------------------------

    def _text(self, field: Field, box: Box) -> Lines:
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

    def _choice(self, field: Field, box: Box) -> tuple[Lines, bytes]:
        """Return the text of a choice field, and what marks the chosen ones."""
        options = field.options
        names = {option.value: option.shown for option in reversed(options)}
        chosen = [names.get(value, value) for value in field.values]
        if field.flags & fields.COMBO:
            return box.one_line(written(" ".join(chosen))), b""
        everything = box.many_lines(
            "\n".join(written(option.shown) for option in options[:_MAX_CELLS])
        )
        unbroken = len(everything.lines) == len(options)
        if not unbroken or everything.lines[-1].y < 0:
            return box.many_lines("\n".join(map(written, chosen))), b""
        marked = (
            _numbers((0, line.y - 0.25 * everything.size, box.width, 1.15 * everything.size))
            for line, option in zip(everything.lines, options, strict=True)
            if option.shown in chosen
        )
        return everything, b"0.75 g " + b"".join(bar + b" re f " for bar in marked)

    def _lettered(self, lines: Lines, colour: bytes, frame: _Frame) -> bytes:
        edge = frame.border
        inside = (edge, edge, max(frame.width - 2 * edge, 0), max(frame.height - 2 * edge, 0))
        shown = b"".join(
            b"%s Tm %s" % (_numbers((1, 0, 0, 1, line.x, line.y)), _shown(line.text, lines.size))
            for line in lines.lines
        )
        return b"/Tx BMC q %s re W n BT %s %sET Q EMC" % (_numbers(inside), colour, shown)

    def _show(self, field: Field, frame: _Frame, content: bytes) -> None:
        stream = Stream(self._pdf, frame.surround + content)
        stream[Name.Type] = Name.XObject
        stream[Name.Subtype] = Name.Form
        stream[Name.BBox] = Array([0, 0, _rounded(frame.width), _rounded(frame.height)])
        stream[Name.Matrix] = Array([_rounded(number) for number in frame.matrix])
        stream[Name.Resources] = Dictionary(Font=self._fonts or self._made_fonts())
        field.widget[Name.AP] = Dictionary(N=stream)

    def _made_fonts(self) -> Dictionary:
        fonts = Dictionary()
        fonts[_WINDOWS] = self._font(Name.WinAnsiEncoding)
        names = (Name("/" + glyph) for glyph in EXTRA_GLYPHS)
        fonts[_EXTRA] = self._font(
            Dictionary(Type=Name.Encoding, Differences=Array([FIRST_CODE, *names]))
        )
        self._fonts = fonts
        return fonts

    def _font(self, encoding: Object) -> Object:
        return self._pdf.make_indirect(
            Dictionary(
                Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=encoding
            )
        )


def _shown(text: str, size: float) -> bytes:
    """Return the operators that show text in the two fonts."""
    return b"".join(
        b"%s %s Tf %s Ts [%s <%s> %s] TJ "
        % (
            str(_EXTRA if run.extra else _WINDOWS).encode(),
            _numbers((size,)),
            _numbers((run.rise * size / 1000,)),
            _numbers((run.before,)),
            run.codes.hex().encode(),
            _numbers((run.after,)),
        )
        for run in runs(text)
    )


def _rounded(number: float) -> float:
    return round(number, 3)


def _numbers(values: Iterable[float]) -> bytes:
    return " ".join(f"{value:.3f}" for value in values).encode()


def rectangle(annotation: Dictionary) -> tuple[float, float] | None:
    """Return width and height of an annotation; None where it has none that can be drawn in."""
    corners = annotation.get_list(Name.Rect)
    if corners is None or len(corners) != 4:  # noqa: PLR2004 - two corners
        return None
    left, bottom, right, top = (corner.as_float(0.0) for corner in corners)
    width, height = abs(right - left), abs(top - bottom)
    if not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
        return None
    return width, height


def _frame(widget: Dictionary) -> _Frame | None:
    sides = rectangle(widget)
    if sides is None:
        return None
    settings = widget.get_raw(Name.MK)
    settings = settings if isinstance(settings, Dictionary) else Dictionary()
    turn = settings.get_int(Name.R, 0) % 360
    a, b, c, d, e, f = _TURNS.get(turn, (1, 0, 0, 1, 0, 0))
    matrix = (a, b, c, d, e * sides[0], f * sides[1])
    width, height = sides if turn in (0, 180) else sides[::-1]
    background = _colour(settings.get_raw(Name.BG), stroke=False)
    line = _colour(settings.get_raw(Name.BC), stroke=True)
    border = 0.0
    surround = b""
    if background:
        surround += b"q %s 0 0 %s re f Q " % (background, _numbers((width, height)))
    if line:
        looks = widget.get_raw(Name.BS)
        border = looks.get_float(Name.W, 1.0) if isinstance(looks, Dictionary) else 1.0
        border = min(max(border, 0.0), width / 4, height / 4)
        inset = (border / 2, border / 2, width - border, height - border)
        surround += b"q %s %s w %s re S Q " % (line, _numbers((border,)), _numbers(inset))
    return _Frame(width, height, matrix, border, surround)


def _colour(value: Object | None, *, stroke: bool) -> bytes:
    operators = {1: b"g", 3: b"rg", 4: b"k"}
    if not isinstance(value, Array) or len(value) not in operators:
        return b""
    operator = operators[len(value)]
    parts = (part.as_float(0.0) for part in value)
    return _numbers(parts) + b" " + (operator.upper() if stroke else operator)
