"""Places looks on a page, on top of its own content.

The page's own content first becomes an XObject. Whatever it leaves open (a q, a string, a text,
marked content), or a Q too many, ends there and does not affect what is placed after it.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from math import cos, radians, sin
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object, ObjectSet, Pdf, PdfError, Stream

from faxdrop.documents.pdf.fields import name_of, numbers_of, stream_start

Rect = tuple[float, float, float, float]  # left, bottom, right, top, in points
Point = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float]

_EVERYWHERE: Rect = (-32_000, -32_000, 32_000, 32_000)
_MAX_CONTENT = 1 << 28  # bytes of a page's content that is damaged
_MAX_NESTED = 200  # XObjects of one look that are copied
_LEAST = 1e-6  # a smaller side counts as none


class Piece(NamedTuple):
    """A look and where it goes."""

    look: Stream
    rect: Rect
    pivot: Point | None = None  # it does not turn with the page (NoRotate), but about this point
    layer: Object | None = None  # optional content that it belongs to
    multiplied: bool = False  # it darkens what is beneath and never covers it
    ground: Stream | None = None  # another look for the same place, beneath it


def corners_of(value: Object | None) -> Rect | None:
    """Return a rectangle with its corners in order; None if it is no rectangle."""
    numbers = numbers_of(value)
    if len(numbers) != 4:  # noqa: PLR2004 - two corners
        return None
    left, right = sorted(numbers[0::2])
    bottom, top = sorted(numbers[1::2])
    return left, bottom, right, top


def inherited(page: Dictionary, key: Name) -> Object | None:
    """Return the value of a key in a page, or else in the nearest node above that has it."""
    node: Object | None = page
    for _ in range(50):
        if not isinstance(node, Dictionary):
            return None
        if (value := node.get_raw(key)) is not None:
            return value
        node = node.get_raw(Name.Parent)
    return None


def placement(look: Stream, rect: Rect) -> Matrix | None:
    """Return the matrix that fits a look into a rectangle; None if it would not be visible.

    ISO 32000-1, 12.5.5, algorithm 8.1. A look without /BBox keeps its size and starts at the lower
    left corner, as pdfium shows it.
    """
    own = _matrix_of(look)
    inner = corners_of(look.get_raw(Name.BBox))
    if inner is None:
        return (1, 0, 0, 1, rect[0] - own[4], rect[1] - own[5])
    left, bottom, right, top = _bounds(inner, own)
    if min(right - left, top - bottom, rect[2] - rect[0], rect[3] - rect[1]) < _LEAST:
        return None
    wide, high = (rect[2] - rect[0]) / (right - left), (rect[3] - rect[1]) / (top - bottom)
    return (wide, 0, 0, high, rect[0] - left * wide, rect[1] - bottom * high)


def _matrix_of(look: Stream) -> Matrix:
    match numbers_of(look.get_raw(Name.Matrix)):
        case [a, b, c, d, e, f]:
            return (a, b, c, d, e, f)
        case _:
            return (1, 0, 0, 1, 0, 0)


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (
        a * g + b * i,
        a * h + b * j,
        c * g + d * i,
        c * h + d * j,
        e * g + f * i + k,
        e * h + f * j + m,
    )


def _bounds(box: Rect, matrix: Matrix) -> Rect:
    a, b, c, d, e, f = matrix
    points = [(a * x + c * y + e, b * x + d * y + f) for x in box[0::2] for y in box[1::2]]
    across, up = zip(*points, strict=True)
    return min(across), min(up), max(across), max(up)


def area_of(rect: Rect, turn: int, pivot: Point | None) -> Rect:
    """Return the area that a rectangle covers on a turned page; see ``Piece`` for the pivot."""
    return _bounds(rect, _upright(pivot, turn)) if pivot is not None else rect


def _upright(pivot: Point, turn: int) -> Matrix:
    """Return the turn that undoes that of the page."""
    left, top = pivot
    c, s = round(cos(radians(turn))), round(sin(radians(turn)))
    return _times((1, 0, 0, 1, -left, -top), (c, s, -s, c, left, top))


def place(
    pdf: Pdf, page: Dictionary, pieces: Iterable[Piece], common: Dictionary | None = None
) -> None:
    """Draw looks on a page, in their order; ``common`` are the resources of its form.

    Writes only to the page object: contents, resources and looks may be shared.
    """
    resources = _copied(inherited(page, Name.Resources))
    for_looks = _merged(resources, common)
    content: list[bytes] = []
    own = _own_content(pdf, page, resources)
    if own is not None:
        content.append(b"q %s Do Q\n" % _named(resources, Name.XObject, own))
    turn = turn_of(page)
    before = len(content)
    for piece in _grounded(pieces):
        matrix = placement(piece.look, piece.rect)
        if matrix is None:
            continue
        if piece.pivot is not None:
            matrix = _times(matrix, _upright(piece.pivot, turn))
        look = _complete(piece, for_looks)
        drawing = b"%s cm %s Do" % (_written(matrix), _named(resources, Name.XObject, look))
        if piece.multiplied:
            multiply = Dictionary(Type=Name.ExtGState, BM=Name.Multiply)
            drawing = b"%s gs %s" % (_named(resources, Name.ExtGState, multiply), drawing)
        if isinstance(piece.layer, Dictionary):
            layer = _named(resources, Name.Properties, piece.layer)
            drawing = b"/OC %s BDC %s EMC" % (layer, drawing)
        content.append(b"q %s Q\n" % drawing)
    if len(content) > before:
        page[Name.Resources] = resources
        page[Name.Contents] = Stream(pdf, b"".join(content))


def _grounded(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        if piece.ground is not None:
            yield piece._replace(look=piece.ground)
        yield piece


def turn_of(page: Dictionary) -> int:
    """Return by how many degrees a viewer turns a page clockwise."""
    turn = inherited(page, Name.Rotate)
    return round(turn.as_float(0.0)) % 360 if turn is not None else 0


def _written(matrix: Matrix) -> bytes:
    return " ".join(f"{number:.6f}" for number in matrix).encode()


def _copied(value: Object | None) -> Dictionary:
    return copy.copy(value) if isinstance(value, Dictionary) else Dictionary()


def _merged(resources: Dictionary, common: Dictionary | None) -> Dictionary:
    merged = _copied(resources)
    for category, group in common.items() if common is not None else ():
        if isinstance(group, Dictionary):
            both = _copied(merged.get_raw(name_of(category[1:])))
            for name, value in group.items():
                if name not in both:
                    both[name] = value
            merged[category] = both
    return merged


def _named(resources: Dictionary, category: Name, value: Object) -> bytes:
    """Give a resource a unique name, and return that name."""
    group = _copied(resources.get_raw(category))
    number = len(group)
    while (name := Name(f"/Fd{number}")) in group:
        number += 1
    group[name] = value
    resources[category] = group
    return str(name).encode()


# -- the page's own content ------------------------------------------------------------------


def _own_content(pdf: Pdf, page: Dictionary, resources: Dictionary) -> Stream | None:
    contents = page.get_raw(Name.Contents)
    listed = contents if isinstance(contents, Array) else (contents,)
    streams = [each for each in listed if isinstance(each, Stream)]
    if not streams:
        return None
    if len(streams) == 1:
        own = copy.copy(streams[0])
        for key in set(own.keys()) - {"/Filter", "/DecodeParms", "/Length"}:
            del own[key]
    else:
        own = Stream(pdf, b"\n".join(map(_decoded, streams)))
    own[Name.Type] = Name.XObject
    own[Name.Subtype] = Name.Form
    own[Name.BBox] = Array(list(_sheet(page)))
    own[Name.Resources] = _copied(resources)
    return own


def _decoded(stream: Stream) -> bytes:
    try:
        return stream.read_bytes()
    except PdfError:
        return stream_start(stream, _MAX_CONTENT)  # as much of it as viewers show


def _sheet(page: Dictionary) -> Rect:
    """Return the box around everything of the page that can be seen."""
    boxes = [corners_of(inherited(page, key)) for key in (Name.MediaBox, Name.CropBox)]
    known = [box for box in boxes if box is not None]
    if not known:
        return _EVERYWHERE
    left, bottom, right, top = zip(*known, strict=True)
    return min(left), min(bottom), max(right), max(top)


# -- looks -----------------------------------------------------------------------------------


def _complete(piece: Piece, resources: Dictionary) -> Stream:
    """Return a look with all that it needs on a page; a copy if something is missing."""
    look = piece.look
    if piece.multiplied or _blends(look):
        look = _ungrouped(look, {}, keep_modes=not piece.multiplied)
    missing: dict[Name, Object] = {}
    if look.get_raw(Name.Subtype) != Name.Form:
        missing[Name.Subtype] = Name.Form
    if corners_of(look.get_raw(Name.BBox)) is None:
        missing[Name.BBox] = Array(list(_EVERYWHERE))
    own = look.get_raw(Name.Resources)
    if not isinstance(own, Dictionary):
        missing[Name.Resources] = _copied(resources)
    elif Name.Font not in own and isinstance(resources.get_raw(Name.Font), Dictionary):
        # Adobe's programs look for a font in the form's resources, too.
        missing[Name.Resources] = both = copy.copy(own)
        both[Name.Font] = resources[Name.Font]
    if missing:
        look = copy.copy(look)
        for key, value in missing.items():
            look[key] = value
    return look


def _states(look: Stream) -> list[Dictionary]:
    return [each for each in _entries(look, Name.ExtGState) if isinstance(each, Dictionary)]


def _entries(look: Stream, category: Name) -> Sequence[Object]:
    resources = look.get_raw(Name.Resources)
    group = resources.get_raw(category) if isinstance(resources, Dictionary) else None
    return [value for _, value in group.items()] if isinstance(group, Dictionary) else ()


def _blends(look: Stream) -> bool:
    """Return whether a look mixes with what is beneath it."""
    seen = ObjectSet()
    waiting = [look]
    while waiting and len(seen) < _MAX_NESTED:
        form = waiting.pop()
        if not seen.add(form):
            continue
        modes = (state.get_raw(Name.BM) for state in _states(form))
        if any(mode not in (None, Name.Normal, Name.Compatible) for mode in modes):
            return True
        waiting += _forms(form)
    return False


def _forms(look: Stream) -> Iterator[Stream]:
    for each in _entries(look, Name.XObject):
        if isinstance(each, Stream) and each.get_raw(Name.Subtype) == Name.Form:
            yield each


def _ungrouped(look: Stream, done: dict[tuple[int, int], Stream], *, keep_modes: bool) -> Stream:
    """Return a copy of a look that is drawn straight onto the page, with the XObjects in it.

    Some renderers do not blend a group with the page when they draw in grey, and so cover what is
    beneath.
    """
    if look.objgen in done or len(done) >= _MAX_NESTED:
        return done.get(look.objgen, look)
    plain = done[look.objgen] = copy.copy(look)
    if Name.Group in plain:
        del plain[Name.Group]
    resources = look.get_raw(Name.Resources)
    if not isinstance(resources, Dictionary):
        return plain
    plain[Name.Resources] = resources = copy.copy(resources)
    forms, states = (_copied(resources.get_raw(key)) for key in (Name.XObject, Name.ExtGState))
    for name, form in list(forms.items()):
        if isinstance(form, Stream) and form.get_raw(Name.Subtype) == Name.Form:
            forms[name] = _ungrouped(form, done, keep_modes=keep_modes)
    for name, state in list(states.items()):
        if isinstance(state, Dictionary) and Name.BM in state and not keep_modes:
            states[name] = plain_state = copy.copy(state)
            del plain_state[Name.BM]
    resources[Name.XObject], resources[Name.ExtGState] = forms, states
    return plain
