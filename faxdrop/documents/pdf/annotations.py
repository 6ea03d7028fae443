"""Draws the marks that people put on pages, if the PDF leaves that to the viewer.

The keys of ink, lines, shapes, highlights and the like say how these look. Coordinates are those of
the page.
"""

from collections.abc import Callable, Iterator, Sequence
from math import atan2, cos, hypot, sin
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object

from faxdrop.documents.pdf.fields import name_text, numbers_of
from faxdrop.documents.pdf.placing import Point, Rect, corners_of

Quad = tuple[Point, Point, Point, Point]  # upper left, upper right, lower left, lower right

_MAX_WIDTH = 72.0  # points, of a line
_ROUND = 0.5523  # how far the control points of a quarter of a circle are, in parts of its radius
_OPERATORS = {1: b"g", 3: b"rg", 4: b"k"}


class Sketch(NamedTuple):
    """How a mark is drawn."""

    content: bytes
    box: Rect
    opacity: float
    multiplied: bool = False  # what is beneath stays readable


def colour(value: Object | None, default: bytes = b"", *, stroke: bool) -> bytes:
    """Return the operator that sets a colour; the default if there is none."""
    parts = numbers_of(value)
    if len(parts) not in _OPERATORS:
        return b"" if isinstance(value, Array) else default
    operator = _OPERATORS[len(parts)]
    return written(*parts) + b" " + (operator.upper() if stroke else operator)


def written(*numbers: float) -> bytes:
    """Return numbers as operands."""
    return " ".join(f"{number:.3f}" for number in numbers).encode()


def opacity_of(mark: Dictionary) -> float:
    """Return how opaque a mark is, from 0 to 1."""
    return min(max(mark.get_float(Name.CA, 1.0), 0.0), 1.0)


def line_width(mark: Dictionary, default: float = 1.0) -> float:
    """Return the width of a mark's line or border."""
    style = mark.get_raw(Name.BS)
    if isinstance(style, Dictionary):
        return min(max(style.get_float(Name.W, default), 0.0), _MAX_WIDTH)
    border = numbers_of(mark.get_raw(Name.Border))
    return min(max(border[2], 0.0), _MAX_WIDTH) if len(border) > 2 else default  # noqa: PLR2004


def sketch_of(mark: Dictionary) -> Sketch | None:
    """Draw a mark; None if its keys say nothing that could be drawn."""
    kind = name_text(mark.get_raw(Name.Subtype))
    draw = _DRAWN.get(kind)
    if draw is None:
        return None
    width = line_width(mark)
    points, content = draw(mark, width)
    if not points or not content:
        return None
    across, up = zip(*points, strict=True)
    room = 5 * width + 2  # for line ends and joints
    box = (min(across) - room, min(up) - room, max(across) + room, max(up) + room)
    return Sketch(b"1 J 1 j " + content, box, opacity_of(mark), kind == "/Highlight")


_Drawing = tuple[Sequence[Point], bytes]  # the points that it encloses, and its operators


def _pairs(value: Object | None) -> list[Point]:
    numbers = numbers_of(value)
    return list(zip(numbers[0::2], numbers[1::2], strict=False))


def _path(points: Sequence[Point]) -> bytes:
    if len(points) == 1:
        points = [points[0], points[0]]  # a dot
    steps = (b"%s %s" % (written(*point), b"l" if at else b"m") for at, point in enumerate(points))
    return b" ".join(steps)


def _stroke(mark: Dictionary, width: float) -> bytes:
    """Return how lines are drawn; b"" if they are not."""
    ink = colour(mark.get_raw(Name.C), b"0 G", stroke=True)
    if not ink or width <= 0:
        return b""
    style = mark.get_raw(Name.BS)
    dashes = b""
    if isinstance(style, Dictionary) and style.get_raw(Name.S) == Name.D:
        lengths = [each for each in numbers_of(style.get_raw(Name.D)) if each > 0] or [3.0]
        dashes = b"[%s] 0 d " % written(*lengths[:4])
    return b"%s %s w %s" % (ink, written(width), dashes)


