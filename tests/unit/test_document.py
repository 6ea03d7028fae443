"""What the document check accepts, refuses and repairs, and what of a form is visible then."""

# ruff: noqa: RUF001 - characters that look alike are what some of these are about

import hashlib
import io
import random
import re
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from typing import Any, cast

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from faxdrop.documents.pdf import document, lettering
from faxdrop.documents.pdf.document import Limits, Verdict
from faxdrop.fax.reasons import ReasonCode
from tests.kit import pdfs
from tests.kit.pdfs import Field, Rect
from tests.kit.ways import scanned

LIMITS = Limits(max_bytes=10_000_000, max_pages=30)


def examine(data: bytes, limits: Limits = LIMITS) -> Verdict:
    """Return the verdict on a PDF, checked against what holds for every verdict."""
    verdict = document.examine(io.BytesIO(data), limits)
    assert verdict.sha256 == hashlib.sha256(data).hexdigest()
    assert verdict.bytes == len(data)
    assert (verdict.facts is None) == (verdict.reason is not None)
    assert verdict.whole or not verdict.clean
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    return verdict


def prepare(data: bytes, limits: Limits = LIMITS) -> tuple[Verdict, bytes]:
    """Return the verdict and the copy."""
    output = io.BytesIO()
    verdict = document.prepare(io.BytesIO(data), output, limits)
    copy = output.getvalue()
    assert verdict.copy_sha256 == (hashlib.sha256(copy).hexdigest() if copy else None)
    return verdict, copy


def copied(data: bytes, *changes: str) -> bytes:
    """Return the copy of a PDF that is made with these changes, itself in need of none."""
    assert examine(data).facts is not None
    verdict, copy = prepare(data)
    assert verdict.facts is not None, verdict.reason
    assert verdict.facts.changes == changes
    again = examine(copy)
    assert again.clean
    assert again.facts is not None
    assert again.facts.changes == ()
    assert again.pages == verdict.pages
    return copy


def refused(data: bytes, code: ReasonCode, *, whole: bool, limits: Limits = LIMITS) -> str:
    """Return the words with which a PDF is refused."""
    verdict = examine(data, limits)
    assert verdict.reason is not None
    assert verdict.reason.code is code, verdict.reason
    assert verdict.whole is whole
    assert verdict.reason.advice
    assert prepare(data, limits) == (verdict, b"")
    return verdict.reason.message


# -- looking at pages ------------------------------------------------------------------------


def rendered(data: bytes, page: int = 0) -> Image.Image:
    """Return a page in grey at 144 dpi, without forms and annotations."""
    with pypdfium2.PdfDocument(data) as pdf:
        bitmap = pdf[page].render(scale=2, grayscale=True, draw_annots=False, may_draw_forms=False)
        return cast("Image.Image", bitmap.to_pil().convert("L"))


def crop(picture: Image.Image, rect: Rect) -> Image.Image:
    """Return the part of a rendered page (of height 842) that a rectangle encloses."""
    left, bottom, right, top = rect
    return picture.crop(
        (int(left * 2), int((842 - top) * 2), int(right * 2), int((842 - bottom) * 2))
    )


def ink(data: bytes, rect: Rect, page: int = 0) -> int:
    """Return how many pixels of a rectangle are not white."""
    part = crop(rendered(data, page), rect)
    return sum(part.histogram()[:200])


def words(data: bytes, page: int = 0) -> str:
    """Return the text of a page, forms and annotations aside."""
    with pypdfium2.PdfDocument(data) as pdf:
        text = pdf[page].get_textpage().get_text_bounded()
    return unicodedata.normalize("NFC", " ".join(str(text).split()))


BLANK: Rect = (300, 40, 590, 300)  # no form here has anything at this place


# -- good ones -------------------------------------------------------------------------------


def test_good_pdf() -> None:
    """A good PDF is whole, clean and needs no copy."""
    verdict = examine(pdfs.good(3))
    assert (verdict.whole, verdict.clean, verdict.pages) == (True, True, 3)
    assert verdict.facts is not None
    assert verdict.facts.changes == ()
    assert prepare(pdfs.good(3))[1] == b""


def test_position_of_the_file_does_not_matter() -> None:
    """The whole file is read, wherever its position is."""
    file = io.BytesIO(pdfs.good())
    file.seek(700)
    assert document.examine(file, LIMITS).clean


def test_announcement() -> None:
    """Hash and size are reported before anything is parsed, so that they survive a crash."""
    told: list[Verdict] = []
    document.examine(io.BytesIO(b"junk"), LIMITS, told.append)
    (first,) = told
    assert (first.sha256, first.bytes) == (hashlib.sha256(b"junk").hexdigest(), 4)


def test_page_limit() -> None:
    """Thirty pages pass, thirty-one do not, and the words give the number."""
    assert examine(pdfs.good(30)).facts is not None
    assert "31 pages" in refused(pdfs.good(31), ReasonCode.TOO_MANY_PAGES, whole=True)
    assert examine(pdfs.good(31)).pages == 31


def test_size_limit() -> None:
    """A file of 11 MB is refused unparsed, with its hash; whether it is whole is still told."""
    large = pdfs.of_size(11_000_000)
    assert "11.0 MB" in refused(large, ReasonCode.TOO_LARGE, whole=True)
    refused(large[:-20], ReasonCode.TOO_LARGE, whole=False)
    assert examine(pdfs.of_size(9_000_000)).clean


def test_much_too_large() -> None:
    """A file too large to be hashed in the time is refused in the time, without a hash."""

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return bytes(size or 0)

        def seek(self, offset: int, whence: int = 0, /) -> int:
            return 1 << 40 if whence == io.SEEK_END else offset

    verdict = document.examine(Endless(), Limits(max_bytes=1000, max_pages=30, seconds=0.1))
    assert verdict.reason is not None
    assert (verdict.reason.code, verdict.sha256) == (ReasonCode.TOO_LARGE, "")
    assert verdict.bytes == 1 << 40


