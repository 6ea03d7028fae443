"""PDFs that every viewer repairs are faxed with everything they show, as two renderers see it."""

import io
import itertools

import pypdfium2
import pytest

from faxdrop.documents.pdf import document
from faxdrop.documents.pdf.document import Limits, Verdict
from tests.kit import pdfs, slips
from tests.kit.renderers import poppler
from tests.kit.seeds import random_of, seed_of, tell

LIMITS = Limits(max_bytes=10_000_000, max_pages=30)
KINDS = slips.kinds()
UNTOLD = {
    ("plain", "picture short"),  # viewers show less than there is
    ("plain", "picture 1 short"),
    ("fax", "picture too long"),  # it may be the length of another picture
}
HOPELESS = 0.05  # share of the PDFs with two slips that cannot be expected to be readable


def faxed(data: bytes) -> tuple[Verdict, bytes]:
    """Return the verdict on a PDF, and what is faxed of it."""
    copy = io.BytesIO()
    verdict = document.prepare(io.BytesIO(data), copy, LIMITS)
    return verdict, copy.getvalue() or data


def drawn(data: bytes) -> list[bytes]:
    """Return the pages as pdfium draws them."""
    with pypdfium2.PdfDocument(data) as pdf:
        return [page.render(grayscale=True).to_pil().tobytes() for page in pdf]


def place_of(name: str, turn: int) -> tuple[str, bytes]:
    """Return a kind of PDF for a slip, another one in each turn, and one with that slip."""
    for kind in itertools.islice(itertools.cycle(KINDS), turn, turn + len(KINDS)):
        data = slips.slipped(KINDS[kind], name)
        if data is not None and (kind, name) not in UNTOLD:
            return kind, data
    raise AssertionError(name)


@pytest.mark.parametrize(("turn", "name"), list(enumerate(slips.SLIPS)), ids=list(slips.SLIPS))
def test_slip(turn: int, name: str) -> None:
    """A PDF with a slip of its writer is faxed as the PDF without it looks."""
    kind, data = place_of(name, turn)
    verdict, copy = faxed(data)
    assert verdict.facts is not None, (kind, verdict.reason)
    assert set(verdict.facts.changes) <= {"repaired", "flattened"}
    assert drawn(copy) == drawn(KINDS[kind])
    if turn % 9 == 0:
        assert poppler(copy).tobytes() == poppler(KINDS[kind]).tobytes()


@pytest.mark.parametrize(
    "name", ["startxref 0", "no end of objects", "4845 NULs", "no type of pages"]
)
def test_copy_has_no_slip(name: str) -> None:
    """The copy of a mended PDF is read without mending anything."""
    data = slips.slipped(KINDS["flate"], name)
    assert data is not None
    verdict, copy = faxed(data)
    assert verdict.facts is not None
    assert verdict.facts.changes == ("repaired",)
    assert not verdict.clean
    assert document.examine(io.BytesIO(copy), LIMITS).clean


@pytest.mark.parametrize("name", ["sync flush", "no checksums", "JPEG without end"])
def test_data_are_packed_anew(name: str) -> None:
    """Data that have a slip have none in the copy, since nobody knows what sipgate forgives."""
    _, data = place_of(name, 0)
    verdict, copy = faxed(data)
    assert verdict.facts is not None
    assert verdict.facts.changes == ("repaired",)
    assert document.examine(io.BytesIO(copy), LIMITS).clean


def test_line_ends_were_halved() -> None:
    """A transfer of text that made two bytes one at each line end took nothing that is drawn."""
    content = b"\r\n".join([b"BT /F1 24 Tf 72 700 Td", *[b"(Befund) Tj 0 -30 Td"] * 9, b"ET"])
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        b"<< /Length %d >>\r\nstream\r\n%s\r\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    data, rows = b"%PDF-1.4\r\n", b""
    for number, body in enumerate(objects, 1):
        rows += b"%010d 00000 n\r\n" % len(data)
        data += b"%d 0 obj\r\n%s\r\nendobj\r\n" % (number, body)
    whole = data + (
        b"xref\r\n0 6\r\n0000000000 65535 f\r\n%strailer\r\n<< /Size 6 /Root 1 0 R >>\r\n"
        b"startxref\r\n%d\r\n%%%%EOF\r\n" % (rows, len(data))
    )
    verdict, copy = faxed(whole.replace(b"\r\n", b"\n"))
    assert verdict.facts is not None, verdict.reason
    assert verdict.facts.changes == ("repaired",)
    assert drawn(copy) == drawn(whole)