def _painted(mark: Dictionary, width: float, path: bytes) -> bytes:
    """Return a closed path, filled and stroked as the mark says."""
    fill = colour(mark.get_raw(Name.IC), stroke=False)
    stroke = _stroke(mark, width)
    if not fill and not stroke:
        return b""
    operator = b"b" if fill and stroke else b"f" if fill else b"s"
    return b"%s %s %s %s" % (fill, stroke, path, operator)


def _ink(mark: Dictionary, width: float) -> _Drawing:
    strokes = mark.get_raw(Name.InkList)
    drawn = [_pairs(each) for each in strokes] if isinstance(strokes, Array) else []
    drawn = [points for points in drawn if points]
    pen = _stroke(mark, width)
    content = pen + b" ".join(_path(points) + b" S" for points in drawn) if pen and drawn else b""
    return [point for points in drawn for point in points], content


def _line(mark: Dictionary, width: float) -> _Drawing:
    points = _pairs(mark.get_raw(Name.L))[:2]
    return _open_line(mark, width, points if len(points) > 1 else [])


def _poly_line(mark: Dictionary, width: float) -> _Drawing:
    return _open_line(mark, width, _pairs(mark.get_raw(Name.Vertices)))


def _open_line(mark: Dictionary, width: float, points: list[Point]) -> _Drawing:
    pen = _stroke(mark, width)
    if not pen or len(points) < 2:  # noqa: PLR2004 - both ends
        return [], b""
    ends = mark.get_raw(Name.LE)
    names = [name_text(each) for each in ends][:2] if isinstance(ends, Array) else []
    fill = colour(mark.get_raw(Name.IC), stroke=False)
    content = b"%s %s S" % (pen, _path(points))
    reach = [*points]
    for name, tip, other in zip(
        names, (points[0], points[-1]), (points[1], points[-2]), strict=False
    ):
        drawn = _line_end(name, tip, other, width, fill=bool(fill))
        content += b" " + b" ".join(part for part in (fill, drawn) if part)
    return reach, content


def _line_end(name: str, tip: Point, other: Point, width: float, *, fill: bool) -> bytes:
    angle = atan2(other[1] - tip[1], other[0] - tip[0])  # from the tip back along the line
    size = 4 * width + 1

    def at(turn: float, far: float = size) -> Point:
        return tip[0] + far * cos(angle + turn), tip[1] + far * sin(angle + turn)

    closed = b" b" if fill else b" s"
    match name:
        case "/OpenArrow":
            return _path([at(0.5), tip, at(-0.5)]) + b" S"
        case "/ClosedArrow":
            return _path([at(0.5), tip, at(-0.5)]) + closed
        case "/ROpenArrow" | "/RClosedArrow":
            return _path([at(2.64), tip, at(-2.64)]) + (b" S" if "Open" in name else closed)
        case "/Butt" | "/Slash":
            turn = 1.571 if name == "/Butt" else 1.047
            return _path([at(turn), at(turn - 3.1416)]) + b" S"
        case "/Square" | "/Diamond" | "/Circle":
            corners = [at(turn, size * 0.7) for turn in (0.0, 1.571, 3.1416, 4.712)]
            return _path(corners) + closed
        case _:
            return b""


def _polygon(mark: Dictionary, width: float) -> _Drawing:
    points = _pairs(mark.get_raw(Name.Vertices))
    return points, _painted(mark, width, _path(points)) if len(points) > 1 else b""


def _inside(mark: Dictionary, width: float) -> Rect | None:
    """Return where the middle of a shape's line runs, as viewers draw it: they ignore /RD."""
    rect = corners_of(mark.get_raw(Name.Rect))
    if rect is None:
        return None
    left, bottom, right, top = rect
    half = min(width / 2, (right - left) / 4, (top - bottom) / 4)
    return left + half, bottom + half, right - half, top - half


def _square(mark: Dictionary, width: float) -> _Drawing:
    box = _inside(mark, width)
    if box is None:
        return [], b""
    corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    return corners, _painted(mark, width, _path(corners))


