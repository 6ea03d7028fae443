"""Nothing half-written gets through: scans that are cut, have holes, or have two writers.

What is taken for whole must look as the whole document does.
"""

import base64
import functools
import io
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image, ImageChops, ImageDraw

from faxdrop.documents.pdf import document, group4, wholeness
from faxdrop.documents.pdf.document import Limits, Verdict
from faxdrop.documents.pdf.group4 import Group4
from faxdrop.documents.pdf.wholeness import Fault
from tests.kit import pdfs, slips
from tests.kit.seeds import random_of, tell

LIMITS = Limits(max_bytes=10_000_000, max_pages=30)
WIDTH, HEIGHT = 827, 1169  # A4 at 100 dots an inch
TONE = 8  # levels of grey by which paper may differ: the last bit of a JPEG's brightness
COARSE = 60  # the same, for a page that became a picture of dots, in squares of 16 pixels
SIZES = (512, 1024, 4096, 16_384, 65_536)
SCANNED = ("jpx", "runs")  # how few scanners pack
PACKINGS = ("baseline", "optimised", "progressive", "flate", "fax")


# -- scans -------------------------------------------------------------------------------------


@functools.cache
def page(text: str) -> Image.Image:
    """Return a scanned page: writing, white paper and a photograph."""
    picture = Image.new("L", (WIDTH, HEIGHT), 255)
    draw = ImageDraw.Draw(picture)
    for down in range(80, 360, 22):
        draw.text((90, down), f"{text} {down}: Befund von gestern, mit Dank zurück.", fill=0)
    noise = random_of(len(text)).randbytes(300 * 200)
    photo = Image.frombytes("L", (300, 200), noise).point(lambda grey: 64 + grey // 2)
    picture.paste(photo, (400, 700))
    return picture


def runs(data: bytes) -> bytes:
    """Return data packed as runs of bytes."""
    parts = []
    for run in re.finditer(rb"(.)\1{1,127}|(?:(.)(?!\2)){1,128}", data, re.DOTALL):
        whole = run[0]
        parts.append(
            bytes((257 - len(whole), whole[0])) if run[1] else bytes((len(whole) - 1,)) + whole
        )
    return b"".join(parts) + b"\x80"


@functools.cache
def scan(packing: str, text: str = "Sehr geehrte Damen und Herren", pages: int = 2) -> bytes:
    """Return a document of scanned pages whose pictures are packed in one of the usual ways."""
    picture = page(text)
    extra = {"BitsPerComponent": 8, "Filter": Name.DCTDecode}
    buffer = io.BytesIO()
    match packing:
        case "flate":
            data = zlib.compress(picture.tobytes())
            extra["Filter"] = Name.FlateDecode
        case "fax":
            data = slips.group4(picture.convert("1"))
            extra = {
                "BitsPerComponent": 1,
                "Filter": Name.CCITTFaxDecode,
                "DecodeParms": Dictionary(K=-1, Columns=WIDTH, Rows=HEIGHT),
            }
        case "jpx":
            picture.save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[10])
            data, extra["Filter"] = buffer.getvalue(), Name.JPXDecode
        case "runs":
            data, extra["Filter"] = runs(picture.tobytes()), Name.RunLengthDecode
        case _:
            kinds = {"optimize": packing == "optimised", "progressive": packing == "progressive"}
            picture.save(buffer, "JPEG", quality=70, **kinds)
            data = buffer.getvalue()
            if packing == "text":
                data = base64.a85encode(data) + b"~>"
                extra["Filter"] = Array([Name.ASCII85Decode, Name.DCTDecode])
            elif packing == "twice":
                data = zlib.compress(data)
                extra["Filter"] = Array([Name.FlateDecode, Name.DCTDecode])
    pdf = Pdf.new()
    for number in range(pages):
        sheet = pdf.add_blank_page(page_size=(595, 842)).obj
        image = Stream(pdf, data, Subtype=Name.Image, Width=WIDTH, Height=HEIGHT, **extra)
        image.ColorSpace = Name.DeviceGray
        sheet.Resources = Dictionary(XObject=Dictionary(I=image))
        sheet.Contents = Stream(pdf, b"595 0 0 842 0 0 cm /I Do %% %d" % number)
    return slips.plainly(pdf)


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "packed": slips.packed,
    "linearized": slips.linearized,
    "updated": slips.update,
}


