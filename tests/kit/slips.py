"""Slips of programs that write PDFs, which every viewer repairs without loss.

Each takes a healthy PDF and returns it with the slip, or None if the PDF has no place for it.
"""

import functools
import io
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image, ImageDraw

from tests.kit import pdfs

Slip = Callable[[bytes], bytes | None]

LETTER = (
    b"BT /F1 24 Tf 72 720 Td (Sehr geehrte Damen und Herren) Tj 0 -40 Td (anbei der Befund.) Tj ET "
    b"q 200 0 0 200 100 300 cm /I Do Q"
)


# -- healthy ones ------------------------------------------------------------------------------


class Coding(NamedTuple):
    """A way to pack a picture."""

    filter: str
    data: bytes
    colours: str
    bits: int = 8
    parameters: Dictionary | None = None


def drawing(width: int, height: int, mode: str = "L") -> Image.Image:
    """Return a small picture with a gradient, lines and white."""
    picture = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(picture)
    for at in range(0, height, 8):
        draw.line((0, at, width, height - at), fill=at % 256)
    draw.rectangle((width // 4, height // 4, width // 2, height // 2), fill=60)
    return picture.convert(mode)


def coding(kind: str, width: int = 120, height: int = 160) -> Coding:
    """Return a picture packed in one of the usual ways."""
    buffer = io.BytesIO()
    match kind:
        case "flate":
            data = zlib.compress(drawing(width, height).tobytes())
            return Coding("FlateDecode", data, "DeviceGray")
        case "plain":
            return Coding("", drawing(width, height).tobytes(), "DeviceGray")
        case "fax":
            return Coding(
                "CCITTFaxDecode",
                group4(drawing(width, height, "1")),
                "DeviceGray",
                1,
                Dictionary(K=-1, Columns=width, Rows=height),
            )
        case _:
            more = {"optimize": kind == "optimised", "progressive": kind == "progressive"}
            mode = "RGB" if kind == "colour" else "L"
            drawing(width, height, mode).save(buffer, "JPEG", quality=80, **more)
            colours = "DeviceRGB" if kind == "colour" else "DeviceGray"
            return Coding("DCTDecode", buffer.getvalue(), colours)


def group4(picture: Image.Image) -> bytes:
    """Return a picture of one bit in CCITT group 4."""
    buffer = io.BytesIO()
    rows = {"strip_size": picture.width * picture.height}
    picture.point(lambda grey: 255 - grey).save(buffer, "TIFF", compression="group4", **rows)
    with Image.open(buffer) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined] # Pillow's stubs know images, not TIFFs
        start, length = tags[273][0], tags[279][0]
    return buffer.getvalue()[start : start + length]


CODINGS = ("flate", "plain", "fax", "baseline", "optimised", "progressive", "colour")


@functools.cache
def healthy(kind: str = "flate", pages: int = 2) -> bytes:
    """Return letters with a picture, with the usual cross-reference table and no packed objects."""
    packed = coding(kind)
    width, height = 120, 160
    pdf = Pdf.new()
    font = pdf.make_indirect(
        Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    )
    picture = Stream(
        pdf,
        packed.data,
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=width,
        Height=height,
        BitsPerComponent=packed.bits,
        ColorSpace=Name("/" + packed.colours),
    )
    if packed.filter:
        picture.Filter = Name("/" + packed.filter)
    if packed.parameters is not None:
        picture.DecodeParms = packed.parameters
    for number in range(pages):
        page = pdf.add_blank_page(page_size=(595, 842)).obj
        page.Contents = Stream(pdf, LETTER + b" BT /F1 9 Tf 72 60 Td (%d) Tj ET" % number)
        page.Resources = Dictionary(Font=Dictionary(F1=font), XObject=Dictionary(I=picture))
    return plainly(pdf)


def plainly(pdf: Pdf) -> bytes:
    """Return a PDF without packed objects, so that slips find their places."""
    return pdfs.saved(
        pdf,
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
        compress_streams=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
    )


def packed(data: bytes) -> bytes:
    """Return a PDF with object streams and a cross-reference stream."""
    return pdfs.changed(
        data,
        lambda _: None,
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
        compress_streams=True,
    )


def linearized(data: bytes) -> bytes:
    """Return a PDF that is linearized for the web."""
    return pdfs.changed(data, lambda _: None, linearize=True)


# -- tools ---------------------------------------------------------------------------------------


def _end(mark: bytes) -> Slip:
    """Return a slip in the last end mark."""
    return lambda data: data[: data.rindex(b"%%EOF")] + mark


def _replaced(old: bytes, new: bytes, count: int = 0) -> Slip:
    """Return a slip that replaces bytes, so that the offsets of all that follows are wrong."""

    def slip(data: bytes) -> bytes | None:
        changed, found = re.subn(old, new, data, count=count)
        return changed if found else None

    return slip


def _in_place(old: bytes, new: bytes) -> Slip:
    """Return a slip that replaces bytes and keeps the offsets of all that follows right."""

    def slip(data: bytes) -> bytes | None:
        changed, found = re.subn(old, new, data)
        return tabled(changed) if found and _is_plain(data) else None

    return slip


def _plainly(slip: Slip) -> Slip:
    """Return a slip for PDFs that have one cross-reference table."""
    return lambda data: slip(data) if _is_plain(data) else None


def _appended(suffix: bytes) -> Slip:
    return lambda data: data + suffix


def _prefixed(prefix: bytes) -> Slip:
    return lambda data: prefix + data


def _is_plain(data: bytes) -> bool:
    """Tell whether a PDF has one cross-reference table, and nothing that is packed."""
    small = all(len(each) < 5 for each in re.findall(rb"(\d+) 0 obj", data))
    return small and data.count(b"startxref") == 1 and b"\nxref\n" in data


def tabled(data: bytes, more: bytes = b"") -> bytes:
    """Return a PDF with a new cross-reference table."""
    start = data.rindex(b"\nxref\n") + 1
    found = re.search(rb"trailer\s*<<(.*?)>>\s*startxref", data[start:], re.DOTALL)
    if found is None:
        raise ValueError("no trailer")
    trailer = re.sub(rb"/Size \d+", b"", found[1])
    offsets = {int(each[1]): each.start(1) for each in re.finditer(rb"(\d+) 0 obj\b", data[:start])}
    top = max(offsets) + 1
    rows = [b"0000000000 65535 f \n"] + [
        b"%010d 00000 n \n" % offsets[at] if at in offsets else b"0000000000 65535 f \n"
        for at in range(1, top)
    ]
    return (
        data[:start]
        + b"xref\n0 %d\n%s" % (top, b"".join(rows))
        + b"trailer <<%s /Size %d %s>>\nstartxref\n%d\n%%%%EOF\n" % (trailer, top, more, start)
    )


def _with_object(body: bytes, reference: bytes = b"", into: bytes = b"/Type /Catalog") -> Slip:
    """Return a slip that adds an object, and a reference to it after an entry."""

    def slip(data: bytes) -> bytes | None:
        if not _is_plain(data) or into not in data:
            return None
        number = max(int(each) for each in re.findall(rb"(\d+) 0 obj\b", data)) + 1
        start = data.rindex(b"\nxref\n") + 1
        grown = data[:start] + b"%d 0 obj\n%s\nendobj\n" % (number, body) + data[start:]
        entry = into + b" " + reference.replace(b"NEW", b"%d 0 R" % number)
        return tabled(grown.replace(into, entry, 1) if reference else grown)

    return slip


def _startxref(change: Callable[[int], int]) -> Slip:
    def slip(data: bytes) -> bytes:
        at = data.rindex(b"startxref")
        return data[:at] + re.sub(
            rb"\d+", lambda found: b"%d" % change(int(found[0])), data[at:], count=1
        )

    return slip


def _picture_length(change: Callable[[int], bytes]) -> Slip:
    """Return a slip in the length of the picture."""

    def slip(data: bytes) -> bytes | None:
        if not _is_plain(data):
            return None
        found = re.search(rb"<<[^<>]*(?:<<[^<>]*>>)?[^<>]*/Subtype /Image[^<>]*>>\s*stream", data)
        if found is None:
            return None
        entry = re.sub(rb"/Length (\d+)", lambda length: change(int(length[1])), found[0])
        return tabled(data[: found.start()] + entry + data[found.end() :])

    return slip


def _content_length(change: Callable[[int], bytes]) -> Slip:
    def slip(data: bytes) -> bytes | None:
        if not _is_plain(data):
            return None
        return tabled(
            re.sub(
                rb"<< /Length (\d+) >>", lambda length: b"<< %s >>" % change(int(length[1])), data
            )
        )

    return slip


def _numbers(more: int) -> Slip:
    """Return a slip that gives contents and fonts very large numbers."""

    def slip(data: bytes) -> bytes | None:
        if not _is_plain(data):
            return None
        start = data.rindex(b"\nxref\n") + 1
        large = set(re.findall(rb"/(?:Contents|F1) (\d+) 0 R", data))

        def replaced(found: re.Match[bytes]) -> bytes:
            return b"%d%s" % (int(found[1]) + more * (found[1] in large), found[2])

        body = re.sub(rb"\b(\d+)( 0 (?:obj|R)\b)", replaced, data[:start])
        offsets = {int(each[1]): each.start(1) for each in re.finditer(rb"\n(\d+) 0 obj", body)}
        rows = (b"%d 1\n%010d 00000 n \n" % each for each in sorted(offsets.items()))
        root = re.findall(rb"/Root \d+ 0 R", data)[-1]
        return body + b"xref\n%strailer << %s /Size %d >>\nstartxref\n%d\n%%%%EOF\n" % (
            b"".join(rows),
            root,
            max(offsets) + 1,
            len(body),
        )

    return slip


def _changed(change: Callable[[Pdf], None]) -> Slip:
    """Return a slip that a PDF library makes; the file itself is in order."""

    def slip(data: bytes) -> bytes | None:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            change(pdf)
            return plainly(pdf)

    return slip


# -- updates -------------------------------------------------------------------------------------


def update(
    data: bytes, *, prev: bytes | None = None, full: bool = False, stream: bool = False
) -> bytes:
    """Return a PDF with an update that adds an object which nothing needs."""
    known = re.findall(rb"(\d+) 0 obj\b", data)
    sizes = [int(each) for each in re.findall(rb"/Size (\d+)", data)]
    number = max([*map(int, known), *(size - 1 for size in sizes)]) + 1
    root = re.findall(rb"/Root (\d+ \d+ R)", data)[-1]
    last = re.findall(rb"startxref\s+(\d+)", data)[-1]
    before = b"/Prev %s" % last if prev is None else prev
    at = len(data)
    data += b"%d 0 obj\n<< /Type /Annot /Subtype /Text >>\nendobj\n" % number
    start = len(data)
    if stream:
        row = b"\1" + at.to_bytes(4) + b"\0"
        packed_rows = zlib.compress(row)
        return data + (
            b"%d 0 obj\n<< /Type /XRef /W [1 4 1] /Index [%d 1] /Size %d /Root %s %s /Filter "
            b"/FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
            % (number + 1, number, number + 2, root, before, len(packed_rows), packed_rows, start)
        )
    if full:
        offsets = {int(each[1]): each.start(1) for each in re.finditer(rb"(\d+) 0 obj\b", data)}
        rows = b"0 %d\n0000000000 65535 f \n" % (number + 1) + b"".join(
            b"%010d 00000 n \n" % offsets[each] for each in range(1, number + 1)
        )
    else:
        rows = b"%d 1\n%010d 00000 n \n" % (number, at)
    return data + b"xref\n%strailer\n<< /Size %d /Root %s %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        rows,
        number + 1,
        root,
        before,
        start,
    )