def _circle(mark: Dictionary, width: float) -> _Drawing:
    box = _inside(mark, width)
    if box is None:
        return [], b""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    a, b = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    path = written(x + a, y) + b" m"
    for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1)):  # from here a quarter to the left
        near = (x + a * (c - s * _ROUND), y + b * (s + c * _ROUND))
        far = (x + a * (-s + c * _ROUND), y + b * (c + s * _ROUND))
        path += b" %s c" % written(*near, *far, x - a * s, y + b * c)
    return [(box[0], box[1]), (box[2], box[3])], _painted(mark, width, path)


def _quads(mark: Dictionary) -> Iterator[Quad]:
    """Yield the places of a mark on text; if it names none, its rectangle."""
    points = _pairs(mark.get_raw(Name.QuadPoints))
    for at in range(0, len(points) - 3, 4):
        one, two, three, four = points[at : at + 4]
        # The standard has the corners in a circle, but programs write them line by line.
        along = (two[0] - one[0]) * (four[0] - three[0]) + (two[1] - one[1]) * (four[1] - three[1])
        yield (one, two, three, four) if along >= 0 else (four, three, one, two)
    rect = corners_of(mark.get_raw(Name.Rect))
    if len(points) < 4 and rect is not None:  # noqa: PLR2004 - corners
        left, bottom, right, top = rect
        yield (left, top), (right, top), (left, bottom), (right, bottom)


def _on_text(mark: Dictionary, operators: Callable[[Quad], bytes], pen: bytes) -> _Drawing:
    quads = list(_quads(mark))
    if not pen or not quads:
        return [], b""
    corners = [point for quad in quads for point in quad]
    return corners, pen + b" " + b" ".join(map(operators, quads))


def _highlight(mark: Dictionary, _width: float) -> _Drawing:
    def filled(quad: Quad) -> bytes:
        return _path([quad[0], quad[1], quad[3], quad[2]]) + b" f"

    return _on_text(mark, filled, colour(mark.get_raw(Name.C), b"1 1 0 rg", stroke=False))


def _between(low: Point, high: Point, part: float) -> Point:
    return low[0] + (high[0] - low[0]) * part, low[1] + (high[1] - low[1]) * part


def _text_line(height: float) -> Callable[[Dictionary, float], _Drawing]:
    def draw(mark: Dictionary, _width: float) -> _Drawing:
        def line(quad: Quad) -> bytes:
            ends = _between(quad[2], quad[0], height), _between(quad[3], quad[1], height)
            return _path(ends) + b" S"

        return _on_text(mark, line, _stroke(mark, 1.0))

    return draw


def _squiggly(mark: Dictionary, _width: float) -> _Drawing:
    def zigzag(quad: Quad) -> bytes:
        low = _between(quad[2], quad[0], 0.04), _between(quad[3], quad[1], 0.04)
        high = _between(quad[2], quad[0], 0.16), _between(quad[3], quad[1], 0.16)
        length = hypot(low[1][0] - low[0][0], low[1][1] - low[0][1])
        count = min(max(int(length / 2), 2), 1000)
        points = [_between(*(high if at % 2 else low), at / count) for at in range(count + 1)]
        return _path(points) + b" S"

    return _on_text(mark, zigzag, _stroke(mark, 1.0))


def _redaction(mark: Dictionary, width: float) -> _Drawing:
    def outline(quad: Quad) -> bytes:
        return _path([quad[0], quad[1], quad[3], quad[2]]) + b" s"

    return _on_text(mark, outline, _stroke(mark, width))


def _caret(mark: Dictionary, _width: float) -> _Drawing:
    box = _inside(mark, 0.0)
    if box is None:
        return [], b""
    left, bottom, right, top = box
    middle = (left + right) / 2
    corners = [(left, bottom), (middle, top), (right, bottom)]
    return corners, _stroke(mark, 1.0) + _path(corners) + b" S"


_DRAWN: dict[str, Callable[[Dictionary, float], _Drawing]] = {
    "/Ink": _ink,
    "/Line": _line,
    "/PolyLine": _poly_line,
    "/Polygon": _polygon,
    "/Square": _square,
    "/Circle": _circle,
    "/Highlight": _highlight,
    "/Underline": _text_line(0.06),
    "/StrikeOut": _text_line(0.4),
    "/Squiggly": _squiggly,
    "/Redact": _redaction,
    "/Caret": _caret,
}
