"""Makers of PDFs for tests: good ones, forms, and all the ways in which PDFs go wrong.

Every maker returns bytes, the same each time for the same arguments.
"""

import functools
import io
import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

Rect = tuple[float, float, float, float]  # left, bottom, right, top, in points

MULTILINE, PASSWORD, COMB = 1 << 12, 1 << 13, 1 << 24
READ_ONLY = 1
RADIO, PUSH_BUTTON = 1 << 15, 1 << 16
COMBO = 1 << 17
HIDDEN, PRINT, NO_VIEW = 2, 4, 32


@functools.cache
def good(pages: int = 1, text: str = "Guten Tag") -> bytes:
    """Return a plain PDF of A4 pages, each with a line of text and its number."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=True, pageCompression=1)
    for number in range(1, pages + 1):
        canvas.setFont("Helvetica", 14)
        canvas.drawString(72, 760, text)
        canvas.drawString(72, 740, f"{number} / {pages}")
        canvas.showPage()
    canvas.save()
    return _saved(buffer.getvalue())


def _saved(data: bytes) -> bytes:
    """Return a PDF as qpdf writes it: reportlab's own has a slip in its cross-reference table."""
    return changed(data, lambda _: None)


def changed(data: bytes, change: Callable[[Pdf], None], **saving: Any) -> bytes:
    """Return a PDF after a change to its objects."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        change(pdf)
        return saved(pdf, **saving)


def saved(pdf: Pdf, **saving: Any) -> bytes:
    """Return the bytes of a PDF."""
    buffer = io.BytesIO()
    pdf.save(buffer, **({"static_id": True, "fix_metadata_version": False} | saving))
    return buffer.getvalue()


# -- forms -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One form field: where it is and what was filled in."""

    name: str
    kind: Literal["text", "check", "radio", "choice", "button", "signature"]
    rect: Rect
    value: str | tuple[str, ...] = ""  # of a check box: its state, "" is off
    page: int = 0
    flags: int = 0
    options: Sequence[str] = ()  # of a choice field; of radio buttons, one below the other
    entries: Mapping[str, Any] = field(default_factory=dict)  # more, for the widget

    @property
    def rects(self) -> tuple[Rect, ...]:
        """The widgets' places."""
        left, bottom, right, top = self.rect
        if self.kind != "radio":
            return (self.rect,)
        drop = (top - bottom) * 1.5
        return tuple(
            (left, bottom - at * drop, right, top - at * drop) for at in range(len(self.options))
        )


OFFICE = (
    Field("Name", "text", (100, 700, 300, 720), "Jürgen Größe-Äußerung"),
    Field("Bemerkung", "text", (100, 600, 300, 680), "Erste Zeile\nZweite Zeile", flags=MULTILINE),
    Field("Einwilligung", "check", (100, 560, 115, 575), "Ja"),
    Field("Werbung", "check", (200, 560, 215, 575), ""),
    Field("Versand", "radio", (100, 520, 115, 535), "Fax", options=("Post", "Fax", "Bote")),
    Field("Anrede", "choice", (100, 440, 200, 456), "Frau", flags=COMBO, options=("Herr", "Frau")),
    Field("Tage", "choice", (100, 360, 200, 420), "Di", options=("Mo", "Di", "Mi")),
)
"""A form with a field of each kind."""


def form(
    fields: Sequence[Field] = OFFICE,
    *,
    pages: int = 1,
    appearances: bool = False,
    needed: bool | None = None,
    **form_entries: Any,
) -> bytes:
    """Return a form on pages that are blank otherwise.

    With ``appearances`` each field brings how it looks; without, the PDF leaves that to the viewer
    (NeedAppearances), unless ``needed`` says otherwise.
    """
    pdf = Pdf.new()
    for _ in range(pages):
        pdf.add_blank_page(page_size=(595, 842))
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    font.Encoding = Name.WinAnsiEncoding
    resources = Dictionary(Font=Dictionary(Helv=pdf.make_indirect(font)))
    listed = [_field(pdf, each, resources if appearances else None) for each in fields]
    pdf.Root.AcroForm = Dictionary(
        Fields=Array(listed),
        DR=resources,
        DA=String("/Helv 0 Tf 0 g"),
        NeedAppearances=not appearances if needed is None else needed,
    )
    for key, value in form_entries.items():
        pdf.Root.AcroForm["/" + key] = value
    return saved(pdf)