def _updated(**how: object) -> Slip:
    def slip(data: bytes) -> bytes | None:
        if how.get("full") and not _is_plain(data):
            return None
        if not re.search(rb"/Root (\d+ \d+ R)", data):
            return None
        return update(data, **how)  # type: ignore[arg-type] # as update takes them

    return slip


# -- the slips -----------------------------------------------------------------------------------

_HTML = b"\n<!DOCTYPE html><html><body>" + b"<p>Memory limit reached</p>" * 90 + b"</body></html>\n"


def _thumbnail(pdf: Pdf) -> None:
    broken = Stream(pdf, b"not zlib", Filter=Name.FlateDecode)
    pdf.pages[0].obj.Thumb = broken


def _profile(pdf: Pdf) -> None:
    broken = Stream(pdf, b"not zlib", N=1, Filter=Name.FlateDecode)
    for picture in pdf.pages[0].obj.Resources.get(Name.XObject, {}).values():
        if picture.ColorSpace == Name.DeviceGray:
            picture.ColorSpace = Array([Name.ICCBased, pdf.make_indirect(broken)])


def _unicode(pdf: Pdf) -> None:
    broken = Stream(pdf, b"not zlib", Filter=Name.FlateDecode)
    pdf.pages[0].obj.Resources.Font.F1.ToUnicode = broken


