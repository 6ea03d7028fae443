"""What a viewer shows of fields is what their copy shows, in renderers that are not ours."""

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image

from faxdrop.documents.pdf.areas import Area, Flattened
from tests.kit import pdfs, renderers
from tests.kit.forms import BARS, BOX, CROSS, LINE, OPEN, PLACE, TEXT, Sheet, flattened, shown_text
from tests.kit.pdfs import Rect
from tests.kit.renderers import TWO, ink, lost, part


def marks(sheet: Sheet, *rects: Rect) -> list[bool]:
    """Tell in which boxes a copy has a mark, which both renderers must see alike."""
    copy, _ = flattened(sheet.saved())
    pictures = [renderer(copy) for renderer in TWO]
    seen = [[_inner_ink(picture, rect) > 10 for rect in rects] for picture in pictures]
    assert seen[0] == seen[1]
    return seen[0]


def _inner_ink(picture: Image.Image, rect: Rect) -> int:
    left, bottom, right, top = rect
    return ink(part(picture, (left + 4, bottom + 4, right - 4, top - 4)))


# -- the page's own content ------------------------------------------------------------------


@pytest.mark.parametrize("content", OPEN.values(), ids=OPEN)
@pytest.mark.parametrize("parts", [1, 2])
def test_open_content(content: bytes, parts: int) -> None:
    """Whatever a page leaves open or set, a field's look stands where it stands in the original."""
    sheet = Sheet(content)
    sheet.text("Erika Muster", sheet.look(TEXT))
    if parts == 2:
        cut = content.index(b"72")
        pieces = (content[:cut], content[cut:])
        sheet.page.Contents = Array([Stream(sheet.pdf, piece) for piece in pieces])
    source = sheet.saved()
    copy, done = flattened(source)
    assert done == Flattened()
    for renderer in TWO:
        before, after = renderer(source), renderer(copy)
        assert ink(part(before, PLACE)) > 300
        assert lost(before, after) == 0
    assert ink(part(renderers.pdfium(copy), (70, 755, 130, 775))) > 50  # the page's own text


def test_shared_content() -> None:
    """Pages that share content, resources or a look keep them for each other."""
    sheet = Sheet()
    look = sheet.look(TEXT)
    del look.BBox
    sheet.text("Erika Muster", look)
    pdf = sheet.pdf
    for at in range(2):
        pdf.add_blank_page(page_size=(595, 842))
        page = pdf.pages[-1].obj
        page.Contents, page.Resources = sheet.page.Contents, sheet.page.Resources
        if at:
            sheet.page, first = page, sheet.page
            sheet.page.Annots = Array()
            sheet.add((100, 100, 300, 140), look, Subtype=Name.Stamp)
            sheet.page = first
    source = sheet.saved()
    copy, _ = flattened(source)
    for at, place in ((0, PLACE), (2, (100, 100, 300, 140))):
        after = renderers.pdfium(copy, at)
        assert ink(part(after, place)) > 300
        assert lost(renderers.pdfium(source, at), after) == 0
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert pdf.pages[1].obj.Contents.read_bytes() == LINE  # nothing to draw: left as it was


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("flags", [4, 4 | 16], ids=["turns", "NoRotate"])
@pytest.mark.parametrize("cropped", [False, True])
def test_turned_pages(turn: int, flags: int, *, cropped: bool) -> None:
    """A look stays where it is on pages that are turned or cut, turned with them or not."""
    sheet = Sheet()
    sheet.page.Rotate = turn
    if cropped:
        sheet.page.CropBox = Array([100, 300, 500, 800])
        sheet.page.UserUnit = 1.5
    sheet.add(
        PLACE, sheet.look(TEXT, Matrix=Array([0, 1, -1, 0, 9, 9])), Subtype=Name.Stamp, F=flags
    )
    source = sheet.saved()
    copy, done = flattened(source)
    assert done == Flattened()
    for renderer in (*TWO, renderers.mupdf):
        assert ink(renderer(source)) > 100
        assert lost(renderer(source), renderer(copy)) == 0


def test_resources_of_the_page_are_inherited() -> None:
    """Fonts that a page takes from the nodes above it are there for its content and its looks."""
    sheet = Sheet()
    look = sheet.look(TEXT)
    del look.Resources
    sheet.add(PLACE, look, Subtype=Name.Stamp)
    sheet.pdf.Root.Pages.Resources = sheet.page.Resources
    del sheet.page.Resources
    source = sheet.saved()
    copy, _ = flattened(source)
    after = renderers.pdfium(copy)
    assert ink(part(after, PLACE)) > 300
    assert lost(renderers.pdfium(source), after) == 0


