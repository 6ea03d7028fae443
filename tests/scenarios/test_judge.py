"""A copy shows what its original shows; where it would not, the page is faxed as a picture."""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image, ImageChops, ImageFilter
from structlog.testing import capture_logs

from faxdrop.documents.checker import Checker
from faxdrop.documents.pdf import copying, document, pictures
from faxdrop.documents.pdf.areas import Area, Flattened
from faxdrop.documents.pdf.judge import Judgement, Loss, judge
from faxdrop.documents.pdf.render import Rendered, grey
from faxdrop.documents.verdict import Limits, Verdict
from faxdrop.fax.reasons import ReasonCode
from tests.kit import pdfs, renderers, shaky_reader
from tests.kit.breaking import assert_all_answered, ends, stage

SHAKY = "tests.kit.shaky_reader"
LIMITS = Limits(max_bytes=10_000_000, max_pages=30)
TEXT = b"BT /F1 12 Tf 72 700 Td (Sehr geehrte Damen und Herren) Tj ET "
CROSS = b"q 2 w 100 400 m 140 440 l 100 440 m 140 400 l S Q "
PLACE = (95, 395, 145, 445)  # of the cross


def page(content: bytes = TEXT, size: tuple[float, float] = (595, 842), **entries: Any) -> bytes:
    """Return a PDF of one page."""
    pdf = Pdf.new()
    shown = pdf.add_blank_page(page_size=size).obj
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    shown.Resources = Dictionary(Font=Dictionary(F1=font))
    shown.Contents = Stream(pdf, content)
    for key, value in entries.items():
        shown["/" + key] = value
    return pdfs.saved(pdf)


def stamped(content: bytes = TEXT, mark: bytes = CROSS, **entries: Any) -> bytes:
    """Return a page with a mark on it that is no part of the page itself."""

    def change(pdf: Pdf) -> None:
        look = Stream(pdf, mark)
        look.stream_dict = Dictionary(
            Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 595, 842])
        )
        pdf.pages[0].obj.Annots = Array(
            [
                Dictionary(
                    Type=Name.Annot,
                    Subtype=Name.Stamp,
                    F=pdfs.PRINT,
                    Rect=Array([0, 0, 595, 842]),
                    AP=Dictionary(N=look),
                )
            ]
        )

    return pdfs.changed(page(content, **entries), change)


def prepare(data: bytes, limits: Limits = LIMITS) -> tuple[Verdict, bytes]:
    """Return the verdict and the copy."""
    output = io.BytesIO()
    verdict = document.prepare(io.BytesIO(data), output, limits)
    copy = output.getvalue()
    if copy:
        assert verdict.copy_sha256 == hashlib.sha256(copy).hexdigest()
    return verdict, copy


def changes(verdict: Verdict) -> tuple[str, ...]:
    """Return what was done to the copy."""
    assert verdict.facts is not None, verdict.reason
    return verdict.facts.changes


@pytest.fixture(name="_careless")
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let flattening lose everything that is to be flattened."""
    monkeypatch.setattr("faxdrop.documents.pdf.forms.flatten", without_marks)


def without_marks(pdf: Pdf) -> Flattened:
    """Remove all annotations."""
    for each in pdf.pages:
        if Name.Annots in each.obj:
            del each.obj.Annots
    return Flattened()


def judged(before: bytes, after: bytes, flattened: Flattened | None = None) -> Loss:
    """Return what the judge finds missing on the first page."""
    found = judge(before, after, flattened or Flattened(), [1.0], lambda: False)
    assert found.unjudged == 0
    return found.lost.get(0, Loss())


# -- the judge -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        CROSS,
        b"300 300 1 1 re f",
        b"300 300 m 301 301 l 1 w S",
        b"0.25 w 0.5 G 300 300 m 330 300 l S",
        b"0.8 g 300 300 9 9 re f",
        b"1 1 0 rg 60 695 200 16 re f",
        b"1 1 0.4 rg 300 300 60 14 re f",
        b"BT /F1 6 Tf 0.85 g 300 300 Td (x) Tj ET",
        b"BT /F1 10 Tf 1 1 0 rg 300 300 Td (gelb) Tj ET",
        b"0.7 w 72 697 m 250 697 l S",
    ],
    ids=[
        "cross",
        "dot",
        "tick",
        "hairline",
        "pale box",
        "marker",
        "pale marker",
        "pale x",
        "yellow",
        "underline",
    ],
)
def test_what_is_ink(mark: bytes) -> None:
    """Every mark that a person can make out is missed, and none where nothing is missing."""
    marked = page(mark + b" 0 g 0 G " + TEXT)
    assert judged(marked, page())
    assert not judged(page(), marked)
    assert not judged(marked, marked)


@pytest.mark.parametrize("moved", [b"0.4 0", b"-0.4 0.4", b"0 0.7"])
def test_a_little_elsewhere(moved: bytes) -> None:
    """What is drawn a hair's breadth elsewhere is not missing."""
    assert not judged(page(TEXT + CROSS), page(b"1 0 0 1 " + moved + b" cm " + TEXT + CROSS))