def _inherited_box(pdf: Pdf) -> None:
    pdf.Root.Pages.MediaBox = pdf.pages[0].obj.MediaBox
    for page in pdf.pages:
        del page.obj.MediaBox


def _turned_box(pdf: Pdf) -> None:
    left, bottom, right, top = list(pdf.pages[0].obj.MediaBox)
    pdf.pages[0].obj.MediaBox = Array([right, top, left, bottom])


def _collection(pdf: Pdf) -> None:
    pdf.Root.Collection = Dictionary(Type=Name.Collection, View=Name.D)


def _letter_of_a_portfolio(pdf: Pdf) -> None:
    pdf.attachments["a.txt"] = b"attached"
    pdf.Root.Collection = Dictionary(Type=Name.Collection, View=Name.T)


def _old_xfa(pdf: Pdf) -> None:
    pdf.Root.AcroForm = Dictionary(Fields=Array(), XFA=Stream(pdf, b"<xdp:xdp/>"))


def _every_packed(change: Callable[[bytes], bytes]) -> Slip:
    """Return a slip in what all Flate data of a PDF end with."""

    def slip(data: bytes) -> bytes | None:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            for each in pdf.objects:
                if not isinstance(each, Stream):
                    continue
                is_content = Name.Filter not in each and Name.Subtype not in each
                if is_content or each.get(Name.Filter) == Name.FlateDecode:
                    data = change(zlib.compress(each.read_bytes()))
                    each.write(data, filter=Name.FlateDecode)
            return plainly(pdf)

    return slip