# -- what gets through -------------------------------------------------------------------------


def read(data: bytes) -> tuple[Verdict, bytes]:
    """Return the verdict on a document, and what is faxed of it."""
    copy = io.BytesIO()
    verdict = document.prepare(io.BytesIO(data), copy, LIMITS)
    return verdict, copy.getvalue() or data


@functools.lru_cache(maxsize=20)
def drawn(data: bytes) -> list[Image.Image]:
    """Return the pages as pdfium draws them."""
    with pypdfium2.PdfDocument(data) as pdf:
        return [each.render(grayscale=True).to_pil() for each in pdf]


def looks_alike(faxed: bytes, whole: bytes, *, coarse: bool) -> bool:
    """Tell whether two documents cannot be told apart on paper."""
    pages, others = drawn(faxed), drawn(whole)
    if [each.size for each in pages] != [each.size for each in others]:
        return False
    if coarse:
        pages, others = ([each.reduce(16) for each in some] for some in (pages, others))
    most = COARSE if coarse else TONE
    differences = map(ImageChops.difference, pages, others)
    return all(int(each.getextrema()[1]) <= most for each in differences)  # type: ignore[arg-type] # of one band


class Tally(NamedTuple):
    """How many were tried, and which of them got through although they look different."""

    tried: int
    missed: list[str]
    harmless: int  # got through, and look like the whole document


def tally(whole: bytes, damaged: Iterable[tuple[str, bytes]]) -> Tally:
    """Have damaged documents read."""
    missed: list[str] = []
    tried = harmless = 0
    for name, data in damaged:
        if data.rstrip() == whole.rstrip():
            continue
        tried += 1
        verdict, faxed = read(data)
        if verdict.facts is None:
            continue
        coarse = "rasterized" in verdict.facts.changes
        if looks_alike(faxed, whole, coarse=coarse):
            harmless += 1
        else:
            missed.append(name)
    return Tally(tried, missed, harmless)


# -- holes -------------------------------------------------------------------------------------