_TYPES = {
    "text": Name.Tx,
    "check": Name.Btn,
    "radio": Name.Btn,
    "choice": Name.Ch,
    "button": Name.Btn,
    "signature": Name.Sig,
}
_FLAGS = {"radio": RADIO, "button": PUSH_BUTTON}


def _field(pdf: Pdf, spec: Field, looks: Dictionary | None) -> Dictionary:
    own = Dictionary(FT=_TYPES[spec.kind], T=String(spec.name))
    own.Ff = spec.flags | _FLAGS.get(spec.kind, 0)
    if spec.kind in ("check", "radio"):
        own.V = Name("/" + (str(spec.value) or "Off"))
    elif isinstance(spec.value, tuple):
        own.V = Array([String(each) for each in spec.value])
    elif spec.value:
        own.V = String(spec.value)
    if spec.kind == "choice":
        own.Opt = Array([String(each) for each in spec.options])
    own = pdf.make_indirect(own)
    page = pdf.pages[spec.page].obj
    if Name.Annots not in page:
        page.Annots = Array()
    if spec.kind != "radio":
        _widget(own, spec, spec.rect)
        if looks is not None:
            _give_looks(pdf, own, spec, looks, str(spec.value) or "Off", "Ja")
        page.Annots.append(own)
        return own
    own.Kids = Array()
    for option, rect in zip(spec.options, spec.rects, strict=True):
        kid = pdf.make_indirect(Dictionary(Parent=own))
        _widget(kid, spec, rect)
        kid.AS = Name("/" + (option if option == spec.value else "Off"))
        if looks is not None:
            _give_looks(pdf, kid, spec, looks, str(kid.AS)[1:], option)
        own.Kids.append(kid)
        page.Annots.append(kid)
    return own


def _widget(widget: Dictionary, spec: Field, rect: Rect) -> None:
    widget.Type = Name.Annot
    widget.Subtype = Name.Widget
    widget.Rect = Array(list(rect))
    widget.F = PRINT
    for key, value in spec.entries.items():
        widget["/" + key] = value


def _give_looks(
    pdf: Pdf, widget: Dictionary, spec: Field, resources: Dictionary, state: str, on: str
) -> None:
    left, bottom, right, top = (float(each) for each in widget.Rect)
    width, height = right - left, top - bottom

    def look(content: bytes) -> Stream:
        stream = Stream(pdf, content)
        stream.Type, stream.Subtype = Name.XObject, Name.Form
        stream.BBox = Array([0, 0, width, height])
        stream.Resources = resources
        return stream

    if spec.kind in ("check", "radio"):
        mark = look(b"0 0 m %d %d l S" % (width, height))
        widget.AP = Dictionary(N=Dictionary({"/" + on: mark, "/Off": look(b"")}))
        widget.AS = Name("/" + state)
        return
    words = spec.value if isinstance(spec.value, str) else " ".join(spec.value)
    lines = b"".join(
        b"<%s> Tj T* " % line.encode("cp1252").hex().encode() for line in words.split("\n")
    )
    widget.AP = Dictionary(
        N=look(b"/Tx BMC q BT /Helv 10 Tf 12 TL 2 %d Td %s ET Q EMC" % (height - 12, lines))
    )


def hybrid_xfa() -> bytes:
    """Return a form that Adobe's programs show as XFA, and all others as an ordinary form."""
    return form(appearances=True, XFA=Array([String("template"), String("<template/>")]))