def flushed(packed_data: bytes) -> bytes:
    """Return Flate data of a writer that never closes its compressor."""
    return flushed_by(zlib.Z_SYNC_FLUSH)(packed_data)


def flushed_by(mode: int) -> Callable[[bytes], bytes]:
    """Return what a writer makes of Flate data that flushes its compressor in one of its modes."""

    def packed_again(data: bytes) -> bytes:
        packer = zlib.compressobj()
        return packer.compress(zlib.decompress(data)) + packer.flush(mode)

    return packed_again


def _jpeg(change: Callable[[bytes], bytes]) -> Slip:
    def slip(data: bytes) -> bytes | None:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            if Name.XObject not in pdf.pages[0].obj.Resources:
                return None
            picture = pdf.pages[0].obj.Resources.XObject.I
            if picture.get(Name.Filter) != Name.DCTDecode:
                return None
            picture.write(change(picture.read_raw_bytes()), filter=Name.DCTDecode)
            return plainly(pdf)

    return slip


def _pages(old: bytes, new: bytes) -> Slip:
    return _in_place(old, new)


SLIPS: dict[str, Slip] = {
    # what stands around it
    "no newline at the end": lambda data: data.rstrip(b"\r\n"),
    "line end of DOS": _appended(b"\r\n\r\n"),
    "10 NULs": _appended(bytes(10)),
    "600 NULs": _appended(bytes(600)),
    "4845 NULs": _appended(bytes(4845)),
    "70000 NULs": _appended(bytes(70_000)),
    "NULs to a sector": lambda data: data + bytes(-len(data) % 512),
    "NULs to a page": lambda data: data + bytes(-len(data) % 4096),
    "3000 blanks": _appended(b" " * 3000),
    "end of file of CP/M": _appended(b"\x1a"),
    "CP/M, filled": _appended(b"\x1a" * 127),
    "empty flash memory": _appended(b"\xff" * 3000),
    "words": _appended(b"\n-- \nscanned by device 7\n"),
    "a web page's end": _appended(b"</body></html>\n"),
    "a web page": _appended(_HTML),
    "a log": _appended(b"27 11 2026 scan: page 1 of 1\n" * 80),
    "footer of a mail gateway": _appended(b"\r\n-- \r\nNo virus was found in this mail.\r\n" * 60),
    "a printer's language": _appended(
        b"\x1b%-12345X@PJL COMMENT page 1 0\r\n" * 90 + b"\x1b%-12345X"
    ),
    "a picture": _appended(coding("baseline").data),
    "end mark cut": _end(b"%%EO"),
    "end mark of one sign": _end(b"%EOF\n"),
    "end mark in small letters": _end(b"%%eof\n"),
    "no end mark": _end(b""),
    "end mark cut, and a log": _end(b"%%E\n" + b"scan: page 1 of 1\n" * 90),
    "end of chunks": _appended(b"\r\n0\r\n\r\n"),
    "twice the end": _appended(b"%%EOF\n"),
    "thrice the end": _appended(b"\n%%EOF\n%%EOF\n"),
    "the end again": lambda data: data + data[data.rindex(b"startxref") :],
    "byte order mark": _prefixed(b"\xef\xbb\xbf"),
    "line before": _prefixed(b"\r\n"),
    "header of a request": _prefixed(b"Content-Type: application/pdf\r\n\r\n"),
    "long header": _prefixed(b"X-Header: 1234567890\r\n" * 40),
    "NULs before": _prefixed(bytes(7)),
    "sectors before": _prefixed(bytes(2048)),
    "odd version": _replaced(rb"%PDF-1\.\d", b"%PDF-1.\n", 1),
    "header without a hyphen": _replaced(rb"%PDF-(1\.\d)", rb"%PDF\1 ", 1),
    "version 9": _replaced(rb"%PDF-1\.\d", b"%PDF-9.9", 1),
    # where its table is
    "startxref 1 more": _startxref(lambda at: at + 1),
    "startxref 1 less": _startxref(lambda at: at - 1),
    "startxref 20 more": _startxref(lambda at: at + 20),
    "startxref 7 less": _startxref(lambda at: at - 7),
    "startxref 0": _startxref(lambda _: 0),
    "startxref far": _startxref(lambda _: 999_999_999),
    "startxref too far": _startxref(lambda _: 10**20),
    "startxref at the header": _startxref(lambda _: 9),
    # what its table says
    "no table": _plainly(_replaced(rb"(?s)\nxref\n.*(?=trailer)", b"\n")),
    "table from 1": _replaced(rb"\nxref\n0 (\d+)\n", rb"\nxref\n1 \1\n"),
    "table too long": _replaced(rb"\nxref\n0 \d+\n", b"\nxref\n0 99\n"),
    "table of short rows": _replaced(rb"(\d{10} \d{5} [fn]) \n", rb"\1\n"),
    "rows of nothing": _replaced(rb"\d{10} 00000 n", b"0000000000 00000 n"),
    "rows 1 off": lambda data: (
        re.sub(rb"(\d{10}) 00000 n", lambda row: b"%010d 00000 n" % (int(row[1]) + 1), data)
        if b"00000 n \n" in data
        else None
    ),
    "all free": _replaced(rb"00000 n \n", b"00000 f \n"),
    "no size": _replaced(rb"/Size \d+", b""),
    "size too small": _replaced(rb"/Size \d+", b"/Size 3"),
    "size too large": _replaced(rb"/Size \d+", b"/Size 5000"),
    "no root": _replaced(rb"/Root \d+ 0 R", b""),
    "wrong root": _replaced(rb"/Root \d+ 0 R", b"/Root 777 0 R"),
    "no trailer": _plainly(_replaced(rb"(?s)trailer\s*<<.*>>\s*(?=startxref)", b"")),
    "wrong ID": _replaced(rb"/ID ?\[.*?\]", b"/ID 5"),
    "no information": _replaced(rb"trailer <<", b"trailer << /Info 99 0 R"),
    "Prev nowhere": _replaced(rb"/Size (\d+)", rb"/Size \1 /Prev 99999"),
    "Prev amid": _replaced(rb"/Size (\d+)", rb"/Size \1 /Prev 33"),
    "Prev 0": _replaced(rb"/Size (\d+)", rb"/Size \1 /Prev 0"),
    "Prev in a circle": lambda data: (
        data.replace(b"/Size ", b"/Prev %d /Size " % (data.rindex(b"\nxref\n") + 1))
        if b"\nxref\n" in data
        else None
    ),
    "hybrid to nowhere": _replaced(rb"/Size (\d+)", rb"/Size \1 /XRefStm 17"),
    # what its objects say
    "no type of pages": _pages(rb"/Type /Pages?\b", b""),
    "no type of the catalog": _pages(rb"/Type /Catalog", b""),
    "no type of fonts": _pages(rb"/Type /Font\b", b""),
    "count 0": _pages(rb"/Count \d+", b"/Count 0"),
    "count 1": _pages(rb"/Count \d+", b"/Count 1"),
    "count 7": _pages(rb"/Count \d+", b"/Count 7"),
    "count below 0": _pages(rb"/Count \d+", b"/Count -1"),
    "no count": _pages(rb"/Count \d+", b""),
    "a page list in itself": _pages(
        rb"(\d+)( 0 obj\s<< /Count \d+ /Kids \[[^\]]*)", rb"\1\2 \1 0 R "
    ),
    "no page at the end": _pages(rb"(/Count \d+ /Kids \[[^\]]*)", rb"\1 null "),
    "lost page at the end": _pages(rb"(/Count \d+ /Kids \[[^\]]*)", rb"\1 99 0 R "),
    "keys twice": _pages(rb"/Type /Page\b", b"/Type /Page /Type /Page"),
    "no parent": _pages(rb"/Parent \d+ 0 R", b""),
    "wrong parent": _pages(rb"/Parent \d+ 0 R", b"/Parent 99 0 R"),
    "no end of objects": _pages(rb"\nendobj", b""),
    "no end of an object": _replaced(rb"\nendobj", b"", 1),
    "names broken": _with_object(b"<< /Dests NEW /EmbeddedFiles 5 >>", b"/Names NEW"),
    "names in a circle": _with_object(b"<< /EmbeddedFiles << /Kids [5 0 R 5] >> >>", b"/Names NEW"),
    "names are odd": _with_object(
        b"<< /EmbeddedFiles << /Names [(a) 7 (b)] >> /JavaScript 3 >>", b"/Names NEW"
    ),
    "attachment broken": _with_object(
        b"<< /EmbeddedFiles << /Names [(a.txt) << /Type /Filespec /EF << /F 98 0 R >> >>] >> >>",
        b"/Names NEW",
    ),
    "outline broken": _with_object(b"<< /First 99 0 R /Count", b"/Outlines NEW"),
    "structure broken": _with_object(b"[ /K 99 0 R", b"/StructTreeRoot NEW"),
    "metadata broken": _with_object(
        b"<< /Type /Metadata /Subtype /XML /Filter /FlateDecode /Length 8 >>\nstream\nnot zlib\n"
        b"endstream",
        b"/Metadata NEW",
    ),
    "unused and broken": _with_object(b"<< /Broken [ 1 2 << /Type"),
    "unused broken stream": _with_object(
        b"<< /Filter /FlateDecode /Length 999 >>\nstream\nnot zlib\nendstream"
    ),
    "action broken": _with_object(b"<< /S /GoTo /D [99 0 R /XYZ", b"/OpenAction NEW"),
    "labels broken": _with_object(b"<< /Nums [0 5 0 R << ] >>", b"/PageLabels NEW"),
    "thumbnail broken": _changed(_thumbnail),
    "profile broken": _changed(_profile),
    "ToUnicode broken": _changed(_unicode),
    "box inherited": _changed(_inherited_box),
    "box upside down": _changed(_turned_box),
    "a collection": _changed(_collection),
    "letter with attachments": _changed(_letter_of_a_portfolio),
    "XFA left": _changed(_old_xfa),
    # what its streams say
    "length short": _content_length(lambda length: b"/Length %d" % (length - 5)),
    "length 1 short": _content_length(lambda length: b"/Length %d" % (length - 1)),
    "length long": _content_length(lambda length: b"/Length %d" % (length + 30)),
    "length far too long": _content_length(lambda length: b"/Length %d" % (length + 99999)),
    "length 0": _content_length(lambda _: b"/Length 0"),
    "no length": _content_length(lambda _: b""),
    "length nowhere": _content_length(lambda _: b"/Length 99 0 R"),
    "length below 0": _content_length(lambda _: b"/Length -4"),
    "picture short": _picture_length(lambda length: b"/Length %d" % (length - 9)),
    "picture 1 short": _picture_length(lambda length: b"/Length %d" % (length - 1)),
    "picture long": _picture_length(lambda length: b"/Length %d" % (length + 12)),
    "picture too long": _picture_length(lambda length: b"/Length %d" % (length + 9999)),
    "picture without length": _picture_length(lambda _: b""),
    "picture's length nowhere": _picture_length(lambda _: b"/Length 99 0 R"),
    "checksums 0": _every_packed(lambda data: data[:-4] + bytes(4)),
    "checksums off": _every_packed(lambda data: data[:-1] + bytes((data[-1] ^ 0x55,))),
    "checksums turned": _every_packed(lambda data: data[:-4] + data[:-5:-1]),
    "no checksums": _every_packed(lambda data: data[:-4]),
    "sync flush": _every_packed(flushed),
    "partial flush": _every_packed(flushed_by(zlib.Z_PARTIAL_FLUSH)),
    "full flush": _every_packed(flushed_by(zlib.Z_FULL_FLUSH)),
    "lines behind data": _every_packed(lambda data: data + b"\r\n"),
    "JPEG with fill": _jpeg(lambda data: data[:-2] + bytes(50) + data[-2:]),
    "JPEG with a stray byte": _jpeg(lambda data: data[:-2] + b"\n" + data[-2:]),
    "JPEG without end": _jpeg(lambda data: data[:-2]),
    "JPEG with more behind": _jpeg(lambda data: data + b"\r\nend of scan"),
    "numbers of 2 million": _numbers(2_000_000),
    "numbers of 9 million": _numbers(9_000_000),
    "numbers of 2 billion": _numbers(2_147_000_000),
    # updates
    "updated": _updated(),
    "updated by a stream": _updated(stream=True),
    "full table without Prev": _updated(prev=b"", full=True),
    "full table with Prev": _updated(full=True),
    "update with Prev at white space": _updated(prev=b"/Prev 15"),
    "update with Prev nowhere": _updated(prev=b"/Prev 99999"),
    "update with Prev 0": _updated(prev=b"/Prev 0"),
    "update without Prev": _updated(prev=b""),
    "updated twice": lambda data: update(update(data)) if b"/Root" in data else None,
}
"""By name."""


def kinds() -> dict[str, bytes]:
    """Return healthy PDFs of all kinds, by name."""
    every = {kind: healthy(kind) for kind in CODINGS}
    return every | {
        "packed": packed(healthy("baseline")),
        "linearized": linearized(healthy("flate")),
        "packed and linearized": linearized(packed(healthy("fax"))),
        "reportlab": pdfs.good(2),
    }


def slipped(data: bytes, *names: str) -> bytes | None:
    """Return a PDF with slips, one after the other; None if one has no place."""
    for name in names:
        try:
            found = SLIPS[name](data)
        except (pikepdf.PdfError, AttributeError, IndexError, ValueError):
            # After the slip before, this one can no longer be made.
            found = None
        if found is None:
            return None
        data = found
    return data