def hybrid() -> bytes:
    """Return a PDF with a table, and a stream that lists its font, which is packed."""
    font = b"5 0 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    content = b"BT /F1 24 Tf 72 700 Td (Befund) Tj ET"
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << /Font << /F1 5 0 R >> >> >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        6: b"<< /Type /ObjStm /N 1 /First 4 /Length %d >>\nstream\n%s\nendstream"
        % (len(font), font),
    }
    data, rows = b"%PDF-1.5\n", b""
    for number, body in objects.items():
        rows += b"%d 1\n%010d 00000 n \n" % (number, len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    packed = len(data)
    entries = b"\2\0\6\0" + b"\1%s\0" % packed.to_bytes(2)
    data += b"7 0 obj\n<< /Type /XRef /Size 8 /W [1 2 1] /Index [5 1 7 1] /Root 1 0 R /Length 8 >>"
    data += b"\nstream\n%s\nendstream\nendobj\n" % entries
    return data + (
        b"xref\n0 1\n0000000000 65535 f \n%strailer\n<< /Size 8 /Root 1 0 R /XRefStm %d >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (rows, packed, len(data))
    )


@pytest.mark.parametrize("name", ["startxref 20 more", "rows 1 off", "Prev 0", "60 NULs before"])
def test_hybrid(name: str) -> None:
    """A table beside packed objects is mended as other PDFs are: nothing packed is forgotten."""
    whole = hybrid()
    assert faxed(whole)[0].clean
    data = slips.slipped(whole, name) if name in slips.SLIPS else bytes(60) + whole
    assert data is not None
    verdict, copy = faxed(data)
    assert verdict.facts is not None, verdict.reason
    assert verdict.facts.changes == ("repaired",)
    assert drawn(copy) == drawn(whole)


def test_second_reader_sees_less() -> None:
    """Where the second reader shows less than there is, no page becomes a picture of that."""
    kind = slips.packed(KINDS["flate"])
    data = slips.slipped(kind, "no end of an object")
    assert data is not None
    assert drawn(data) != drawn(kind)  # pdfium finds no font
    verdict, copy = faxed(data)
    assert verdict.facts is not None
    assert verdict.facts.changes == ("repaired",)
    assert drawn(copy) == drawn(kind)


def test_notices_alone_are_refused() -> None:
    """A page that only says "use Adobe's program" is refused; such a text beside others is not."""
    for refused in (pdfs.dynamic_xfa(), pdfs.portfolio()):
        assert faxed(refused)[0].facts is None
    for name in ("a collection", "letter with attachments", "XFA left"):
        data = slips.slipped(KINDS["flate"], name)
        assert data is not None
        assert faxed(data)[0].facts is not None


def test_two_slips(request: pytest.FixtureRequest) -> None:
    """PDFs with two slips of their writers are faxed, but for a few that cannot be read."""
    refused = _two_slips(seed_of(request, 7), 25)
    tell(request, f"refused: {len(refused)} of 25")
    assert len(refused) <= 25 * HOPELESS, refused


@pytest.mark.long
def test_every_slip_in_every_kind(request: pytest.FixtureRequest) -> None:
    """Every slip is mended in every kind of PDF, as two renderers show."""
    done = 0
    healthy = {kind: (drawn(data), poppler(data).tobytes()) for kind, data in KINDS.items()}
    for kind, name in itertools.product(KINDS, slips.SLIPS):
        data = slips.slipped(KINDS[kind], name)
        if data is None or (kind, name) in UNTOLD:
            continue
        verdict, copy = faxed(data)
        assert verdict.facts is not None, (kind, name, verdict.reason)
        assert drawn(copy) == healthy[kind][0], (kind, name)
        assert poppler(copy).tobytes() == healthy[kind][1], (kind, name)
        done += 1
    refused = _two_slips(seed_of(request), 300)
    tell(request, f"mended: {done} with a slip; refused of 300 with two slips: {refused}")
    assert len(refused) <= 300 * HOPELESS


def _two_slips(seed: int, wanted: int) -> list[tuple[str, str, str]]:
    chance = random_of(seed)
    refused = []
    while wanted:
        kind = chance.choice(list(KINDS))
        one, other = chance.sample(list(slips.SLIPS), 2)
        data = slips.slipped(KINDS[kind], one, other)
        # pikepdf, which makes some slips, loses objects with large numbers.
        is_lost = one.startswith("numbers") or other.startswith("numbers")
        if data is None or is_lost or not UNTOLD.isdisjoint({(kind, one), (kind, other)}):
            continue
        wanted -= 1
        verdict, copy = faxed(data)
        if verdict.facts is None:
            refused.append((kind, one, other))
        elif verdict.facts.changes:  # else it is faxed as it is
            assert drawn(copy) == drawn(KINDS[kind]), (kind, one, other)
    return refused
