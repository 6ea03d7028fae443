"""Marks that people put on pages are faxed as they are seen: drawn where they bring no look."""

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from faxdrop.documents.pdf import forms
from faxdrop.documents.pdf.areas import Flattened
from tests.kit import pdfs, renderers
from tests.kit.forms import LINE, PLACE, Sheet, flattened, shown_text
from tests.kit.pdfs import Rect
from tests.kit.renderers import ALL, TWO, ink, lost, part

AROUND: Rect = (195, 495, 405, 545)
ROUND_THE_TEXT: Rect = (70, 754, 130, 776)
QUAD = [70, 774, 130, 774, 70, 756, 130, 756]  # as programs write it: line by line
ROUND = [70, 756, 130, 756, 130, 774, 70, 774]  # as the standard has it: round the corners


def has_drawing(data: bytes) -> bool:
    """Tell whether a PDF needs a copy for what is drawn on it."""
    with pikepdf.open(
        io.BytesIO(data), inherit_page_attributes=False, conversion_mode="explicit"
    ) as pdf:
        return forms.kind_of(pdf).has_drawing


def numbers(*values: float) -> Array:
    """Return an array of numbers."""
    return Array(list(values))


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "Ink": lambda: {"InkList": Array([numbers(205, 505, 300, 535, 390, 510), numbers(350, 530)])},
    "Line": lambda: {
        "L": numbers(205, 505, 390, 535),
        "LE": Array([Name.Circle, Name.ClosedArrow]),
    },
    "PolyLine": lambda: {
        "Vertices": numbers(205, 505, 300, 535, 390, 505),
        "LE": Array([Name.Butt]),
    },
    "Polygon": lambda: {"Vertices": numbers(205, 505, 300, 535, 390, 505), "IC": numbers(0)},
    "Square": lambda: {"RD": numbers(5, 5, 5, 5), "BS": Dictionary(W=2, S=Name.D, D=numbers(6, 2))},
    "Circle": lambda: {"IC": numbers(0.2, 0.2, 0.2), "C": Array()},
    "Underline": lambda: {"QuadPoints": numbers(200, 540, 400, 540, 200, 500, 400, 500)},
    "StrikeOut": lambda: {"QuadPoints": numbers(200, 500, 400, 500, 400, 540, 200, 540)},
    "Squiggly": lambda: {"QuadPoints": numbers(200, 540, 400, 540, 200, 500, 400, 500)},
    "Redact": dict,
    "Caret": dict,
    "FreeText": lambda: {"Contents": String("Bitte prüfen"), "DA": String("/Helv 12 Tf 0 g")},
    "Stamp": lambda: {"Name": Name.NotApproved},
}


@pytest.mark.parametrize("kind", KINDS)
def test_marks_without_a_look(kind: str) -> None:
    """Each kind of mark is drawn from its own keys, within its place, though it is not printed."""
    sheet = Sheet()
    sheet.add(PLACE, Subtype=Name("/" + kind), F=0, **KINDS[kind]())
    assert has_drawing(sheet.saved())
    copy, done = flattened(sheet.saved())
    assert len(done.drawn) == 1
    assert not done.replaced
    plain = Sheet().saved()
    for renderer in TWO:
        before, after = renderer(plain), renderer(copy)
        assert ink(part(after, AROUND)) > 30
        assert ink(after) - ink(before) == ink(part(after, AROUND))
        assert lost(before, after) == 0


@pytest.mark.parametrize(
    ("kind", "viewer"),
    [
        *((kind, renderers.pdfium) for kind in ("Ink", "Square", "Circle", "Underline")),
        *((kind, renderers.poppler) for kind in ("Ink", "Line", "PolyLine", "Polygon", "Square")),
    ],
)
def test_marks_stand_where_viewers_draw_them(kind: str, viewer: renderers.Renderer) -> None:
    """What a viewer draws by itself for a mark without a look is in the copy, too."""
    sheet = Sheet()
    sheet.add(PLACE, Subtype=Name("/" + kind), **KINDS[kind]())
    source = sheet.saved()
    copy, _ = flattened(source)
    before = viewer(source)
    assert ink(part(before, AROUND)) > 30
    assert lost(before, viewer(copy), reach=3) == 0


@pytest.mark.parametrize("kind", ["Ink", "Square"])
@pytest.mark.parametrize("turn", [90, 180])
def test_marks_that_do_not_turn(kind: str, turn: int) -> None:
    """A mark without a look that does not turn with its page stands where viewers draw it."""
    sheet = Sheet()
    sheet.page.Rotate = turn
    sheet.add(PLACE, Subtype=Name("/" + kind), F=16, **KINDS[kind]())
    source = sheet.saved()
    copy, done = flattened(source)
    before = renderers.poppler(source)
    assert ink(before) > 100
    assert lost(before, renderers.poppler(copy), reach=3) == 0
    upright = pdfs.changed(copy, lambda pdf: pdf.pages[0].obj.__setitem__("/Rotate", 0))
    assert ink(part(renderers.pdfium(upright), done.drawn[0][1:])) > 100