def test_what_is_covered() -> None:
    """Writing on which something opaque was laid is missing, black on white or white on black."""
    marker = b"1 1 0 rg 60 695 200 16 re f 0 g "
    assert judged(page(marker + TEXT), page(TEXT + marker)).ink
    white = b"0 g 60 690 300 30 re f 1 g " + TEXT
    assert judged(page(white), page(white + b"0 g 60 690 300 30 re f")).covered


def test_what_differs_on_purpose() -> None:
    """A look that was replaced is not missing, nor is a symbol that was left out."""
    area = (Area(0, *PLACE),)
    marked = page(TEXT + CROSS)
    assert judged(marked, page())
    for purpose in (Flattened(replaced=area), Flattened(left_out=area)):
        assert not judged(marked, page(), purpose)
    ours = page(TEXT + b"110 410 20 20 re f")
    assert not judged(marked, ours, Flattened(drawn=area))
    assert judged(marked, page(), Flattened(drawn=area)).undrawn == area
    elsewhere = page(TEXT + CROSS + b"300 300 9 9 re f")
    assert judged(elsewhere, page(), Flattened(replaced=area)).ink


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_areas_of_turned_pages(turn: int) -> None:
    """An area is where it is on the page, however the page is turned and cut."""
    crop = Array([50, 60, 550, 800])
    marked = page(TEXT + CROSS, Rotate=turn, CropBox=crop)
    plain = page(Rotate=turn, CropBox=crop)
    assert judged(marked, plain)
    assert not judged(marked, plain, Flattened(replaced=(Area(0, *PLACE),)))


def test_notes_are_not_missing() -> None:
    """The symbol of a note is not for paper, and makes no page a picture."""

    def change(pdf: Pdf) -> None:
        look = Stream(pdf, b"0 0 20 20 re f")
        look.stream_dict = Dictionary(
            Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 20, 20])
        )
        note = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Text,
            Rect=Array([300, 300, 320, 320]),
            AP=Dictionary(N=look),
        )
        pdf.pages[0].obj.Annots.append(note)

    verdict, copy = prepare(pdfs.changed(stamped(), change))
    assert changes(verdict) == ("flattened",)
    spot = renderers.part(renderers.pdfium(copy), (300, 300, 320, 320))
    assert renderers.ink(spot) == 0


def test_pages_that_cannot_be_compared() -> None:
    """Pages that could not be compared, for time or a copy that does not open, are reported."""
    calls = iter([False, True])
    three = pdfs.good(3)
    found = judge(three, three, Flattened(), [1.0] * 3, lambda: next(calls))
    assert (found.lost, found.unjudged) == ({}, 2)
    assert judge(b"junk", three, Flattened(), [1.0] * 3, lambda: False).unjudged == 3
    assert judge(pdfs.good(2), three, Flattened(), [1.0] * 3, lambda: False).unjudged == 3


# -- from the loss to the picture ------------------------------------------------------------