# -- looks that the PDF brings ---------------------------------------------------------------


def box_of(entry: object) -> Callable[[Stream], None]:
    """Return what gives a look this /BBox, or takes it away."""

    def change(look: Stream) -> None:
        if entry is None:
            del look.BBox
        else:
            look.BBox = entry

    return change


@pytest.mark.parametrize("matrix", [None, [2, 0, 0, 2, 10, 10], [0, 1, -1, 0, 50, 0]])
@pytest.mark.parametrize("kind", ["Stamp", "Sig", "Tx", "Btn"])
def test_look_without_box(kind: str, matrix: list[int] | None) -> None:
    """A look without /BBox is shown as large as it is drawn, as pdfium shows it."""
    sheet = Sheet()
    look = sheet.look(b"q 2 w 5 5 m 60 30 l S Q")
    del look.BBox
    if matrix:
        look.Matrix = Array(matrix)
    shown: Any = Dictionary(Ja=look, Off=Name.Off) if kind == "Btn" else look
    if kind == "Stamp":
        sheet.add(PLACE, look, Subtype=Name.Stamp)
    else:
        sheet.add(PLACE, shown, Subtype=Name.Widget, FT=Name("/" + kind), T=String("f"), AS=Name.Ja)
    source = sheet.saved()
    copy, done = flattened(source)
    assert done == Flattened()
    before = renderers.pdfium(source)
    assert ink(before) > 100
    for renderer in (*TWO, renderers.mupdf):
        assert lost(before, renderer(copy)) == 0, renderer


@pytest.mark.parametrize("box", [[200, 40, 0, 0], [0, 0, 0, 0], [0, 0, 200], [Name.A, 0, 200, 40]])
@pytest.mark.parametrize("rect", [PLACE, (400, 540, 200, 500)])
def test_odd_boxes(box: list[Any], rect: Rect) -> None:
    """Boxes in another order, without an area or with other things than numbers lose nothing."""
    sheet = Sheet()
    sheet.add(rect, sheet.look(TEXT, BBox=Array(box)), Subtype=Name.Stamp)
    source = sheet.saved()
    copy, _ = flattened(source)
    assert lost(renderers.pdfium(source), renderers.pdfium(copy)) == 0


SYMBOLS = b"/Tx BMC q BT /ZaDb 24 Tf 0 g 8 10 Td (4) Tj ET Q EMC"
PICTURE = b"q 180 0 0 30 5 5 cm BI /W 4 /H 1 /BPC 1 /IM true ID \x50 EI Q"
OUTLINES = b"2 w 10 5 m 30 35 l 50 5 l S 70 5 m 70 35 l 95 20 l f"
NOT_TEXT = {"bars": BARS, "tick": SYMBOLS, "picture": PICTURE, "outlines": OUTLINES}


@pytest.mark.parametrize("content", NOT_TEXT.values(), ids=NOT_TEXT)
@pytest.mark.parametrize(
    ("value", "needed"), [("4", True), ("M000012345;MUSTER;ERIKA", False), ("Москва", True)]
)
def test_looks_that_are_no_text(content: bytes, value: str, *, needed: bool) -> None:
    """Bars, ticks, pictures and outlines stay as the PDF draws them, whatever stands for them."""
    sheet = Sheet(NeedAppearances=needed)
    look = sheet.look(content)
    look.Resources.Font.ZaDb = sheet.font("ZapfDingbats")
    sheet.text(value, look, DA=String("/ZaDb 24 Tf 0 g"))
    copy, done = flattened(sheet.saved())
    assert done == Flattened()
    alone = Sheet()
    alone.fonts.ZaDb = alone.font("ZapfDingbats")
    alone.add(PLACE, alone.look(content), Subtype=Name.Stamp)
    for renderer in TWO:
        before = renderer(alone.saved())
        assert ink(part(before, PLACE)) > 50
        assert lost(before, renderer(copy)) == 0


LETTERS = (
    b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <ff> "
    b"endcodespacerange 2 beginbfchar <41> <042F> <42> <0437> endbfchar endcmap end"
)


UNREADABLE: dict[str, dict[str, Any]] = {
    "numbered": {"Encoding": Dictionary(Differences=Array([65, Name.g17, Name.g18]))},
    "symbols": {"BaseFont": Name.Wingdings},
    "unknown": {},
}