def holed(whole: bytes, size: int, places: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """Yield a document with a hole at each place."""
    for at in places:
        hole = min(size, len(whole) - at)
        yield f"{size} at {at}", whole[:at] + bytes(hole) + whole[at + hole :]


@pytest.mark.parametrize("packing", PACKINGS)
def test_holes(packing: str) -> None:
    """A scan with blocks that are not written yet is not whole, wherever they are."""
    whole = scan(packing)
    chance = random_of(4)
    for size in SIZES:
        places = range(0, len(whole), 512)
        some = {0, places[-1], *chance.sample(places, 12)}
        assert tally(whole, holed(whole, size, sorted(some))).missed == [], packing


def test_several_holes() -> None:
    """A scan of which only some blocks were written is not whole."""
    whole = scan("optimised")
    chance = random_of(5)
    for size in SIZES[:4]:
        blocks = range(0, len(whole), size)
        for _ in range(4):
            data = bytearray(whole)
            for at in chance.sample(blocks, max(1, len(blocks) // 3)):
                data[at : at + size] = bytes(len(data[at : at + size]))
            assert read(bytes(data))[0].facts is None


def test_holes_behind_something_else() -> None:
    """Sectors are those of the file, also where the PDF begins behind something."""
    lead = b"X-Scanner: 7\r\n\r\n"
    whole = lead + scan("baseline")
    for at in range(1024, len(whole), 9 * 512):
        holes = holed(whole, 512, [at])
        assert tally(whole, holes).missed == []


def test_hole_beside_a_zero() -> None:
    """A hole beside a NUL of the picture's own is a hole, though its ends are not the sectors'."""
    whole = scan("baseline")
    places = [
        at
        for at in range(1024, len(whole) - 1024, 512)
        if whole[at - 1] == 0 or whole[at + 512] == 0
    ]
    assert places
    assert tally(whole, holed(whole, 512, places)) == Tally(len(places), [], 0)


def test_white_paper_is_no_hole() -> None:
    """A well packed scan of white paper has long runs of NULs, and is faxed as it is."""
    buffer = io.BytesIO()
    white = Image.new("L", (1654, 2338), 255)
    ImageDraw.Draw(white).text((160, 200), "Mit freundlichen Grüßen", fill=0)
    for kinds in ({"optimize": True}, {"progressive": True}):
        buffer.seek(0)
        buffer.truncate()
        white.save(buffer, "JPEG", quality=75, **kinds)
        pdf = Pdf.new()
        sheet = pdf.add_blank_page(page_size=(595, 842)).obj
        image = Stream(pdf, buffer.getvalue(), Subtype=Name.Image, Filter=Name.DCTDecode)
        image.stream_dict.update({"/Width": 1654, "/Height": 2338, "/BitsPerComponent": 8})
        image.ColorSpace = Name.DeviceGray
        sheet.Resources = Dictionary(XObject=Dictionary(I=image))
        sheet.Contents = Stream(pdf, b"595 0 0 842 0 0 cm /I Do")
        data = slips.plainly(pdf)
        assert wholeness.nul_runs(data)
        verdict, _ = read(data)
        assert verdict.facts is not None, verdict.reason
        assert verdict.facts.changes == ()
        assert not verdict.clean  # it must come to rest


# -- cuts --------------------------------------------------------------------------------------


def cut(whole: bytes, places: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """Yield a document that was cut at each place, and then ended in some way."""
    end = whole.rindex(b"%%EOF") + 5
    update = slips.update(whole)[len(whole) :]
    closed = b"\nendstream\nendobj\n" + whole[-600:]
    for at in places:
        tails = [whole[-length:] for length in (60, 200, 600, 1500, 5000)]
        shorter = [tail for tail in tails if at + len(tail) < end]
        for number, tail in enumerate([b"", *shorter, closed, b"\n%%EOF\n", update]):
            if at < end or tail:
                yield f"cut at {at}, tail {number}", whole[:at] + tail


@pytest.mark.parametrize(
    ("packing", "layout"),
    [
        ("baseline", "packed"),
        ("progressive", "plain"),
        ("flate", "plain"),
        ("flate", "updated"),
        ("fax", "linearized"),
    ],
)
def test_cuts(packing: str, layout: str) -> None:
    """A scan that is cut is not whole, also where its tail or an update was written behind."""
    whole = LAYOUTS[layout](scan(packing, pages=1))
    chance = random_of(6)
    end = whole.rindex(b"%%EOF") + 5
    places = {*chance.sample(range(end), 6), *chance.sample(range(1500), 2)}
    places |= {*chance.sample(range(end - 900, end), 9), end - 1}
    assert tally(whole, cut(whole, sorted(places))).missed == [], layout


def test_unfinished_update() -> None:
    """A PDF whose update is being written is not whole, although the PDF before it is."""
    before = pdfs.good(2)
    whole = slips.update(before)
    for at in range(len(before) + 1, whole.rindex(b"%%EOF") + 4, 3):
        assert not read(whole[:at])[0].whole, at


@pytest.mark.parametrize("mark", [b"%%EOF", b"%%eof", b"%%EO"])
def test_unfinished_update_without_end_marks(mark: bytes) -> None:
    """An update that is cut is missed, however badly its writer spells the end mark."""
    before = pdfs.good(2).replace(b"%%EOF", mark)
    whole = slips.update(before).replace(b"%%EOF", mark)
    end = whole.rindex(mark) - 1
    for at in (*range(len(before) + 1, end - 1, 4), *range(end - 15, end)):
        assert read(whole[:at])[0].facts is None, at
    verdict, copy = read(whole[:end])
    assert verdict.facts is not None, verdict.reason
    assert drawn(copy) == drawn(whole)


def test_end_without_a_mark() -> None:
    """Where there is no end mark, the place of the cross-reference must be right to its digit."""
    head, table = (
        b"%PDF-1.4\n12345\n1 0 obj\n(a) endobj\n",
        b"xref\n0 1\ntrailer\n<< >>\nstartxref\n",
    )
    for lead in (b"", b"a line before\n"):
        body = lead + head.ljust(150) + table
        assert body[len(lead) + 15 :].startswith(b"1 0 obj")  # 15 is the beginning of 150
        right = wholeness.end_of(body + b"150\n\n")
        assert right is not None
        assert (right.behind, right.usual) == (2, False)
        for wrong in (b"", b"1", b"15", b"151", b"1500", b"0"):
            assert wholeness.end_of(body + wrong) is None, wrong


def test_cut_where_a_block_ends() -> None:
    """Flate data without their last block are whole only if they are as long as they should be."""
    packer, text = (
        zlib.compressobj(),
        b"BT /F1 24 Tf 72 720 Td (Sehr geehrte Damen und Herren) Tj ET",
    )
    data = packer.compress(text) + packer.flush(zlib.Z_PARTIAL_FLUSH)
    more = packer.compress(text[::-1]) + packer.flush()
    assert wholeness.inflate(data, 999) == (len(text), Fault.OPEN, b"")
    assert wholeness.inflate(data + more, 999) == (2 * len(text), None, b"")
    usual = zlib.compress(text)
    cuts = {wholeness.inflate(usual[:cut], 999).fault for cut in range(3, len(usual))}
    assert cuts == {Fault.CUT, Fault.UNCHECKED}
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    pdf.pages[0].obj.Resources = Dictionary(Font=Dictionary(F1=pdf.make_indirect(font)))
    pdf.pages[0].obj.Contents = Stream(pdf, data + more, Filter=Name.FlateDecode)
    whole = slips.plainly(pdf)
    assert read(whole)[0].facts is not None
    assert read(whole.replace(more, b""))[0].facts is None


def test_lost_objects() -> None:
    """What a page needs and the file does not have any more is missed, whatever was mended."""
    whole = slips.healthy("flate")
    for name in (rb"/Subtype /Image", rb"/Type /Font", rb"Sehr geehrte"):
        found = re.search(
            rb"\n\d+ 0 obj\n(?:(?!endobj).)*" + name + rb".*?endobj", whole, re.DOTALL
        )
        assert found is not None
        gone = whole[: found.start()] + whole[found.end() :]
        assert read(gone)[0].facts is None, name
        assert read(pdfs.repairable(gone))[0].facts is None, name


@pytest.mark.parametrize("packing", PACKINGS)
def test_lost_data(packing: str) -> None:
    """A picture without any data is missing, although its emptiness unpacks without an error."""
    whole = scan(packing, pages=1)
    start = whole.index(b"stream\n", whole.index(b"/Image")) + 7
    gone = whole[:start] + whole[whole.index(b"endstream", start) :]
    assert read(gone)[0].facts is None


# -- two writers -------------------------------------------------------------------------------


def mixed(one: bytes, other: bytes, block: int) -> Iterator[tuple[str, bytes]]:
    """Yield what one writer leaves of a file, of which another then writes the first blocks."""
    for at in range(block, max(len(one), len(other)), block):
        yield f"up to {at}", other[:at] + one[at:]


def interspersed(one: bytes, other: bytes, block: int) -> Iterator[tuple[str, bytes]]:
    """Yield what one writer leaves of a file, in which one block is another's."""
    for at in range(0, len(one), block):
        yield f"block at {at}", one[:at] + other[at : at + block] + one[at + block :]


def mixtures(packing: str, mix: Callable[[bytes, bytes, int], Any], block: int) -> Tally:
    """Have mixtures of two scans read."""
    one, other = scan(packing, "An die Praxis"), scan(packing, "Vertraulich: zu den Akten")
    missed, tried = [], 0
    for name, data in mix(one, other, block):
        tried += 1
        verdict, faxed = read(data)
        if verdict.facts is not None and not any(
            looks_alike(faxed, each, coarse=False) for each in (one, other)
        ):
            missed.append(name)
    return Tally(tried, missed, 0)


@pytest.mark.parametrize("packing", PACKINGS)
def test_two_writers(packing: str) -> None:
    """A file that two scanners wrote, one after the other, is not whole."""
    assert mixtures(packing, mixed, 16_384).missed == []


def test_larger_fax_over_a_smaller_one() -> None:
    """The beginning of a picture that is larger than the whole file before it is seen, too."""
    other = scan("fax", pages=1)
    with Pdf.open(io.BytesIO(other)) as pdf:
        image = pdf.pages[0].Resources.XObject.I
        rest = slips.group4(Image.new("1", (WIDTH, HEIGHT), 1))
        kept = Dictionary(K=-1, Columns=WIDTH, Rows=HEIGHT)
        image.write(rest, filter=Name.CCITTFaxDecode, decode_parms=kept)
        one = slips.plainly(pdf)
    for name, data in mixed(one, other, 512):
        assert read(data)[0].facts is None, name


@pytest.mark.parametrize("block", [4096, 16_384])
def test_block_of_another(block: int) -> None:
    """A block of another's is seen where the picture has a checksum, and mostly in a JPEG."""
    for packing in ("flate", "fax", "twice"):
        assert mixtures(packing, interspersed, block).missed == []
    for packing, part in (("baseline", 5), ("text", 3)):
        tried, missed, _ = mixtures(packing, interspersed, block)
        assert len(missed) < tried / part  # by chance it codes as much as the block that was there


@pytest.mark.parametrize("packing", SCANNED)
def test_block_amid_a_picture(packing: str) -> None:
    """A block of something else amid a picture packed as few scanners do is mostly seen."""
    whole = scan(packing, pages=1)
    assert read(whole)[0].clean
    foreign = zlib.compress(page("Foto").tobytes())
    seen = tried = 0
    start = whole.index(b"stream\n", whole.index(b"/Image")) + 512
    for at in range(start, whole.index(b"endstream", start) - 4096, 4096):
        tried += 1
        damaged = whole[:at] + foreign[at % 999 :][:4096] + whole[at + 4096 :]
        seen += read(damaged)[0].facts is None
    assert tried > 10
    assert seen >= 0.9 * tried


def test_fax_that_is_packed_in_another_way() -> None:
    """Group 4 data need not be packed as libtiff does it, but each row has its width."""
    rows = (0b001_10011_0000110111 << 6).to_bytes(3) * 90  # each: 8 white, 0 black
    assert group4.read(rows, 8, 90, 999, aligned=True) == (Group4.SOUND, 270)
    assert group4.read(rows, 8, 91, 999, aligned=True)[0] is Group4.ENDLESS
    assert group4.read(rows, 8, 9000, 100, aligned=True)[0] is Group4.SOUND  # not read to its end
    assert group4.read(rows, 9, 90, 999, aligned=True)[0] is Group4.DAMAGED
    assert group4.read(b"\xff" * 90, 8, 720, 999, aligned=False) == (Group4.SOUND, 0)  # as is usual


def test_wrong_byte_in_a_fax() -> None:
    """A byte that is wrong or missing is seen nearly everywhere in group 4 data."""
    data, chance = slips.group4(page("Befund").convert("1")), random_of(3)
    assert group4.read(data, WIDTH, HEIGHT, len(data), aligned=False) == (Group4.SOUND, 0)
    seen = 0
    for at in (chance.randrange(len(data) - 100) for _ in range(30)):
        wrong = chance.choice((data[at:], bytes([data[at] ^ 0x5A]) + data[at + 1 :]))
        found, _ = group4.read(data[: at - 1] + wrong, WIDTH, HEIGHT, len(data), aligned=False)
        seen += found is not Group4.SOUND
    assert seen >= 27


# -- all of it ---------------------------------------------------------------------------------


@pytest.mark.long
def test_every_hole_and_cut(request: pytest.FixtureRequest) -> None:
    """Of thousands of scans with holes and cuts, none is taken for whole that looks different."""
    results: dict[str, Tally] = {}
    for packing, layout in itertools.product(PACKINGS, LAYOUTS):
        whole = LAYOUTS[layout](scan(packing))
        for size in SIZES:
            places = range(0, len(whole), 1024 if layout != "plain" else 512)
            results[f"{packing}, {layout}, holes of {size}"] = tally(
                whole, holed(whole, size, places if size <= 1024 else places[:: size // 1024])
            )
        end = whole.rindex(b"%%EOF") + 5
        spread = [*range(0, end, end // 15), *range(0, 1500, 300), *range(end - 800, end, 40)]
        results[f"{packing}, {layout}, cuts"] = tally(whole, cut(whole, spread))
    tried = sum(each.tried for each in results.values())
    harmless = sum(each.harmless for each in results.values())
    tell(request, f"{tried} damaged scans; {harmless} of them look as the whole one does")
    assert {name: each.missed for name, each in results.items() if each.missed} == {}