def test_plain_pdfs_are_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no copy costs no drawing, when it is examined and when it is submitted."""

    def drawn(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("faxdrop.documents.pdf.judge.Rendered", drawn)
    monkeypatch.setattr(copying, "Rendered", drawn)
    assert prepare(pdfs.good(3))[0].clean


@pytest.mark.usefixtures("_careless")
def test_a_lost_mark_is_on_the_picture() -> None:
    """A mark that flattening loses is on the page all the same, for every renderer."""
    original = stamped()
    assert document.examine(io.BytesIO(original), LIMITS).facts is not None
    verdict, copy = prepare(original)
    assert changes(verdict) == ("flattened", "rasterized")
    assert verdict.unjudged == 0
    for drawn in renderers.TWO:
        assert renderers.ink(renderers.part(drawn(copy), PLACE)) > 50
        assert renderers.lost(drawn(original), drawn(copy)) == 0
        assert renderers.lost(drawn(copy), drawn(original)) == 0
    again = document.examine(io.BytesIO(copy), LIMITS)
    assert again.clean
    assert again.facts is not None
    assert again.facts.changes == ()
    assert prepare(original) == (verdict, copy)


@pytest.mark.usefixtures("_careless")
def test_only_that_page_is_a_picture() -> None:
    """Pages that lost nothing stay as they are."""
    with pikepdf.open(io.BytesIO(stamped())) as pdf, pikepdf.open(io.BytesIO(pdfs.good(2))) as more:
        pdf.pages.extend(more.pages)
        verdict, copy = prepare(pdfs.saved(pdf))
    assert changes(verdict) == ("flattened", "rasterized")
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert ["/Font" in each.obj.Resources for each in pdf.pages] == [False, True, True]
        picture = pdf.pages[0].obj.Resources.XObject.Page
        assert picture.Filter == Name.CCITTFaxDecode
        assert [int(picture.Width), int(picture.Height)] == [1686, 2292]
        assert int(picture.DecodeParms.K) == -1


def test_what_only_the_copy_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the picture, what was drawn by us takes the place of what it replaces."""
    square = b"0 g 110 410 20 20 re f "

    def flatten(pdf: Pdf) -> Flattened:
        without_marks(pdf)
        pdf.pages[0].contents_add(Stream(pdf, square))
        return Flattened(replaced=(Area(0, *PLACE),))

    monkeypatch.setattr("faxdrop.documents.pdf.forms.flatten", flatten)
    verdict, copy = prepare(stamped(mark=CROSS + b"300 300 50 50 re f"))
    assert changes(verdict) == ("flattened", "rasterized")
    for drawn in renderers.TWO:
        seen = drawn(copy)
        assert renderers.ink(renderers.part(seen, (111, 411, 129, 429))) == 18 * 18
        assert renderers.ink(renderers.part(seen, PLACE)) < 22 * 22
        assert renderers.ink(renderers.part(seen, (300, 300, 350, 350))) > 48 * 48


def test_what_we_failed_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that the copy leaves empty is on the picture as the renderer draws it."""

    def flatten(pdf: Pdf) -> Flattened:
        without_marks(pdf)
        return Flattened(drawn=(Area(0, *PLACE),))

    monkeypatch.setattr("faxdrop.documents.pdf.forms.flatten", flatten)
    verdict, copy = prepare(stamped())
    assert changes(verdict) == ("flattened", "rasterized")
    for drawn in renderers.TWO:
        assert renderers.lost(drawn(stamped()), drawn(copy)) == 0


@pytest.mark.parametrize("turn", [45, -90, 450, "junk"])
@pytest.mark.usefixtures("_careless")
def test_odd_turns(turn: object) -> None:
    """A page that is turned in a way that there is not is drawn as the renderer draws it."""
    original = stamped(Rotate=Name.Junk if turn == "junk" else turn)
    verdict, copy = prepare(original)
    assert changes(verdict) == ("flattened", "rasterized")
    before, after = renderers.pdfium(original), renderers.pdfium(copy)
    assert before.size == after.size
    assert renderers.lost(before, after) == 0


def test_what_the_copy_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that hides white writing does not hide it on the picture."""
    white = b"0 g 60 690 300 30 re f 1 g " + TEXT

    def flatten(pdf: Pdf) -> Flattened:
        without_marks(pdf)
        pdf.pages[0].contents_add(Stream(pdf, b"0 g 60 690 300 30 re f"))
        return Flattened()

    monkeypatch.setattr("faxdrop.documents.pdf.forms.flatten", flatten)
    original = stamped(white)
    verdict, copy = prepare(original)
    assert changes(verdict) == ("flattened", "rasterized")
    for drawn in renderers.TWO:
        before, after = (
            renderers.part(drawn(each), (70, 695, 260, 715)) for each in (original, copy)
        )
        assert abs(renderers.ink(before) - renderers.ink(after)) < renderers.ink(before) * 0.1


@pytest.mark.usefixtures("_careless")
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "more",
    [{}, {"CropBox": Array([50, 360, 450, 760])}, {"MediaBox": Array([-100, -50, 495, 792])}],
    ids=["whole", "cropped", "shifted"],
)
def test_pictures_lie_as_the_page_lay(turn: int, more: dict[str, Any]) -> None:
    """A page that became a picture has the size and the place of everything that it had."""
    original = stamped(Rotate=turn, **more)
    verdict, copy = prepare(original)
    assert changes(verdict) == ("flattened", "rasterized")
    for drawn in renderers.TWO:
        before, after = drawn(original), drawn(copy)
        assert before.size == after.size
        assert renderers.ink(before) > 100
        assert renderers.lost(before, after) == 0
        assert renderers.lost(after, before) == 0