@pytest.mark.parametrize("entries", UNREADABLE.values(), ids=UNREADABLE)
def test_fonts_that_cannot_be_read(entries: dict[str, Any]) -> None:
    """Where the letters of a look cannot be made out, it is not taken for out of date."""
    sheet = Sheet(NeedAppearances=True)
    look = sheet.look(TEXT.replace(b"(Erika Muster)", b"(AB)"))
    font = sheet.font("ABCDEF+Xyz")
    for key, value in entries.items():
        font["/" + key] = value
    look.Resources = Dictionary(Font=Dictionary(F1=font))
    sheet.text("ja", look)
    assert "ja" not in shown_text(flattened(sheet.saved())[0])


@pytest.mark.parametrize("known", [True, False])
def test_other_letters_with_a_look(*, known: bool) -> None:
    """A value in other letters is no obstacle where the look draws it: as it is, or unreadably."""
    sheet = Sheet(NeedAppearances=True)
    look = sheet.look(TEXT.replace(b"(Erika Muster)", b"(AB)"))
    entries: Any = {"ToUnicode": Stream(sheet.pdf, LETTERS)} if known else {}
    look.Resources = Dictionary(Font=Dictionary(F1=sheet.font("Xyz", **entries)))
    sheet.text("Яз" if known else "Москва", look)
    source = sheet.saved()
    copy, _ = flattened(source)
    before = renderers.pdfium(source.replace(b"/NeedAppearances true", b"/NeedAppearances null"))
    assert ink(part(before, PLACE)) > 30
    assert lost(before, renderers.pdfium(copy)) == 0


@pytest.mark.parametrize(
    ("value", "shown", "seen"),
    [
        ("Erika Muster", b"(Erika Muster) Tj", "Erika Muster"),
        ("Erika Muster", b"[(Eri) -20 (ka) -400 (Muster)] TJ", "Erika Muster"),
        ("Erika\nMuster", b"(Erika) Tj 0 -9 Td (Muster) Tj", "Erika Muster"),
        ("neu", b"(alt) Tj", "neu"),
        ("12", b"(21) Tj", "12"),
        ("-5", b"(5) Tj", "-5"),
        ("", b"(alt) Tj", ""),
        (None, b"(alt) Tj", "alt"),
        ("da", b"() Tj", "da"),
        ("da", b"( ) Tj", "da"),
    ],
)
def test_stale_looks(value: str | None, shown: bytes, seen: str) -> None:
    """A look is replaced where it is out of date and certainly says something else."""
    for needed in (True, False):
        sheet = Sheet(NeedAppearances=needed)
        content = b"/Tx BMC BT /F1 10 Tf 2 20 Td " + shown + b" ET EMC"
        sheet.text(value, sheet.look(content))
        copy, done = flattened(sheet.saved())
        is_blank = not shown.strip(b"() Tj")
        old = shown_text(flattened(_as_stamp(content))[0])
        assert shown_text(copy) == (seen if needed or is_blank else old)
        replaced = is_blank or (needed and seen != old)
        assert done.replaced == ((Area(0, *PLACE),) if replaced else ())
        assert done.drawn == ()


def _as_stamp(content: bytes) -> bytes:
    sheet = Sheet()
    sheet.add(PLACE, sheet.look(content), Subtype=Name.Stamp)
    return sheet.saved()


@pytest.mark.parametrize(
    ("value", "shown", "kept"),
    [("1234.5", b"1.234,50 EUR", True), ("1500", b"0,00 EUR", False)],
)
def test_formatted_values(value: str, shown: bytes, *, kept: bool) -> None:
    """A value that a script formats is shown as its look has it, if that has the same figures."""
    sheet = Sheet(NeedAppearances=True)
    look = sheet.look(b"BT /F1 12 Tf 2 9 Td (" + shown + b") Tj ET")
    sheet.text(value, look, AA=Dictionary(F=Dictionary(S=Name.JavaScript, JS=String("f()"))))
    assert shown_text(flattened(sheet.saved())[0]) == (shown.decode() if kept else value)


@pytest.mark.parametrize("options", [("ja", "nein"), ("да", "нет")])
def test_list_of_choices(options: tuple[str, str]) -> None:
    """A list is drawn anew where the PDF asks for that; one that cannot be is kept as it is."""
    sheet = Sheet(NeedAppearances=True)
    field = sheet.text(options[0], sheet.look(b"BT /F1 10 Tf 2 20 Td (alt) Tj ET"))
    field.FT, field.Opt = Name.Ch, Array([String(each) for each in options])
    seen = shown_text(flattened(sheet.saved())[0])
    assert seen == ("ja nein" if options[0] == "ja" else "alt")