@pytest.mark.parametrize(
    "entries",
    [
        {"Subtype": Name.Ink},
        {"Subtype": Name.Ink, "InkList": Array([Array(), Name.A])},
        {"Subtype": Name.Ink, "InkList": Array([Array([1, 2, 3, 4])]), "BS": Dictionary(W=0)},
        {"Subtype": Name.Line, "L": Array([1, 2])},
        {"Subtype": Name.Line, "L": Array([1, 2, 3, 4]), "C": Array()},
        {"Subtype": Name.Polygon, "Vertices": String("x")},
        {"Subtype": Name.FreeText, "Contents": String(" ")},
        {"Subtype": Name.Watermark},
        {"Subtype": Name.Unheard},
        {"Subtype": Name.Unheard, "F": 1, "AP": True},
        {"Subtype": Name.Square, "F": 2},
        {"Subtype": Name.Square, "F": 32},
        {"Subtype": Name.Text, "Contents": String("note"), "AP": True},
        {"Subtype": Name.Popup, "AP": True},
        {"Subtype": Name.Link},
    ],
    ids=range(15),
)
def test_nothing_to_draw(entries: dict[str, Any]) -> None:
    """Marks that show nothing or are hidden are not a reason for a copy."""
    sheet = Sheet()
    look = sheet.look(b"0 0 9 9 re f") if entries.pop("AP", None) else None
    sheet.add(PLACE, look, **entries)
    assert not has_drawing(sheet.saved())


@pytest.mark.parametrize("with_form", [True, False])
@pytest.mark.parametrize("flags", [0, 4])
def test_ink_beside_a_form(flags: int, *, with_form: bool) -> None:
    """A signature in ink is faxed with its print flag or without, beside a form and alone."""
    sheet = Sheet()
    look = sheet.look(b"3 w 5 5 m 60 35 l 100 5 l 195 35 l S")
    sheet.add(PLACE, look, Subtype=Name.Ink, F=flags)
    if with_form:
        sheet.add((72, 600, 272, 640), Subtype=Name.Widget, FT=Name.Tx, T=String("n"))
    source = sheet.saved()
    assert has_drawing(source)
    copy, done = flattened(source)
    assert not done.replaced
    for renderer in TWO:
        assert ink(part(renderer(copy), PLACE)) > 300
        assert lost(renderer(source), renderer(copy)) == 0


def test_notes_beside_a_form() -> None:
    """Notes, pop-ups and attachments are left out, and their places are told."""
    sheet = Sheet()
    sheet.text("da")
    kinds = ("Text", "Popup", "FileAttachment", "Sound", "Screen")
    for kind in kinds:
        sheet.add((100, 100, 120, 120), sheet.look(b"0 0 200 40 re f"), Subtype=Name("/" + kind))
    copy, done = flattened(sheet.saved())
    assert len(done.left_out) == len(kinds)
    assert ink(part(renderers.pdfium(copy), (90, 90, 130, 130))) == 0


def test_colours_and_opacity() -> None:
    """A pale mark stays pale, and what is beneath a translucent one can be read."""
    greys = []
    for entries in ({"C": numbers(0)}, {"C": numbers(0.8)}, {"C": numbers(0), "CA": 0.2}):
        sheet = Sheet()
        sheet.add(PLACE, Subtype=Name.Square, IC=entries["C"], **entries)
        copy, _ = flattened(sheet.saved())
        pictures = [part(renderer(copy), (280, 510, 300, 530)) for renderer in TWO]
        greys.append([round(sum(picture.tobytes()) / 400) for picture in pictures])
    assert greys[0] == [0, 0]
    for pale in greys[1:]:
        assert all(abs(grey - 204) < 3 for grey in pale)


def test_free_text_has_ground_and_border() -> None:
    """Text on a page brings its ground and its border."""
    sheet = Sheet()
    look: dict[str, Any] = {"C": numbers(0.5), "BS": Dictionary(W=3)}
    sheet.add(PLACE, Subtype=Name.FreeText, Contents=String("ja"), **look)
    copy, _ = flattened(sheet.saved())
    for renderer in TWO:
        picture = renderer(copy)
        assert picture.getpixel((300, 842 - 505)) in range(120, 135)
        assert picture.getpixel((300, 842 - 501)) in range(5)
    assert shown_text(copy) == "ja"