@pytest.mark.usefixtures("_careless")
def test_large_units() -> None:
    """A page in units of two points becomes a picture of twice the pixels, and keeps its unit."""
    _, copy = prepare(stamped(UserUnit=2))
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        picture = pdf.pages[0].obj.Resources.XObject.Page
        assert [int(picture.Width), int(picture.Height)] == [3372, 4584]
        assert int(pdf.pages[0].obj.UserUnit) == 2


@pytest.mark.usefixtures("_careless")
def test_too_late_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that lacks something is never faxed: without a picture, the document is refused."""
    judged_ = copying.judged

    def slow(original: bytes, copy: copying.Copy, is_late: Callable[[], bool]) -> Judgement:
        found = judged_(original, copy, is_late)
        monkeypatch.setattr(time, "monotonic", lambda: time.time() + 1e9)
        return found

    monkeypatch.setattr(copying, "judged", slow)
    verdict, copy = prepare(stamped())
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.REJECTED
    assert "missing" in verdict.reason.message
    assert copy == b""


@pytest.mark.usefixtures("_careless")
def test_pictures_too_large() -> None:
    """A copy that its pictures make too large is refused, and not written."""
    original = stamped(TEXT * 2 + b"0.5 g 100 100 300 200 re f")
    pictured = prepare(original)[1]
    assert len(pictured) > 2 * len(original)
    verdict, copy = prepare(original, replace(LIMITS, max_bytes=len(pictured) - 1))
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.TOO_LARGE
    assert copy == b""


def test_a_document_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDF of which no copy can be made is faxed as pictures, if all its pages can be drawn."""

    def copied(*_: object) -> None:
        raise copying.UntidyError

    monkeypatch.setattr(copying, "copied", copied)
    original = pdfs.repairable(pdfs.good(2))
    verdict, copy = prepare(original)
    assert changes(verdict) == ("repaired", "rasterized")
    for number in range(2):
        before, after = (renderers.pdfium(each, number) for each in (pdfs.good(2), copy))
        assert renderers.ink(after) > 100
        assert renderers.lost(before, after) == 0
    monkeypatch.setattr(copying, "Rendered", lambda _: Rendered(b"junk"))
    verdict, copy = prepare(original)
    assert verdict.reason is not None
    assert verdict.reason.message == "The PDF cannot be repaired."
    assert copy == b""


# -- how pictures look -----------------------------------------------------------------------


def fax(data: bytes) -> tuple[Image.Image, Image.Image]:
    """Return a page in black and white as a fax shows it, and in grey as it was drawn."""
    with Rendered(data) as rendered, rendered.page(0) as shown:
        drawn = shown.drawn(*shown.pixels(pictures.FINE))
    return pictures.bilevel(pictures.shades(drawn)), Image.fromarray(grey(drawn))


def black(picture: Image.Image, box: tuple[int, int, int, int] | None = None) -> float:
    """Return how much of a picture in black and white, or of a part of it, is black."""
    part = picture.crop(box) if box else picture
    return part.histogram()[0] / (part.width * part.height)


@pytest.mark.parametrize("size", [6, 9, 12, 20, 60])
def test_writing_is_sharp(size: int) -> None:
    """Black writing on white is cut at half of its grey, without dots beside it."""
    seen, drawn = fax(page(b"BT /F1 %d Tf 72 700 Td (Sehr geehrte Damen) Tj ET" % size))
    cut = drawn.point(lambda level: 255 if level >= 128 else 0, "1")
    differing = ImageChops.logical_xor(seen, cut).histogram()[255]
    assert differing < 0.08 * cut.histogram()[0]
    far = cut.convert("L").filter(ImageFilter.MinFilter(3)).convert("1")
    beside = ImageChops.logical_and(far, ImageChops.invert(seen))
    assert beside.histogram()[255] == 0


@pytest.mark.parametrize("colour", ["1 1 0", "0.6 0.8 1", "0 1 1", "0.87 0.87 0.87", "1 0.7 0.2"])
@pytest.mark.parametrize("size", [8, 12, 24])
def test_pale_writing_does_not_vanish(colour: str, size: int) -> None:
    """Writing in yellow, light blue or pale grey is as black as any."""
    text = b"BT %s rg /F1 %d Tf 72 700 Td (Die Rechnung ist bezahlt) Tj ET"
    pale, _ = fax(page(text % (colour.encode(), size)))
    plain, _ = fax(page(text % (b"0 0 0", size)))
    assert 0.85 * black(plain) < black(pale) < 1.15 * black(plain)