def dynamic_xfa(text: str = "Please wait...") -> bytes:
    """Return a form whose only page asks the reader to wait or to use another viewer."""

    def change(pdf: Pdf) -> None:
        pdf.Root.NeedsRendering = True
        packets = Array([String("template"), Stream(pdf, b"<template/>")])
        pdf.Root.AcroForm = Dictionary(Fields=Array(), XFA=packets)

    return changed(good(text=text), change)


def portfolio() -> bytes:
    """Return a portfolio: a cover sheet with PDFs attached."""

    def change(pdf: Pdf) -> None:
        pdf.attachments["letter.pdf"] = good()
        pdf.Root.Collection = Dictionary(View=Name.D)

    return changed(good(text="For the best experience..."), change)


def annotated(subtype: str, *, appearance: bytes | None, flags: int = PRINT, **more: Any) -> bytes:
    """Return a blank page with one annotation that is no form field, at 100..200 x 100..150."""
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    note = Dictionary(
        Type=Name.Annot, Subtype=Name("/" + subtype), Rect=Array([100, 100, 200, 150])
    )
    note.F = flags
    if appearance is not None:
        stream = Stream(pdf, appearance)
        stream.Subtype = Name.Form
        stream.BBox = Array([0, 0, 100, 50])
        note.AP = Dictionary(N=stream)
    for key, value in more.items():
        note["/" + key] = value
    pdf.pages[0].obj.Annots = Array([pdf.make_indirect(note)])
    return saved(pdf)


# -- protected -------------------------------------------------------------------------------


def encrypted() -> bytes:
    """Return a PDF that asks for a password."""
    return changed(good(), lambda _: None, encryption=pikepdf.Encryption(user="u", owner="o"))


def owner_locked(data: bytes | None = None) -> bytes:
    """Return a PDF that everyone may read and nobody may change."""
    lock = pikepdf.Encryption(owner="o", allow=pikepdf.Permissions(print_highres=False))
    return changed(data or good(), lambda _: None, encryption=lock)


# -- damaged ---------------------------------------------------------------------------------


def truncated(data: bytes | None = None, part: float = 0.6) -> bytes:
    """Return the first part of a PDF."""
    data = data or good()
    return data[: int(len(data) * part)]


def repairable(data: bytes | None = None) -> bytes:
    """Return a complete PDF that does not know where its cross-reference table is."""
    return re.sub(rb"startxref\n\d+", b"startxref\n77", data or good(2))


def with_holes(data: bytes | None = None, at: float = 0.5, length: int = 4096) -> bytes:
    """Return a PDF of the right length, of which a part has not been written yet."""
    data = data or scan()
    start = int(len(data) * at)
    return data[:start] + b"\0" * min(length, len(data) - start) + data[start + length :]


def preallocated(part: float = 0.5) -> bytes:
    """Return a PDF whose file already has its full size, with NULs for what is still to come."""
    data = scan()
    start = int(len(data) * part)
    return data[:start] + b"\0" * (len(data) - start)


def garbage_after(length: int) -> bytes:
    """Return a good PDF with other data behind it."""
    return good() + b"\n" + b"x" * length


def mangled_newlines(data: bytes | None = None) -> bytes:
    """Return a PDF that was transferred as if it were text."""
    return (data or scan()).replace(b"\n", b"\r\n")


def zero_pages() -> bytes:
    """Return a PDF without pages."""
    return saved(Pdf.new())


def looping_page_tree() -> bytes:
    """Return a PDF whose page tree contains itself."""
    return raw_pdf(
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 2/Kids[3 0 R]>>",
        "<</Type/Pages/Parent 2 0 R/Count 1/Kids[2 0 R 4 0 R]>>",
        "<</Type/Page/Parent 3 0 R/MediaBox[0 0 595 842]>>",
    )