# -- not (yet) a PDF -------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 9000, b"PK\3\4" * 900], ids=range(4))
def test_not_a_pdf(data: bytes) -> None:
    """A file without a PDF header is not a PDF, but might still become one."""
    refused(data, ReasonCode.NOT_A_PDF, whole=False)


@pytest.mark.parametrize("source", [pdfs.good(2), pdfs.scan(), pdfs.form()], ids=range(3))
def test_every_truncation(source: bytes) -> None:
    """A PDF that is cut off anywhere is never taken for a whole one."""
    end = source.rindex(b"%%EOF") + 5
    cuts = random.Random(1).sample(range(1, end), 150)  # noqa: S311 - no secret
    for cut in [*cuts, end - 1]:
        assert not examine(source[:cut]).whole, cut


def test_cut_linearized_pdf() -> None:
    """A linearized PDF that is cut just behind its first end mark is not whole."""
    whole = pdfs.changed(pdfs.scan(), lambda _: None, linearize=True)
    assert examine(whole).clean
    cut = whole.index(b"%%EOF") + 6
    assert cut < len(whole) - 6
    assert not examine(whole[:cut]).whole
    assert not examine(whole[: cut + 300]).whole


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"X-Scanner: 7\r\n" * 40])
def test_cut_behind_an_attachment(before: bytes) -> None:
    """A PDF that is cut just behind the end of an attached PDF is not that attachment."""

    def attach(pdf: Pdf) -> None:
        attached = before + pdfs.good(text="Anlage")
        pdf.pages[-1].obj.Attached = pdf.make_indirect(Stream(pdf, attached))

    whole = pdfs.changed(pdfs.good(2), attach, compress_streams=False)
    mark = whole.index(b"%%EOF")
    assert whole.index(b"/Type /Page") < mark < whole.rindex(b"%%EOF")
    assert examine(whole).clean
    for cut in range(mark, mark + 20):
        assert not examine(whole[:cut]).whole
        assert not examine(whole[:cut] + bytes(4096)).whole
    moved = b"\r\n" + whole  # mended, and whole
    assert examine(moved).facts is not None


def test_every_hole() -> None:
    """A file of full size of which any block is still unwritten is never taken for a whole one."""
    source = pdfs.scan()
    for start in range(0, len(source) - 600, 4096):
        holed = source[:start] + bytes(4096) + source[start + 4096 :]
        assert not examine(holed[: len(source)]).whole, start
    for part in range(1, 10):
        assert not examine(pdfs.preallocated(part / 10)).whole


def test_holes_and_an_end() -> None:
    """A file whose end was written first is not whole while anything before it is missing."""
    source = pdfs.good(9)
    tail = source[-1200:]
    for done in (0, 20, 600, 2000):
        assert not examine(source[:done] + bytes(len(source) - done - 1200) + tail).whole


def picture(data: bytes, **entries: Any) -> bytes:
    """Return a page with one picture of this raw data."""

    def change(pdf: Pdf) -> None:
        image = Stream(pdf, data)
        image.stream_dict = Dictionary(Type=Name.XObject, Subtype=Name.Image, **entries)
        pdf.pages[0].obj.Resources.XObject = Dictionary(Im0=image)

    return pdfs.changed(
        pdfs.good(),
        change,
        compress_streams=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
    )


def jpeg(metadata: bytes = b"", scan: bytes = b"\1\2\3" * 99) -> bytes:
    """Return what a JPEG looks like from afar."""
    block = b"\xff\xe1" + (len(metadata) + 2).to_bytes(2) + metadata
    return b"\xff\xd8" + block + b"\xff\xda\0\4\1\2" + scan + b"\xff\xd9"


@pytest.mark.parametrize(
    "data",
    [
        picture(bytes(20_000), Width=100, Height=200, BitsPerComponent=8),
        picture(zlib.compress(b" " * 90_000_000), Filter=Name.FlateDecode),
        picture(jpeg(metadata=bytes(3000)), Filter=Name.DCTDecode),
    ],
    ids=["black", "even", "jpeg with padding"],
)
def test_zeros_of_its_own(data: bytes) -> None:
    """A PDF whose pictures rightly hold long runs of zeros is whole, but must come to rest."""
    verdict = examine(data)
    assert (verdict.whole, verdict.clean) == (True, False)


def test_zeros_in_a_jpeg() -> None:
    """Zeros amid a JPEG's picture are a hole."""
    data = picture(jpeg(scan=b"\1" * 50 + bytes(3000)), Filter=Name.DCTDecode)
    refused(data, ReasonCode.DAMAGED_PDF, whole=False)


# -- protected -------------------------------------------------------------------------------


def test_password() -> None:
    """A PDF that asks for a password is refused, and waiting would not help."""
    refused(pdfs.encrypted(), ReasonCode.ENCRYPTED_PDF, whole=True)


def test_foreign_encryption() -> None:
    """A PDF with an encryption that is not the standard's is refused as encrypted."""
    data = pdfs.raw_pdf(
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
    ).replace(b"/Size", b"/ID[<00><00>]/Encrypt<</Filter/Adobe.PubSec/V 4>>/Size")
    refused(data, ReasonCode.ENCRYPTED_PDF, whole=True)


def test_owner_password() -> None:
    """A PDF that everyone may read is decrypted in its copy; nothing else of it changes."""
    copy = copied(pdfs.owner_locked(), "decrypted")
    assert b"/Encrypt" not in copy
    assert rendered(copy).tobytes() == rendered(pdfs.good()).tobytes()


# -- damaged ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [pdfs.good(2), pdfs.scan(), pdfs.good(30)], ids=range(3))
def test_repair(source: bytes) -> None:
    """A complete PDF with a wrong cross-reference is repaired, and looks as before."""
    copy = copied(pdfs.repairable(source), "repaired")
    assert rendered(copy).tobytes() == rendered(source).tobytes()
    assert not examine(pdfs.repairable(source)).clean