def test_writing_on_colour_stays_readable() -> None:
    """Marked writing stays as black as it was, and what marks it is seen as well."""
    marker = b"1 1 0 rg 60 690 300 24 re f 0 g "
    seen, _ = fax(page(marker + TEXT))
    plain, _ = fax(page(TEXT))
    missing = ImageChops.logical_and(seen, ImageChops.invert(plain))
    assert missing.histogram()[255] < 0.02 * plain.histogram()[0]
    beside = (800, 360, 1000, 400)
    assert black(plain, beside) == 0
    assert 0.02 < black(seen, beside) < 0.3


def test_white_on_colour() -> None:
    """White writing on a coloured ground stays white, and its ground is not white."""
    text = b"BT 1 g /F1 16 Tf 72 700 Td (Die Rechnung) Tj ET"
    seen, _ = fax(page(b"0.2 0.4 0.6 rg 60 680 300 50 re f " + text))
    ink, _ = fax(page(text.replace(b"1 g", b"0 g")))
    left = ImageChops.logical_and(ImageChops.invert(seen), ImageChops.invert(ink))
    assert left.histogram()[255] < 0.1 * ink.histogram()[0]
    assert black(seen, (800, 330, 1000, 360)) > 0.3


@pytest.mark.parametrize("level", [0.2, 0.4, 0.6, 0.8, 0.9])
def test_grey_is_dithered(level: float) -> None:
    """A grey area has as many black dots as it is grey, evenly spread."""
    seen, _ = fax(page(b"%g g 60 400 400 300 re f" % level))
    shares = [
        black(seen, (x, y, x + 60, y + 60))
        for x in range(300, 1200, 60)
        for y in range(500, 1100, 60)
    ]
    assert max(shares) - min(shares) < 0.1
    assert abs(sum(shares) / len(shares) - (1 - level)) < 0.15


def test_photographs_are_dithered() -> None:
    """A photograph keeps its shades: it is not cut into black and white."""
    noise = Image.effect_noise((300, 300), 60).filter(ImageFilter.GaussianBlur(2))
    ramp = Image.linear_gradient("L").resize((300, 300))
    photo = ImageChops.add(Image.blend(ramp, noise, 0.25), Image.new("L", (300, 300), 16))

    def change(pdf: Pdf) -> None:
        image = Stream(pdf, photo.tobytes())
        image.stream_dict = Dictionary(
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=300,
            Height=300,
            BitsPerComponent=8,
            ColorSpace=Name.DeviceGray,
        )
        pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(Im=image))
        pdf.pages[0].obj.Contents = Stream(pdf, b"q 400 0 0 400 100 300 cm /Im Do Q")

    seen, _ = fax(pdfs.changed(page(), change))
    # Rows of the photograph, from its dark top to its light bottom.
    shares = [black(seen, (320, top, 1380, top + 80)) for top in range(400, 1380, 160)]
    assert shares == sorted(shares, reverse=True)
    assert all(one - other > 0.05 for one, other in pairwise(shares))