def page_bomb(width: int = 10, depth: int = 12) -> bytes:
    """Return a tiny PDF whose page tree names the same few nodes again and again."""
    nodes = [f"<</Type/Pages/Count 1/Kids[{f'{at + 3} 0 R ' * width}]>>" for at in range(depth)]
    return raw_pdf("<</Type/Catalog/Pages 2 0 R>>", *nodes, "<</Type/Page/MediaBox[0 0 595 842]>>")


def lying_count(count: int) -> bytes:
    """Return a PDF that names one page twice and claims to have another number of pages."""
    return raw_pdf(
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {count}/Kids[3 0 R 3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    )


def zip_bomb(gigabytes: int = 2) -> bytes:
    """Return a small PDF whose page's content unpacks to gigabytes."""
    return _with_content(_zeros(gigabytes))


def zip_bomb_picture(gigabytes: int = 2) -> bytes:
    """Return a small PDF with a picture that unpacks to gigabytes."""

    def change(pdf: Pdf) -> None:
        picture = Stream(pdf, _zeros(gigabytes))
        picture.stream_dict = Dictionary(
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=40000,
            Height=50000,
            BitsPerComponent=8,
            ColorSpace=Name.DeviceGray,
            Filter=Name.FlateDecode,
        )
        pdf.pages[0].obj.Resources.XObject = Dictionary(Im0=picture)

    return changed(good(), change)


@functools.cache
def _zeros(gigabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    block = b" " * (64 << 20)
    head = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    # Data after a full flush refers to nothing before it, so it can be repeated at will.
    one = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + one * (gigabytes << 4) + b"\3\0\0\0\0\0"


def _with_content(packed: bytes) -> bytes:
    def change(pdf: Pdf) -> None:
        stream = Stream(pdf, packed)
        stream.Filter = Name.FlateDecode
        pdf.pages[0].obj.Contents = stream

    return changed(good(), change)


def deep_nesting(depth: int = 200_000) -> bytes:
    """Return a PDF in which arrays are nested to exhaust a stack."""
    nested = "[" * depth + "]" * depth
    return raw_pdf(
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</X {nested}>>>>",
    )


def deep_page_tree(depth: int = 50_000) -> bytes:
    """Return a PDF whose only page is at the end of a long chain of nodes."""
    nodes = [f"<</Type/Pages/Count 1/Kids[{at + 3} 0 R]>>" for at in range(depth)]
    return raw_pdf("<</Type/Catalog/Pages 2 0 R>>", *nodes, "<</Type/Page/MediaBox[0 0 595 842]>>")


def raw_pdf(*objects: str | bytes) -> bytes:
    """Return a PDF of these objects, numbered from 1, the catalog first, with a correct table."""
    data = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, each in enumerate(objects, 1):
        offsets.append(len(data))
        body = each.encode() if isinstance(each, str) else each
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(offsets) + 1,
        start,
    )
    return bytes(data)


@functools.cache
def scan(pages: int = 2, kilobytes: int = 60) -> bytes:
    """Return a PDF as scanners make it: each page is one picture, here of noise."""
    noise = random.Random(7)  # noqa: S311 - no secret

    def change(pdf: Pdf) -> None:
        for page in pdf.pages:
            picture = Stream(pdf, zlib.compress(noise.randbytes(kilobytes << 10)))
            picture.stream_dict = Dictionary(
                Type=Name.XObject,
                Subtype=Name.Image,
                Width=1024,
                Height=kilobytes,
                BitsPerComponent=8,
                ColorSpace=Name.DeviceGray,
                Filter=Name.FlateDecode,
            )
            page.obj.Resources.XObject = Dictionary(Im0=picture)
            page.contents_add(b"q 500 0 0 700 40 70 cm /Im0 Do Q")

    return changed(good(pages), change)


def of_size(size: int) -> bytes:
    """Return a good PDF of at least that many bytes, which do not compress."""

    def change(pdf: Pdf) -> None:
        noise = random.Random(size).randbytes(size)  # noqa: S311 - no secret
        pdf.Root.Ballast = Stream(pdf, noise)

    return changed(good(), change)