def test_garbage_around() -> None:
    """What is around the PDF is removed in the copy; with much after it, it must come to rest."""
    copied(pdfs.garbage_after(100), "repaired")
    copied(b"From: scanner\n\n" + pdfs.good(), "repaired")
    assert examine(pdfs.good() + b"\r\n\0\0\0").clean
    copied(pdfs.garbage_after(2000), "repaired")
    assert examine(pdfs.garbage_after(100)).whole
    assert not examine(pdfs.garbage_after(2000)).whole
    # A gap means that parts of the file are still to come.
    gap = pdfs.good() + bytes(1024) + b"x" * 2000
    refused(gap, ReasonCode.DAMAGED_PDF, whole=False)


@pytest.mark.parametrize(
    "header", [b"%!PS-Adobe-3.0 PDF-1.4", b"%PDF 1.4", b"%pdf-1.4", b"@PJL SET A=B\r\n" * 200]
)
def test_odd_header(header: bytes) -> None:
    """A header that is odd or far behind is found where viewers find it, but not in other files."""
    good = pdfs.good()
    data = header + (good if header.startswith(b"@") else good[8:])
    assert words(copied(data, "repaired")) == words(good)
    refused(b"PK\3\4\0\0" + b"x" * 2000 + good, ReasonCode.NOT_A_PDF, whole=False)
    refused(b"%FDF-1.4" + good[8:], ReasonCode.NOT_A_PDF, whole=False)


def test_mangled_newlines() -> None:
    """A PDF that went through a text transfer is refused where its pictures are broken."""
    refused(pdfs.mangled_newlines(), ReasonCode.DAMAGED_PDF, whole=False)
    photo = picture(random.Random(3).randbytes(9000), Filter=Name.DCTDecode)  # noqa: S311
    refused(pdfs.mangled_newlines(photo), ReasonCode.DAMAGED_PDF, whole=False)
    fax = picture(random.Random(4).randbytes(9000), Filter=Name.CCITTFaxDecode)  # noqa: S311
    refused(pdfs.mangled_newlines(fax), ReasonCode.DAMAGED_PDF, whole=False)


def test_lost_page_content() -> None:
    """A repair that would lose a page's content is refused."""
    plain = pdfs.changed(
        pdfs.good(2), lambda _: None, object_stream_mode=pikepdf.ObjectStreamMode.disable
    )
    number = re.findall(rb"/Contents (\d+) 0 R", plain)[1]
    start = plain.index(b"\n" + number + b" 0 obj") + 1
    gone = plain[:start] + b"%" * 9 + plain[start + 9 :]
    refused(gone, ReasonCode.DAMAGED_PDF, whole=False)
    refused(pdfs.repairable(gone), ReasonCode.DAMAGED_PDF, whole=False)
    page = plain.index(b"/Type /Page\n") if b"/Type /Page\n" in plain else plain.index(b"/Page ")
    refused(plain[:page] + b"\0" * 60 + plain[page + 60 :], ReasonCode.DAMAGED_PDF, whole=False)


def test_corrupt_content() -> None:
    """A page whose content does not unpack is damaged, however tidy the file is."""

    def change(pdf: Pdf) -> None:
        content = Stream(pdf, zlib.compress(bytes(range(99)))[:9] + b"\xff" * 40)
        content.Filter = Name.FlateDecode
        pdf.pages[0].obj.Contents = content

    refused(pdfs.changed(pdfs.good(), change), ReasonCode.DAMAGED_PDF, whole=False)


def test_zero_pages() -> None:
    """A PDF without pages is refused."""
    assert "no pages" in refused(pdfs.zero_pages(), ReasonCode.DAMAGED_PDF, whole=True)


@pytest.mark.parametrize("claim", [0, 1, 10**9, -1])
def test_lying_count(claim: int) -> None:
    """The pages are counted, whatever the PDF claims."""
    assert examine(pdfs.lying_count(claim)).pages == 2


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (pdfs.looping_page_tree, ReasonCode.DAMAGED_PDF),
        (pdfs.page_bomb, ReasonCode.TOO_MANY_PAGES),
        (pdfs.deep_page_tree, ReasonCode.DAMAGED_PDF),
        (pdfs.deep_nesting, ReasonCode.DAMAGED_PDF),
        (pdfs.zip_bomb, ReasonCode.DAMAGED_PDF),
    ],
)
def test_bombs(make: Callable[[], bytes], code: ReasonCode) -> None:
    """A PDF made to exhaust its reader is refused in time."""
    verdict = examine(make())
    assert verdict.reason is not None
    assert verdict.reason.code is code


def test_page_that_may_be_a_list() -> None:
    """What some viewers show as a page, and others take for an empty list, is not left out."""
    page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R"
    content = "<</Length 0>>stream\n\nendstream"
    for more, code in (("", None), ("/Kids[]", ReasonCode.DAMAGED_PDF)):
        verdict = examine(
            pdfs.raw_pdf(
                "<</Type/Catalog/Pages 2 0 R>>",
                "<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]>>",
                f"{page}{more}>>",
                f"{page}>>",
                content,
            )
        )
        assert (verdict.reason and verdict.reason.code) == code


def test_page_that_is_counted_and_missing() -> None:
    """An entry of the page list that is nothing is a missing page if the list counts it."""
    for count, entry, total in ((1, "9 0 R", 1), (2, "9 0 R", None), (2, "2 0 R", None)):
        verdict = examine(
            pdfs.raw_pdf(
                "<</Type/Catalog/Pages 2 0 R>>",
                f"<</Type/Pages/Count {count}/Kids[3 0 R {entry}]>>",
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
            )
        )
        assert verdict.pages == total, (count, entry)


def test_words_of_a_refusal() -> None:
    """A refusal says in plain words what is wrong: people know no classes of Python."""
    data = pdfs.raw_pdf("<</Type/Catalog>>")
    said = refused(data, ReasonCode.DAMAGED_PDF, whole=False)
    assert said == "The PDF is damaged: parts of it are missing or cannot be read."