def test_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a page is divided to be looked at makes no difference to its picture."""
    text = b"".join(
        b"BT %g g /F1 %d Tf 60 %d Td (Sehr geehrte Damen und Herren) Tj ET "
        % (at % 7 / 8, at, 830 - at * 14)
        for at in range(1, 50)
    )
    busy = page(b"0.8 g 50 0 200 842 re f 0.3 g 300 0 90 842 re f " + text)
    seen, _ = fax(busy)
    monkeypatch.setattr(pictures, "_BAND", 10_000)
    assert fax(busy)[0].tobytes() == seen.tobytes()
    assert black(seen) > 0.1


def test_picture_of_a_picture() -> None:
    """A page that is such a picture looks exactly so when it is made a picture again."""
    seen, _ = fax(page(TEXT + CROSS))
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    with Rendered(page()) as rendered, rendered.page(0) as shown:
        pictures.show_instead(pdf, pdf.pages[0].obj, seen, shown.box, 0)
    again, _ = fax(pdfs.saved(pdf))
    assert again.tobytes() == seen.tobytes()


# -- in the checker's child ------------------------------------------------------------------


@contextmanager
def files(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield a document and an empty file for its copy, open."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output:
        source.write(data)
        source.flush()
        yield source.fileno(), output.fileno()


def read(fd: int) -> bytes:
    """Return all that is in a file."""
    return os.pread(fd, 100_000_000, 0)


@pytest.mark.parametrize(
    ("way", "limits"),
    [(shaky_reader.CRASH, [LIMITS.seconds]), (shaky_reader.HANG, [3.0, LIMITS.seconds])],
    ids=["crash", "hang"],
)
def test_a_judge_that_breaks_down(way: bytes, limits: list[float]) -> None:
    """If pdfium crashes or hangs, the copy is faxed as it is, and the verdict says so."""
    data = stamped().replace(b"\n%%EOF", b"\n" + way + b"\n%%EOF")
    for seconds in limits:
        with (
            Checker(replace(LIMITS, seconds=seconds), reader=SHAKY) as checker,
            files(data) as (source, output),
        ):
            verdict = checker.prepare(source, output)
            copy = read(output)
        if verdict.whole:  # else there was no time to begin
            break
    assert changes(verdict) == ("flattened",)
    assert verdict.unjudged == 1
    assert verdict.copy_sha256 == hashlib.sha256(copy).hexdigest()
    for drawn in renderers.TWO:
        assert renderers.ink(renderers.part(drawn(copy), PLACE)) > 50


def test_a_picture_from_a_confined_reader() -> None:
    """A reader that may do next to nothing replaces the copy by one with a picture."""
    data = stamped().replace(b"\n%%EOF", b"\n" + shaky_reader.LOSE + b"\n%%EOF")
    with (
        Checker(LIMITS, reader=SHAKY) as checker,
        files(data) as (source, output),
    ):
        verdict = checker.prepare(source, output)
        copy = read(output)
    assert changes(verdict) == ("flattened", "rasterized")
    assert verdict.copy_sha256 == hashlib.sha256(copy).hexdigest()
    assert renderers.ink(renderers.part(renderers.poppler(copy), PLACE)) > 50


@pytest.mark.parametrize("off_without_look", [True, False])
@pytest.mark.parametrize("asks_for_new", [True, False])
def test_nothing_needless(*, off_without_look: bool, asks_for_new: bool) -> None:
    """A form that shows all that it showed before stays a form of lines and letters."""

    def change(pdf: Pdf) -> None:
        for field in pdf.Root.AcroForm.Fields:
            if off_without_look and Name.AP in field and Name.Off in field.AP.N:
                del field.AP.N[Name.Off]

    data = pdfs.changed(pdfs.form(appearances=True, needed=asks_for_new), change)
    assert changes(prepare(data)[0]) == ("flattened",)


@pytest.mark.parametrize("side", [14_400.0, 1_000_000.0])
def test_huge_pages(side: float) -> None:
    """A page of 5 m and more is judged within a quarter of the memory that is allowed."""
    data = stamped(MediaBox=Array([0, 0, side, side]))
    tight = replace(LIMITS, memory=256 << 20)
    with Checker(tight) as checker, files(data) as (source, output):
        verdict = checker.prepare(source, output)
    assert changes(verdict) == ("flattened",)
    assert verdict.unjudged == 0


def test_thirty_pages_of_forms() -> None:
    """The longest form that is faxed is judged to its last page, far within its time."""
    each = pdfs.OFFICE
    fields = [
        replace(field, name=f"{field.name}{at}", page=at) for at in range(30) for field in each
    ]
    data = pdfs.form(fields, pages=30, appearances=True)
    started = time.process_time()
    verdict, _copy = prepare(data)
    assert time.process_time() - started < LIMITS.seconds / 2
    assert verdict.facts is not None
    assert verdict.unjudged == 0


def test_a_fax_that_was_not_compared(tmp_path: Path) -> None:
    """A form over which the judge crashes is sent, and the log says so."""
    data = stamped().replace(b"\n%%EOF", b"\n" + shaky_reader.CRASH + b"\n%%EOF")
    with stage(tmp_path) as staged, capture_logs() as logs:
        with Checker(LIMITS, reader=SHAKY) as checker:
            staged.world.checker = checker
            staged.world.start()
            staged.drop("+493023125130", "letter.pdf", data)
            staged.world.until_done(hours=1.0)
        assert_all_answered(staged)
        assert ends(staged.world) == [("sent", None)]
    told = [each for each in logs if each["event"] == "fax.copy_not_compared"]
    assert [each["pages"] for each in told] == [1]