def test_free_text_that_cannot_be_written() -> None:
    """Text on a page that faxdrop cannot write fails the document; it is not dropped silently."""
    sheet = Sheet()
    sheet.add(PLACE, Subtype=Name.FreeText, Contents=String("東京"))
    with pytest.raises(forms.UndrawableError, match="characters"):
        flattened(sheet.saved())


# -- highlights ------------------------------------------------------------------------------


def blending(sheet: Sheet, kind: str) -> Stream | None:
    """Return a look of a highlight as some program writes it."""
    multiply = Dictionary(Type=Name.ExtGState, BM=Name.Multiply, CA=1, ca=1)
    group = Dictionary(S=Name.Transparency)
    box = numbers(70, 754, 130, 776)
    fill = b"1 0.93 0 rg 70 754 60 22 re f"
    states = Dictionary(ExtGState=Dictionary(G=multiply))
    entries: Any = {"BBox": box, "Matrix": numbers(1, 0, 0, 1, -70, -754)}
    match kind:
        case "group":
            return sheet.look(b"/G gs " + fill, Group=group, Resources=states, **entries)
        case "no group":
            return sheet.look(b"/G gs " + fill, Resources=states, **entries)
        case "nested":
            inner = sheet.look(fill, BBox=box, Group=group, Resources=Dictionary())
            states.XObject = Dictionary(F=inner)
            return sheet.look(b"/G gs /F Do", Group=group, Resources=states, **entries)
        case "list of modes":
            multiply.BM = Array([Name.Multiply, Name.Normal])
            return sheet.look(b"/G gs " + fill, Group=group, Resources=states, **entries)
        case "opaque":
            multiply.BM = Name.Normal
            return sheet.look(b"/G gs " + fill, Group=group, Resources=states, **entries)
    return None


@pytest.mark.parametrize(
    "kind", ["group", "no group", "nested", "list of modes", "opaque", "without", "round"]
)
@pytest.mark.parametrize("picture", [False, True], ids=["text", "scan"])
def test_highlights(kind: str, *, picture: bool) -> None:
    """A highlight covers neither text nor a scan, in colour, in grey and in black and white."""
    scan = b"q 60 0 0 22 70 754 cm BI /W 8 /H 1 /BPC 1 /CS /G ID \x66 EI Q"
    content = scan if picture else LINE
    sheet = Sheet(content)
    if not picture:
        sheet.page.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceRGB)
    quad = numbers(*(ROUND if kind == "round" else QUAD))
    sheet.add(ROUND_THE_TEXT, blending(sheet, kind), Subtype=Name.Highlight, QuadPoints=quad)
    copy, done = flattened(sheet.saved())
    assert bool(done.drawn) is (kind in ("without", "round"))
    plain = Sheet(content).saved()
    for renderer in ALL:
        before, after = renderer(plain), renderer(copy)
        assert ink(before, 90) > 60
        assert lost(before, after, dark=90) == 0, renderer
    white = part(renderers.pdfium(copy), ROUND_THE_TEXT)
    assert white.histogram()[255] < 400  # marked all over
    assert lost(renderers.pdfium(copy), renderers.pdfium(plain), dark=60) == 0


def test_free_hand_highlight() -> None:
    """Ink that mixes with what is beneath covers nothing, and looks that others use stay theirs."""
    sheet = Sheet()
    look = blending(sheet, "group")
    sheet.add(ROUND_THE_TEXT, look, Subtype=Name.Ink)
    sheet.add((70, 654, 130, 676), look, Subtype=Name.Stamp)
    sheet.pdf.Root.Kept = look
    copy, done = flattened(sheet.saved())
    assert done == Flattened()
    plain = Sheet().saved()
    for renderer in ALL:
        assert lost(renderer(plain), renderer(copy), 1, dark=60) == 0
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert Name.Group in pdf.Root.Kept


@pytest.mark.parametrize("flags", [pdfs.PRINT, 0])
@pytest.mark.parametrize("is_on", [True, False])
def test_marks_on_layers(flags: int, *, is_on: bool) -> None:
    """A mark on a layer that is switched off stays hidden, with or without a look."""
    sheet = Sheet()
    layer = sheet.pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("x")))
    off = Array([] if is_on else [layer])
    sheet.pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=off))
    sheet.add(PLACE, Subtype=Name.Ink, OC=layer, F=flags, **KINDS["Ink"]())
    sheet.add(PLACE, sheet.look(b"0 0 9 9 re f"), Subtype=Name.Stamp, OC=layer, F=flags)
    copy, _ = flattened(sheet.saved())
    for renderer in ALL:
        assert (ink(part(renderer(copy), PLACE)) > 50) is is_on