def test_mixture_of_two_scans() -> None:
    """A file that two scanners wrote at once is not whole, wherever the seam is."""
    one, other = scanned("one", 4), scanned("other", 3)
    assert examine(one).clean
    for seam in (*range(4096, len(other), 8192), len(other)):
        mixed = examine(other[:seam] + one[seam:])
        assert not mixed.whole
        assert mixed.reason is not None


def test_picture_bomb() -> None:
    """A picture that unpacks to gigabytes does no harm, because pictures are not unpacked."""
    assert examine(pdfs.zip_bomb_picture()).facts is not None


def test_huge_picture_dictionary() -> None:
    """A picture that claims to be immense is not decoded either."""
    data = picture(b"\0\1" * 50, Width=2**31, Height=2**31, Filter=Name.JBIG2Decode)
    assert examine(data).clean


def test_ballast_in_copies() -> None:
    """Scripts and attachments are not carried into copies, and need no copy by themselves."""

    def change(pdf: Pdf) -> None:
        pdf.attachments["a.txt"] = b"secret"
        pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))

    armed = pdfs.changed(pdfs.form(), change)
    copy = copied(armed, "flattened")
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert not pdf.attachments
        assert Name.OpenAction not in pdf.Root
    assert examine(pdfs.changed(pdfs.good(), change)).clean


def test_copies_are_reproducible() -> None:
    """The same document gives the same copy, byte for byte."""
    source = pdfs.repairable(pdfs.form())
    assert prepare(source) == prepare(source)


def test_copy_too_large() -> None:
    """A copy that has grown beyond the limit is refused, and not written."""
    source = pdfs.form()
    verdict, copy = prepare(source, Limits(max_bytes=len(source), max_pages=30))
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.TOO_LARGE
    assert copy == b""


def test_failing_output() -> None:
    """A full disk is not blamed on the document."""

    class Full(io.BytesIO):
        def write(self, _data: object, /) -> int:
            raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        document.prepare(io.BytesIO(pdfs.form()), Full(), LIMITS)


# -- forms -----------------------------------------------------------------------------------


FILLED = tuple(field for field in pdfs.OFFICE if field.name not in ("Werbung", "Versand"))


@pytest.mark.parametrize("appearances", [True, False])
def test_office_form(*, appearances: bool) -> None:
    """What was filled in is on the page, nothing else is, and the form is gone."""
    copy = copied(pdfs.form(appearances=appearances), "flattened")
    for field in FILLED:
        assert ink(copy, field.rect) > 20, field.name
    assert ink(copy, (200, 560, 215, 575)) == 0
    post, fax, bote = next(each for each in pdfs.OFFICE if each.kind == "radio").rects
    assert [ink(copy, rect) > 20 for rect in (post, fax, bote)] == [False, True, False]
    assert ink(copy, BLANK) == 0
    text = words(copy)
    for expected in ("Jürgen Größe-Äußerung", "Erste Zeile", "Zweite Zeile", "Frau", "Di"):
        assert expected in text
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert Name.AcroForm not in pdf.Root
        assert not pdf.pages[0].obj.get(Name.Annots)


