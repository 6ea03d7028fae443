"""However forms and pages are made, what viewers show of them is on the copy, in two renderers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream, String

from tests.kit import pdfs
from tests.kit.forms import BARS, CROSS, EMPTY, OPEN, Sheet, flattened
from tests.kit.pdfs import Rect
from tests.kit.renderers import TWO, ink, lost, part
from tests.kit.seeds import seed_of

CELLS: tuple[Rect, ...] = tuple(
    (x, y, x + 120, y + 40) for y in range(320, 700, 60) for x in (120, 300)
)
SPECK = 5  # pixels: pictures that the edge of the page cuts end in one row more or less
BRAND = "4 Erika"  # what is in all text fields, so that no look is out of date
LOOKS: dict[str, bytes] = {
    "text": b"/Tx BMC q BT /F1 14 Tf 4 12 Td (4 Erika) Tj ET Q EMC",
    "kerned": b"BT /F1 14 Tf 4 12 Td [(4 E) 20 (ri) -10 (ka)] TJ ET",
    "left open": b"q q BT /F1 14 Tf 4 12 Td (4 Erika) Tj",
    "bars": b"0.6 0 0 1 0 0 cm " + BARS,
    "picture": b"q 100 0 0 30 5 5 cm BI /W 4 /H 1 /BPC 1 /IM true ID \x50 EI Q",
    "outline": b"2 w 10 5 m 30 35 l 50 5 l S",
}
KINDS = ("text", "check", "radio", "choice", "signature", "ink", "stamp", "highlight")


class Spec(NamedTuple):
    """One field or mark."""

    kind: str
    look: str  # "" has none
    box: str  # what its look has for /BBox and /Matrix
    turned: int  # /R of /MK
    align: int
    flags: int
    is_on: bool
    has_state: bool  # /AS


class Page(NamedTuple):
    """A page, and how its form asks for looks."""

    specs: list[Spec]
    content: bytes
    parts: int
    turn: int
    is_cropped: bool
    is_inherited: bool  # its resources are those of the nodes above it
    is_shared: bool  # looks of one kind are one object
    needed: bool


specs = st.builds(
    Spec,
    kind=st.sampled_from(KINDS),
    look=st.sampled_from(["", *LOOKS]),
    box=st.sampled_from(["plain", "none", "moved", "turned", "scaled"]),
    turned=st.sampled_from([0, 90, 180, 270]),
    align=st.integers(0, 2),
    flags=st.sampled_from([0, 4, 4 | 16, 16]),
    is_on=st.booleans(),
    has_state=st.booleans(),
)
pages = st.builds(
    Page,
    specs=st.lists(specs, min_size=4, max_size=len(CELLS)),
    content=st.sampled_from(list(OPEN.values())),
    parts=st.integers(1, 2),
    turn=st.sampled_from([0, 90, 180, 270]),
    is_cropped=st.booleans(),
    is_inherited=st.booleans(),
    is_shared=st.booleans(),
    needed=st.booleans(),
)

MATRICES = {"turned": [0, 1, -1, 0, 40, 3], "scaled": [2, 0, 0, 2, 7, 7]}


def made(page: Page, *, brought: bool = False) -> bytes:
    """Return the page as a PDF; only what has a look and shows it if it is ``brought``."""
    sheet = Sheet(page.content, NeedAppearances=page.needed and not brought)
    known: dict[tuple[str, str], Stream] = {}

    def look(content: bytes, box: str, width: float = 120, height: float = 40) -> Stream:
        built = sheet.look(content, (0, 0, width, height))
        if box == "none":
            del built.BBox
        elif box == "moved":
            built.BBox = Array([-9, -9, width + 9, height + 9])
        elif box in MATRICES:
            built.Matrix = Array(MATRICES[box])
        return built

    for spec, cell in zip(page.specs, CELLS, strict=False):
        if brought and not spec.look:
            continue
        content = LOOKS.get(spec.look, b"")
        if not page.is_shared or (spec.look, spec.box) not in known:
            known[spec.look, spec.box] = look(content, spec.box)
        _add(sheet, spec, cell, known[spec.look, spec.box] if spec.look else None, look)
    _finish(sheet, page)
    return sheet.saved()


def _finish(sheet: Sheet, page: Page) -> None:
    target = sheet.page
    target.Rotate = page.turn
    if page.is_cropped:
        target.CropBox = Array([100, 300, 450, 790])
    if page.is_inherited:
        sheet.pdf.Root.Pages.Resources = target.Resources
        del target.Resources
    if page.parts > 1:
        cut = page.content.index(b"72")
        halves = page.content[:cut], page.content[cut:]
        target.Contents = Array([Stream(sheet.pdf, each) for each in halves])


def _add(
    sheet: Sheet, spec: Spec, cell: Rect, shown: Stream | None, look: Callable[..., Stream]
) -> None:
    entries: dict[str, Any] = {"F": spec.flags}
    match spec.kind:
        case "text" | "choice":
            entries |= {"FT": Name.Tx if spec.kind == "text" else Name.Ch, "T": String("t")}
            entries |= {"V": String(BRAND), "Q": spec.align, "MK": Dictionary(R=spec.turned)}
            entries["Ff"] = pdfs.COMBO if spec.kind == "choice" else 0
        case "check" | "radio":
            left, bottom = cell[:2]
            cell = (left, bottom, left + 20, bottom + 20)
            states = Dictionary(On=look(CROSS, spec.box, 20, 20), Off=look(EMPTY, "plain", 20, 20))
            entries |= {"FT": Name.Btn, "T": String("c"), "MK": Dictionary(BC=Array([0]))}
            entries["Ff"] = pdfs.RADIO if spec.kind == "radio" else 0
            state = Name.On if spec.is_on else Name.Off
            # Viewers that find no /AS show nothing, so they cannot be the measure then.
            entries["AS" if spec.has_state or shown is not None else "V"] = state
            sheet.add(cell, states if shown is not None else None, Subtype=Name.Widget, **entries)
            return
        case "signature":
            entries |= {"FT": Name.Sig, "T": String("s")}
        case "ink":
            x, y = cell[:2]
            points = Array([x + 5, y + 5, x + 60, y + 35, x + 110, y + 5])
            entries |= {"Subtype": Name.Ink, "InkList": Array([points])}
        case "stamp":
            entries |= {"Subtype": Name.Stamp, "Name": Name.Approved}
        case "highlight":
            left, bottom, right, top = cell
            # poppler draws its own, whatever the look: too pale to be ink, where there is one.
            pale = Array([0.9 if shown is not None else 0.3])
            entries |= {"Subtype": Name.Highlight, "C": pale}
            quad = (left, top, right, top, left, bottom, right, bottom)
            entries["QuadPoints"] = Array(list(quad))
    sheet.add(cell, shown, **({"Subtype": Name.Widget} | entries))


def upright(pdf: Pdf) -> None:
    """Show a page whole and unturned."""
    page: Object = pdf.pages[0].obj
    page.Rotate = 0
    if Name.CropBox in page:
        del page.CropBox


def keeps_its_ink(page: Page) -> None:
    """Fail if a renderer shows less of the copy than of the original, or if a field is missing."""
    copy, done = flattened(made(page))
    before = made(page, brought=True)
    for renderer in TWO:
        assert lost(renderer(before), renderer(copy)) <= SPECK, renderer
    seen = pdfs.changed(copy, upright)
    bare = {"signature"}
    wanted = [spec for spec in page.specs[: len(CELLS)] if not spec.look and spec.kind not in bare]
    assert len(done.drawn) == len(wanted)
    for renderer in TWO:
        picture = renderer(seen)
        for area, spec in zip(done.drawn, wanted, strict=True):
            assert ink(part(picture, area[1:])) > 10, (renderer, spec)


@settings(max_examples=20)
@given(pages)
def test_forms_keep_their_ink(page: Page) -> None:
    """Whatever a page leaves open, and however its fields are made, nothing of them is lost."""
    keeps_its_ink(page)


@pytest.mark.long
def test_more_forms_keep_their_ink(request: pytest.FixtureRequest) -> None:
    """Nothing is lost of hundreds of forms that were never tried before, either."""
    seed = seed_of(request)
    run = settings(
        max_examples=400,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=False,
    )(given(pages)(keeps_its_ink))
    hypothesis.seed(seed)(run)()