@pytest.mark.parametrize(
    "entries", [{"BS": Dictionary(W=6)}, {"Border": Array([0, 0, 6])}], ids=["BS", "Border"]
)
def test_border_of_a_field(entries: dict[str, Any]) -> None:
    """The border that is drawn around a field is as wide as the PDF says, in either way."""
    sheet = Sheet()
    sheet.text("Erika", None, MK=Dictionary(BC=Array([0])), **entries)
    copy, _ = flattened(sheet.saved())
    left, _, right, top = PLACE
    for renderer in TWO:
        assert ink(part(renderer(copy), (left, top - 6, right, top))) > 5 * (right - left)


def test_background_is_no_value() -> None:
    """A look that has a ground and a border, and nothing in it, does not show the value."""
    sheet = Sheet()
    sheet.text("Erika", sheet.look(b"0.9 g 0 0 200 40 re f 0 G 0.5 0.5 199 39 re S"))
    copy, done = flattened(sheet.saved())
    assert shown_text(copy) == "Erika"
    assert done.replaced == (Area(0, *PLACE),)


@pytest.mark.parametrize("renderer", TWO)
def test_ground_is_kept(renderer: Any) -> None:
    """The border of a look that lacks the value is still there when the value is written on it."""
    sheet = Sheet()
    sheet.text("Erika", sheet.look(b"0 G 3 w 1.5 1.5 197 37 re S"), MK=Dictionary(BG=Array([0.9])))
    source = sheet.saved()
    copy, _ = flattened(source)
    assert shown_text(copy) == "Erika"
    assert lost(renderer(source), renderer(copy)) == 0


def test_small_ink_at_the_edge_is_a_look() -> None:
    """A letter drawn as an outline at the edge of a wide field is not taken for its border."""
    sheet = Sheet()
    sheet.text("geheim", sheet.look(b"2 w 8 14 m 14 28 l 20 14 l S"))
    copy, done = flattened(sheet.saved())
    assert shown_text(copy) == ""
    assert done.replaced == ()


def test_fonts_of_the_form() -> None:
    """A look that names a font without bringing it gets that of the form."""
    sheet = Sheet()
    sheet.text("Erika", sheet.look(TEXT.replace(b"/F1", b"/Helv"), Resources=Dictionary()))
    copy, _ = flattened(sheet.saved())
    assert ink(part(renderers.poppler(copy), PLACE)) > 50


# -- what is drawn here ----------------------------------------------------------------------


@pytest.mark.parametrize("font", ["ZaDb", "Wing", "Helv"])
def test_font_of_symbols(font: str) -> None:
    """A "4" in a font of symbols is a tick, also where the PDF leaves its drawing to others."""
    sheet = Sheet(NeedAppearances=True)
    sheet.text("4", DA=String(f"/{font} 24 Tf 0 g"), Q=1)
    data = sheet.saved()

    def change(pdf: Pdf) -> None:
        about = Dictionary(Type=Name.FontDescriptor, FontName=Name.Xyz, Flags=4)
        pdf.Root.AcroForm.DR.Font.Wing = Dictionary(
            Type=Name.Font, Subtype=Name.TrueType, BaseFont=Name.Wingdings, FontDescriptor=about
        )

    copy, done = flattened(pdfs.changed(data, change))
    assert done.drawn == (Area(0, *PLACE),)
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        looks = pdf.pages[0].obj.Resources.XObject
        names = {
            str(each.BaseFont) for look in looks.values() for each in look.Resources.Font.values()
        }
        used = b"".join(look.read_bytes() for look in looks.values())
    assert ("/Wingdings" in names) is (font == "Wing")
    assert (b"/FdS" in used) is (font != "Helv")
    assert ink(part(renderers.pdfium(copy), (280, 500, 320, 540))) > 20


@pytest.mark.parametrize("value", ["✓ erledigt", "✔✘", "★ ●"])
def test_symbols_in_text(value: str) -> None:
    """Ticks, crosses and stars within a text are drawn with symbols that all renderers have."""
    sheet = Sheet(NeedAppearances=True)
    sheet.text(value)
    copy, _ = flattened(sheet.saved())
    for renderer in TWO:
        assert ink(part(renderer(copy), (200, 500, 220, 540))) > 15


# -- check boxes and radio buttons -----------------------------------------------------------