def test_reportlab_form() -> None:
    """A form that another library made, with fields of all kinds, is flattened as it looks."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(595, 842))
    form = canvas.acroForm
    form.textfield(name="t", value="Hallo", x=100, y=700, width=200, height=20)
    form.checkbox(name="c", checked=True, x=100, y=650)
    form.radio(name="r", value="a", selected=True, x=100, y=600)
    form.radio(name="r", value="b", selected=False, x=150, y=600)
    form.choice(name="h", value="zwei", options=["eins", "zwei"], x=100, y=550, width=90, height=20)
    form.listbox(name="l", value="rot", options=["rot", "blau"], x=100, y=450, width=90, height=60)
    canvas.showPage()
    canvas.save()
    copy = copied(pdfs.changed(buffer.getvalue(), lambda _: None), "flattened")
    text = words(copy)
    assert all(word in text for word in ("Hallo", "zwei", "rot", "blau"))
    boxes: list[Rect] = [(100, 650, 120, 670), (100, 600, 120, 620), (150, 600, 170, 620)]
    assert all(ink(copy, rect) > 50 for rect in boxes)
    assert ink(copy, boxes[1]) > ink(copy, boxes[2])


def show(field: Field, **more: Any) -> bytes:
    """Return the flattened copy of a form of one field."""
    return copied(pdfs.form([field], **more), "flattened")


TALL: Rect = (100, 500, 300, 620)
FLAT: Rect = (100, 700, 300, 720)


@pytest.mark.parametrize(
    "text",
    ["Äpfel für Ölsüß", "100 € – „ja“ … ½ §5", "Čapek Łódź Şahin Ağaoğlu", "e\u0301t\u0327"],
    ids=["umlauts", "signs", "neighbours", "decomposed"],
)
def test_characters(text: str) -> None:
    """German, its signs and the names of its neighbours are written; other forms are composed."""
    copy = show(Field("f", "text", FLAT, text))
    bare = show(Field("f", "text", FLAT, text[:1]))
    assert ink(copy, FLAT) > ink(bare, FLAT) > 0
    # Accents that are glyphs of their own come after their letters.
    simple = str.maketrans("łŁ", "lL")
    assert _letters(words(copy).translate(simple)) == _letters(text.translate(simple))


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFD", text).replace("ı", "i")
    return "".join(each for each in plain if each.isascii() and each.isalnum())


def test_accents_have_ink() -> None:
    """An umlaut has its dots, a caron its hook, a stroke its line."""
    for plain, accented in ("aä", "UÜ", "cč", "sş", "gğ", "SŠ", "ZŹ", "lł", "iī", "dđ", "aą"):
        with_accent = ink(show(Field("f", "text", FLAT, accented * 5)), FLAT)
        assert with_accent > ink(show(Field("f", "text", FLAT, plain * 5)), FLAT)


@pytest.mark.parametrize("text", ["Москва", "東京", "ok 😀"])
def test_characters_that_cannot_be_drawn(text: str) -> None:
    """A character that Helvetica lacks fails the document with its reason; nothing is dropped."""
    verdict, copy = prepare(pdfs.form([Field("Ort", "text", FLAT, text)]))
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.REJECTED
    assert "characters" in verdict.reason.message
    assert text not in verdict.reason.message
    assert copy == b""


def test_invisible_characters() -> None:
    """Control and joining characters are dropped, odd spaces become spaces."""
    copy = show(Field("f", "text", FLAT, "a\u200bb\u00a0c\u2009d\ufe0f\u2011e\uff21"))
    assert words(copy).replace("\xa0", " ") == "ab c d-eA"


def test_long_text_is_made_smaller() -> None:
    """Text too long for its field is made smaller, so that all of it is there."""
    long = "Donaudampfschifffahrtsgesellschaftskapitän seit 1987"
    copy = show(Field("f", "text", FLAT, long, entries={"DA": String("/Helv 12 Tf 0 g")}))
    assert words(copy) == long
    assert ink(copy, (300, 690, 420, 730)) == 0
    assert ink(copy, (280, 700, 298, 720)) > 0


def test_multiline_text() -> None:
    """Long text in a field of many lines is broken at spaces, and inside words where it must be."""
    sentence = "Bitte senden Sie uns die Unterlagen bis Freitag zu. " * 6 + "x" * 90
    copy = show(Field("f", "text", TALL, sentence, flags=pdfs.MULTILINE))
    assert "".join(words(copy).split()) == "".join(sentence.split())
    halves: list[Rect] = [(100, 560, 300, 620), (100, 500, 300, 560)]
    assert all(ink(copy, half) > 500 for half in halves)
    assert ink(copy, (301, 480, 590, 640)) == ink(copy, (100, 400, 590, 499)) == 0


def test_alignment() -> None:
    """Text stands left, in the middle or right, as the field or its form says."""
    left, right = (100, 700, 150, 720), (250, 700, 300, 720)
    seen = []
    for align in (0, 1, 2):
        copy = show(Field("f", "text", FLAT, "Hier", entries={"Q": align}))
        seen.append((ink(copy, left) > 0, ink(copy, right) > 0))
    assert seen == [(True, False), (False, False), (False, True)]
    assert ink(show(Field("f", "text", FLAT, "Hier"), Q=2), right) > 0


def test_comb() -> None:
    """Each character of a comb field has a cell of its own."""
    field = Field("f", "text", FLAT, "DE89Ü", flags=pdfs.COMB, entries={"MaxLen": 10})
    copy = show(field)
    cells = [ink(copy, (100 + at * 20, 700, 120 + at * 20, 720)) > 5 for at in range(10)]
    assert cells == [True] * 5 + [False] * 5


def test_password_field() -> None:
    """A password is not written out on a fax."""
    copy = show(Field("f", "text", FLAT, "geheim", flags=pdfs.PASSWORD))
    assert words(copy) == "******"


def test_read_only_field() -> None:
    """A read-only field is shown as all others are."""
    assert words(show(Field("f", "text", FLAT, "fest", flags=pdfs.READ_ONLY))) == "fest"


@pytest.mark.parametrize("flags", [pdfs.HIDDEN, pdfs.HIDDEN | pdfs.PRINT, pdfs.NO_VIEW])
@pytest.mark.parametrize("appearances", [True, False])
def test_hidden_field(flags: int, *, appearances: bool) -> None:
    """A hidden field stays hidden."""
    field = Field("f", "text", FLAT, "verborgen", entries={"F": flags})
    copy = show(field, appearances=appearances)
    assert words(copy) == ""
    assert ink(copy, FLAT) == 0
    assert b"verborgen".hex().encode() not in copy


@pytest.mark.parametrize("flags", [0, pdfs.PRINT, pdfs.PRINT | pdfs.NO_VIEW])
def test_field_without_print_flag(flags: int) -> None:
    """Fields that are visible on screen or on paper are on the fax."""
    assert words(show(Field("f", "text", FLAT, "da", entries={"F": flags}))) == "da"


def test_push_button() -> None:
    """A button that is not printed is not faxed; a picture that somebody put into one is."""
    button = Field("Drucken", "button", FLAT, "Drucken")
    assert ink(show(button, appearances=True), FLAT) > 0
    unprinted = Field("Drucken", "button", FLAT, "Drucken", entries={"F": 0})
    assert ink(show(unprinted, appearances=True), FLAT) == 0
    script = Dictionary(S=Name.JavaScript, JS=String("event.target.buttonImportIcon();"))
    picture = Field("Foto", "button", FLAT, "Foto", entries={"F": 0, "A": script})
    assert ink(show(picture, appearances=True), FLAT) > 0


def test_signature() -> None:
    """A signature is shown as it looks; one without a look stops nothing."""
    seen = Field("sig", "signature", FLAT, "gez. Müller")
    assert words(show(seen, appearances=True)) == "gez. Müller"
    assert ink(show(Field("sig", "signature", FLAT)), FLAT) == 0


def test_several_pages() -> None:
    """Fields of all pages are flattened, each on its page."""
    fields = [Field(f"f{page}", "text", FLAT, f"Seite {page}", page=page) for page in range(4)]
    for appearances in (True, False):
        copy = copied(pdfs.form(fields, pages=5, appearances=appearances), "flattened")
        assert [words(copy, page) for page in range(5)] == [
            *(f"Seite {page}" for page in range(4)),
            "",
        ]


def test_one_field_on_several_pages() -> None:
    """A field that is shown in several places is shown in each, with what it inherits."""

    def change(pdf: Pdf) -> None:
        parent = pdf.Root.AcroForm.Fields[0]
        kids = []
        for page in pdf.pages:
            kid = Dictionary(Type=Name.Annot, Subtype=Name.Widget, Rect=list(FLAT), F=4)
            kid.Parent = parent
            kids.append(pdf.make_indirect(kid))
            page.obj.Annots = Array([kids[-1]])
        parent.Kids = Array(kids)

    copy = copied(
        pdfs.changed(pdfs.form([Field("f", "text", FLAT, "überall")], pages=3), change), "flattened"
    )
    assert [words(copy, page) for page in range(3)] == ["überall"] * 3


@pytest.mark.filterwarnings("ignore::pikepdf.exceptions.PageCopyWarning")
def test_orphaned_field() -> None:
    """A field that is on a page but not in the form is flattened, too."""

    def change(pdf: Pdf) -> None:
        pdf.Root.AcroForm.Fields = Array()

    for appearances in (True, False):
        orphan = pdfs.form([Field("f", "text", FLAT, "allein")], appearances=appearances)
        assert words(copied(pdfs.changed(orphan, change), "flattened")) == "allein"


@pytest.mark.filterwarnings("ignore::pikepdf.exceptions.PageCopyWarning")
def test_no_form_dictionary() -> None:
    """A field on a page of a PDF that has no form at all is flattened, too."""

    def change(pdf: Pdf) -> None:
        del pdf.Root.AcroForm

    orphan = pdfs.form([Field("f", "text", FLAT, "allein")])
    assert words(copied(pdfs.changed(orphan, change), "flattened")) == "allein"


def test_stale_appearance() -> None:
    """Where the PDF says that appearances are out of date, the value counts."""

    def change(pdf: Pdf) -> None:
        pdf.Root.AcroForm.Fields[0].V = String("neu")

    old = pdfs.form([Field("f", "text", FLAT, "alt")], appearances=True, needed=True)
    assert words(copied(pdfs.changed(old, change), "flattened")) == "neu"
    kept = pdfs.form([Field("f", "text", FLAT, "alt")], appearances=True)
    assert words(copied(pdfs.changed(kept, change), "flattened")) == "alt"


def test_empty_appearance() -> None:
    """A value whose appearance shows nothing is written, although the PDF does not ask for it."""

    def change(pdf: Pdf) -> None:
        pdf.Root.AcroForm.Fields[0].V = String("ausgefüllt")

    empty = pdfs.form([Field("f", "text", FLAT, "")], appearances=True)
    bare = pdfs.changed(empty, lambda pdf: pdf.Root.AcroForm.Fields[0].AP.N.write(b"/Tx BMC EMC"))
    assert words(copied(pdfs.changed(bare, change), "flattened")) == "ausgefüllt"


def test_appearance_without_resources() -> None:
    """An appearance finds its font in the form where it has none of its own."""

    def change(pdf: Pdf) -> None:
        del pdf.Root.AcroForm.Fields[0].AP.N.Resources

    bare = pdfs.changed(pdfs.form([Field("f", "text", FLAT, "da")], appearances=True), change)
    assert words(copied(bare, "flattened")) == "da"


@pytest.mark.parametrize("mark", ["", "4", "8", "l", "n", "u", "H"])
def test_check_marks(mark: str) -> None:
    """A check box without a look gets its mark, inside its box."""
    box: Rect = (100, 560, 120, 580)
    field = Field("c", "check", box, "Ja", entries={"MK": Dictionary(CA=String(mark))})
    copy = show(field)
    assert ink(copy, box) > 30
    assert ink(copy, (0, 0, 595, 842)) == ink(copy, box)


def test_box_around_an_empty_check_box() -> None:
    """The box that is to be ticked is drawn, also where it was not ticked."""
    box: Rect = (100, 560, 120, 580)
    look = Dictionary(BC=Array([0]), BG=Array([1, 1, 0]))
    off = ink(show(Field("c", "check", box, "", entries={"MK": look})), box)
    on = ink(show(Field("c", "check", box, "Ja", entries={"MK": look})), box)
    assert on > off > 50


def test_check_box_state_from_value() -> None:
    """A check box that has looks for both states shows the one that its value names."""

    def change(pdf: Pdf) -> None:
        del pdf.Root.AcroForm.Fields[0]["/AS"]

    box: Rect = (100, 560, 120, 580)
    for value, seen in (("Ja", True), ("", False), ("Nein", False)):
        source = pdfs.form([Field("c", "check", box, value)], appearances=True)
        assert (ink(copied(pdfs.changed(source, change), "flattened"), box) > 0) is seen


def test_state_names_in_latin_1() -> None:
    """A check box whose state has an umlaut, in whatever encoding, shows its state."""
    box: Rect = (100, 560, 120, 580)
    on, off = (
        pdfs.raw_pdf(
            "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]/NeedAppearances true>>>>",
            "<</Type/Pages/Count 1/Kids[3 0 R]>>",
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>/Annots[4 0 R]>>",
            f"<</Subtype/Widget/FT/Btn/T(c)/V/{value}/Rect[100 560 120 580]/F 4"
            "/AP<</N<</gew#E4hlt 5 0 R/Off 6 0 R>>>>>>",
            "<</Subtype/Form/BBox[0 0 20 20]/Length 15>>\nstream\n0 0 20 20 re f \nendstream",
            "<</Subtype/Form/BBox[0 0 20 20]/Length 0>>\nstream\n\nendstream",
        )
        for value in ("gew#E4hlt", "Off")
    )
    assert ink(copied(on, "flattened"), box) > 1000
    assert ink(copied(off, "flattened"), box) == 0


def radio_without_states(value: str, options: Iterable[str] = ()) -> bytes:
    """Return a form whose radio buttons do not say which is which."""

    def change(pdf: Pdf) -> None:
        group = pdf.Root.AcroForm.Fields[0]
        if options:
            group.Opt = Array([String(each) for each in options])
        for kid in group.Kids:
            del kid["/AS"]

    group = Field("Wahl", "radio", (100, 520, 115, 535), value, options=("A", "B", "C"))
    return pdfs.changed(pdfs.form([group]), change)


@pytest.mark.parametrize(("value", "options"), [("1", ()), ("B", ("A", "B", "C"))])
def test_radio_button_by_place(value: str, options: Iterable[str]) -> None:
    """A radio button without a look is found by its place where only that tells."""
    copy = copied(radio_without_states(value, options), "flattened")
    group = Field("Wahl", "radio", (100, 520, 115, 535), options=("A", "B", "C"))
    assert [ink(copy, rect) > 20 for rect in group.rects] == [False, True, False]


def test_radio_button_that_cannot_be_told() -> None:
    """A choice that cannot be determined fails the document; none is guessed or dropped."""
    verdict, _ = prepare(radio_without_states("B"))
    assert verdict.reason is not None
    assert "radio buttons" in verdict.reason.message
    assert prepare(radio_without_states("Off"))[0].facts is not None


def test_choice_shows_words() -> None:
    """A choice field shows the words of its choice, not its code."""

    def change(pdf: Pdf) -> None:
        field = pdf.Root.AcroForm.Fields[0]
        field.Opt = Array([Array([String("de"), String("Deutschland")])])
        field.V = String("de")

    combo = pdfs.form([Field("Land", "choice", FLAT, "de", flags=pdfs.COMBO)])
    assert words(copied(pdfs.changed(combo, change), "flattened")) == "Deutschland"


def test_list_box() -> None:
    """A list shows its choices, the chosen ones marked; a long one what has room, or is chosen."""
    short = Field("l", "choice", TALL, ("b", "c"), options=("a", "b", "c", "d"))
    copy = show(short)
    assert words(copy) == "a b c d"
    grey = [
        crop(rendered(copy), (250, 620 - at * 14 - 12, 290, 620 - at * 14 - 4)) for at in range(4)
    ]
    assert [part.getextrema()[0] < 255 for part in grey] == [False, True, True, False]  # type: ignore[operator]
    many = tuple(f"Wahl {at}" for at in range(200))
    assert words(show(Field("l", "choice", TALL, ("Wahl 7", "Wahl 150"), options=many))) == (
        "Wahl 7 Wahl 150"
    )
    first = words(show(Field("l", "choice", TALL, ("Wahl 0",), options=many)))
    assert first.startswith("Wahl 0 Wahl 1 Wahl 2")  # as viewers show it, until one scrolls


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("page_turn", [0, 90])
def test_turned_fields(turn: int, page_turn: int) -> None:
    """Fields that are turned, and fields on turned pages, keep their text in their place."""

    def change(pdf: Pdf) -> None:
        pdf.pages[0].obj.Rotate = page_turn

    field = Field("f", "text", TALL, "gedreht", entries={"MK": Dictionary(R=turn)})
    copy = copied(pdfs.changed(pdfs.form([field]), change), "flattened")
    upright = pdfs.changed(copy, lambda pdf: pdf.pages[0].obj.__setitem__("/Rotate", 0))
    assert words(copy) == "gedreht"
    assert ink(upright, TALL) == ink(upright, (0, 0, 595, 842)) > 100


def test_colours() -> None:
    """Text keeps its colour, so that grey small print stays grey."""
    dark = show(Field("f", "text", FLAT, "Text", entries={"DA": String("/Helv 12 Tf 0 g")}))
    light = show(
        Field("f", "text", FLAT, "Text", entries={"DA": String("0.6 0.6 0.6 rg /F 12 Tf")})
    )
    darkest = [crop(rendered(copy), FLAT).getextrema()[0] for copy in (dark, light)]
    assert cast("int", darkest[0]) < 40
    assert cast("int", darkest[1]) > 120


def test_odd_values() -> None:
    """Whatever types a form has in the wrong places, it is flattened or refused, not broken on."""
    wrong: list[dict[str, object]] = [
        {"V": 5},
        {"V": Array()},
        {"DA": 7},
        {"DA": String("Tf")},
        {"MK": Array()},
        {"MK": Dictionary(R=45, BC=String("x"), BG=Array([1, 2]))},
        {"Rect": Array([0, 0])},
        {"Rect": Array([Name.A, 0, 1, 1])},
        {"Rect": Array([300, 720, 100, 700])},
        {"MaxLen": -5},
        {"Q": 99},
        {"F": Name.X},
        {"AP": Array()},
        {"AP": Dictionary(N=Dictionary(N=Dictionary()))},
        {"BS": Dictionary(W=-1)},
        {"Parent": Dictionary(Parent=Dictionary(FT=Name.Tx))},
    ]
    for entries in wrong:
        for kind in ("text", "check", "choice"):
            field = Field("f", kind, FLAT, "x", flags=pdfs.COMB, entries=entries)
            verdict, _ = prepare(pdfs.form([field]))
            assert verdict.facts is not None, (entries, verdict)


def test_forms_rejected_by_setting() -> None:
    """With forms = "reject" a form is refused; a stamp is still made part of the page."""
    strict = Limits(max_bytes=10_000_000, max_pages=30, forms="reject")
    assert "form" in refused(pdfs.form(), ReasonCode.REJECTED, whole=True, limits=strict)
    verdict = examine(pdfs.annotated("Stamp", appearance=b"0 0 9 9 re f"), strict)
    assert verdict.facts is not None
    assert verdict.facts.changes == ("flattened",)


@pytest.mark.parametrize(
    "notice",
    ["Please wait...", "Bitte warten...", "Dieses Formular kann hier nicht angezeigt werden."],
)
def test_xfa_alone(notice: str) -> None:
    """A form that is XFA alone is refused, whatever the notice says that others show instead."""
    assert "Adobe" in refused(pdfs.dynamic_xfa(notice), ReasonCode.NOT_A_PDF, whole=True)


def test_xfa() -> None:
    """A form that is XFA and also an ordinary form is flattened as what it looks like."""
    copy = copied(pdfs.hybrid_xfa(), "flattened")
    assert "Jürgen Größe-Äußerung" in words(copy)
    assert b"XFA" not in copy


def test_portfolio() -> None:
    """A portfolio is refused: its cover sheet is not what anybody wants to fax."""
    refused(pdfs.portfolio(), ReasonCode.NOT_A_PDF, whole=True)


def test_everything_at_once() -> None:
    """A form that is both protected and damaged is decrypted, repaired and flattened."""
    source = pdfs.repairable(pdfs.owner_locked(pdfs.form()))
    copy = copied(source, "decrypted", "flattened", "repaired")
    assert "Jürgen Größe-Äußerung" in words(copy)


# -- other annotations -----------------------------------------------------------------------

SQUARE = b"0 0 100 50 re f"
SPOT: Rect = (100, 100, 200, 150)


@pytest.mark.parametrize("kind", ["Stamp", "Ink", "FreeText", "Highlight", "Line", "Unheard"])
def test_drawn_annotations(kind: str) -> None:
    """What somebody drew or stamped on the page becomes part of it."""
    assert ink(copied(pdfs.annotated(kind, appearance=SQUARE), "flattened"), SPOT) > 9000


@pytest.mark.parametrize("flags", [pdfs.HIDDEN, pdfs.HIDDEN | pdfs.PRINT, pdfs.NO_VIEW])
def test_hidden_annotations(flags: int) -> None:
    """An annotation that nobody sees is not a reason for a copy."""
    assert examine(pdfs.annotated("Stamp", appearance=SQUARE, flags=flags)).facts is not None
    assert prepare(pdfs.annotated("Stamp", appearance=SQUARE, flags=flags))[1] == b""


@pytest.mark.parametrize("flags", [0, pdfs.PRINT | pdfs.NO_VIEW])
def test_annotations_on_screen_or_paper(flags: int) -> None:
    """A mark that is seen on the screen or on paper is faxed, with its print flag or without."""
    data = pdfs.annotated("Stamp", appearance=SQUARE, flags=flags)
    assert ink(copied(data, "flattened"), SPOT) > 9000


@pytest.mark.parametrize("kind", ["Text", "Popup", "FileAttachment", "RichMedia"])
def test_symbols(kind: str) -> None:
    """The symbols of notes and attachments need no copy, and are not drawn into one."""
    data = pdfs.annotated(kind, appearance=SQUARE)
    assert prepare(data)[1] == b""
    assert ink(copied(pdfs.repairable(data), "repaired"), SPOT) == 0


def test_links() -> None:
    """A link needs no copy, and stays a link in one."""
    data = pdfs.annotated("Link", appearance=None)
    assert examine(data).clean
    assert b"/Link" in copied(pdfs.repairable(data), "repaired")


def test_free_text_without_a_look() -> None:
    """Text that somebody wrote onto the page is written where it has no look."""
    data = pdfs.annotated("FreeText", appearance=None, Contents=String("Bitte prüfen"))
    assert words(copied(data, "flattened")) == "Bitte prüfen"


def test_layers() -> None:
    """A stamp on a layer that is off stays off."""

    def change(pdf: Pdf) -> None:
        layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("x")))
        pdf.Root.OCProperties = Dictionary(
            OCGs=Array([layer]), D=Dictionary(OFF=Array([layer]), Order=Array())
        )
        pdf.pages[0].obj.Annots[0].OC = layer

    data = pdfs.changed(pdfs.annotated("Stamp", appearance=SQUARE), change)
    assert ink(copied(data, "flattened"), SPOT) == 0


# -- letters ---------------------------------------------------------------------------------


def test_widths() -> None:
    """The widths of characters are Adobe's."""
    for character in map(chr, [*range(32, 127), *range(0xA1, 0x100), *map(ord, "€„“”–—…Žž")]):
        expected = stringWidth(character, "Helvetica", 1000)
        assert lettering.width(character, 1000) == pytest.approx(expected), character


def test_alphabet() -> None:
    """All Latin letters with one accent can be written; what cannot says so."""
    assert lettering.written("ŐőŰűĀēĪĶļŅŖȘțŤďĞİıĚěŮůŻżĄęĆńŁł") != ""
    with pytest.raises(lettering.UnwritableError) as raised:
        lettering.written("a☃b")
    assert raised.value.character == "☃"


# -- fuzzing ---------------------------------------------------------------------------------

SEED = 20_261


def mutated(source: bytes, chance: random.Random) -> bytes:
    """Return a PDF with some of its bytes changed, cut, doubled or swapped."""
    data = bytearray(source)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        length = chance.choice((1, 2, 10, 100))
        match chance.randrange(5):
            case 0:
                data[at : at + length] = chance.randbytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = chance.choice((b"0", b"-1", b"99999999999", b"<<", b"["))
            case 4:
                other = chance.randrange(len(data))
                data[at : at + length] = data[other : other + length]
    return bytes(data)


@pytest.mark.parametrize("rounds", [120, pytest.param(600, marks=pytest.mark.long)])
def test_mutations(rounds: int) -> None:
    """Any mutilated PDF is accepted or refused, and every copy is a PDF."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    sources = [pdfs.form(), pdfs.form(appearances=True), pdfs.good(2), pdfs.owner_locked()]
    accepted = 0
    for _ in range(rounds):
        data = mutated(chance.choice(sources), chance)
        verdict, copy = prepare(data)
        assert (verdict.facts is None) == (verdict.reason is not None)
        if copy:
            accepted += 1
            assert examine(copy).facts is not None
    assert accepted > rounds // 30, f"seed {SEED}"


def test_only_pikepdf_is_loaded() -> None:
    """The reader's results can be understood without loading the reader."""
    code = (
        "import sys, faxdrop.documents.checker; "
        "print('pikepdf' in sys.modules, 'lxml' in sys.modules)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["False", "False"]