ON: dict[str, dict[str, Any]] = {
    "state": {"state": "Ja"},
    "state, not value": {"state": "Ja", "value": "Off"},
    "other value": {"state": "Ja", "value": "Yes"},
    "no look": {"state": "Yes", "looks": False},
    "no look for it": {"state": "Yes"},
    "value": {"value": "Ja"},
    "value, no look": {"value": "Ja", "looks": False},
}
OFF: dict[str, dict[str, Any]] = {
    "off": {"state": "Off"},
    "off, though the value": {"state": "Off", "value": "Ja"},
    "off without a look": {"state": "Off", "looks": False},
    "other value": {"value": "Nein"},
    "nothing": {},
}


@pytest.mark.parametrize("needed", [False, True])
@pytest.mark.parametrize(
    ("entries", "seen"),
    [*((each, True) for each in ON.values()), *((each, False) for each in OFF.values())],
    ids=[*ON, *(f"not: {each}" for each in OFF)],
)
def test_check_box(entries: dict[str, Any], *, seen: bool, needed: bool) -> None:
    """/AS says whether a box is checked; its value does where there is no /AS."""
    sheet = Sheet(NeedAppearances=needed)
    sheet.check(**entries)
    assert marks(sheet, BOX) == [seen]


LOWER: Rect = (200, 470, 220, 490)


@pytest.mark.parametrize(
    ("names", "states", "value", "seen"),
    [
        (("0", "1"), ("0", "Off"), "", [True, False]),
        (("0", "1"), ("Off", "1"), "0", [False, True]),
        (("0", "1"), ("1", "1"), "1", [False, True]),  # a program gave all the value's name
        (("0", "1"), ("Off", "Off"), "", [False, False]),
        (("0", "1"), ("", ""), "1", [False, True]),
        (("A", "A"), ("A", "A"), "A", [True, True]),  # in unison
    ],
)
@pytest.mark.parametrize("flags", [pdfs.RADIO, 0], ids=["radio buttons", "check boxes"])
def test_group_of_buttons(
    names: tuple[str, str], states: tuple[str, str], value: str, seen: list[bool], flags: int
) -> None:
    """Of several buttons of one field those are marked that viewers mark, no more and no fewer."""
    sheet = Sheet(NeedAppearances=True)
    group = sheet.pdf.make_indirect(Dictionary(FT=Name.Btn, Ff=flags, T=String("r"), Kids=Array()))
    if value:
        group.V = Name("/" + value)
    sheet.groups.append(group)
    for rect, name, state in zip((BOX, LOWER), names, states, strict=True):
        group.Kids.append(sheet.check(rect=rect, on=name, state=state, Parent=group))
    assert marks(sheet, BOX, LOWER) == seen


def test_button_without_look_is_told() -> None:
    """A mark that is drawn without a look from the PDF is reported."""
    sheet = Sheet()
    sheet.check(state="Ja", looks=False)
    assert flattened(sheet.saved())[1] == Flattened(drawn=(Area(0, *BOX),))


def test_renderers_tell_lost_ink() -> None:
    """The comparison sees ink that is missing or elsewhere, and forgives that of a thin edge."""
    sheets = []
    for x in (100, 101, 120):
        sheet = Sheet(b"%d 700 20 4 re f" % x)
        sheets.append(renderers.pdfium(sheet.saved()))
    assert lost(sheets[0], sheets[1]) == 0
    assert lost(sheets[0], sheets[2]) > 50
    assert lost(sheets[0], Image.new("L", sheets[0].size, 255)) == ink(sheets[0])


def test_list_that_nobody_filled_in() -> None:
    """A blank look of a list whose form asks for new ones: viewers show its choices."""
    for needed in (True, False):
        sheet = Sheet(NeedAppearances=needed)
        field = sheet.text("", sheet.look(b"1 g 0 0 200 40 re f /Tx BMC EMC"))
        field.FT, field.Opt = Name.Ch, Array([String("Rot"), String("Blau")])
        copy, _ = flattened(sheet.saved())
        for draw in TWO:
            assert (ink(part(draw(copy), PLACE)) > 0) is needed


def test_box_that_nobody_ticked() -> None:
    """A box with a look for its tick alone, in a form that asks for new looks: its frame shows."""
    for needed in (True, False):
        sheet = Sheet(NeedAppearances=needed)
        sheet.add(
            BOX,
            Dictionary(Yes=sheet.look(CROSS, BOX)),
            Subtype=Name.Widget,
            FT=Name.Btn,
            T=String("c"),
            AS=Name.Off,
            MK=Dictionary(BC=Array([0])),
        )
        copy, _ = flattened(sheet.saved())
        for draw in TWO:
            assert (ink(part(draw(copy), BOX)) > 0) is needed
