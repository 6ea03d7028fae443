"""Sheets with fields and marks, and what their flattened copies show."""

import io
from typing import Any

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

from faxdrop.documents.pdf import forms
from faxdrop.documents.pdf.areas import Flattened
from tests.kit import pdfs
from tests.kit.pdfs import Rect

PLACE: Rect = (200, 500, 400, 540)
BOX: Rect = (200, 500, 220, 520)
LINE = b"BT /F1 14 Tf 72 760 Td (Antrag) Tj ET"
TEXT = b"/Tx BMC q BT /F1 20 Tf 0 g 4 12 Td (Erika Muster) Tj ET Q EMC"
CROSS = b"q 2 w 3 3 m 17 17 l 3 17 m 17 3 l S Q 0.5 0.5 19 19 re S"
EMPTY = b"0.5 0.5 19 19 re S"
BARS = b"0 g " + b"".join(b"%d 2 3 36 re f " % x for x in range(5, 190, 7))
OPEN = {
    "q left open": b"q 1 0 0 -1 0 842 cm q 1 0 0 -1 0 842 cm " + LINE,
    "one Q too many": b"q Q Q 0.1 0 0 0.1 0 0 cm BT /F1 140 Tf 720 7600 Td (Antrag) Tj ET",
    "string": LINE + b" q (string without end",
    "hexadecimal": LINE + b" <48",
    "array": LINE + b" [1 2",
    "dictionary": LINE + b" /P << /A",
    "text": b"BT /F1 14 Tf 72 760 Td (Antrag) Tj 3 Tr 1 0 0 1 900 900 Tm",
    "marked content": b"/P << /MCID 0 >> BDC " + LINE + b" /Q BMC",
    "picture": LINE + b" BI /W 1 /H 1 /BPC 8 /CS /G ID \xff",
    "clipped": LINE + b" 0 0 10 10 re W n",
    "white": LINE + b" 1 g 1 G 1 Tr 0 Tz",
    "path": LINE + b" 0 0 m 100 100 l",
}


def flattened(data: bytes) -> tuple[bytes, Flattened]:
    """Return the copy of a PDF, and where it shows something else."""
    with pikepdf.open(
        io.BytesIO(data), inherit_page_attributes=False, conversion_mode="explicit"
    ) as pdf:
        done = forms.flatten(pdf)
        assert not any(Name.Annots in page.obj for page in pdf.pages)
        assert Name.AcroForm not in pdf.Root
        return pdfs.saved(pdf), done


class Sheet:
    """A page of A4 to put fields and marks on."""

    def __init__(self, content: bytes = LINE, **form: Any) -> None:
        self.pdf = Pdf.new()
        self.pdf.add_blank_page(page_size=(595, 842))
        self.page = self.pdf.pages[0].obj
        self.page.Contents = Stream(self.pdf, content)
        self.fonts = Dictionary(F1=self.font("Helvetica", Encoding=Name.WinAnsiEncoding))
        self.page.Resources = Dictionary(Font=self.fonts)
        self.page.Annots = Array()
        self.form = form
        self.groups: list[pikepdf.Object] = []  # fields that have several widgets

    def font(self, base: str, **entries: Any) -> pikepdf.Object:
        """Return one of the fonts that every renderer has."""
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name("/" + base), **entries)
        return self.pdf.make_indirect(font)

    def look(self, content: bytes, rect: Rect = PLACE, **entries: Any) -> Stream:
        """Return an appearance as large as a rectangle."""
        look = Stream(self.pdf, content)
        look.Type, look.Subtype = Name.XObject, Name.Form
        look.BBox = Array([0, 0, rect[2] - rect[0], rect[3] - rect[1]])
        look.Resources = Dictionary(Font=self.fonts)
        for key, value in entries.items():
            look["/" + key] = value
        return look

    def add(self, rect: Rect, look: Any = None, **entries: Any) -> Dictionary:
        """Put an annotation on the page."""
        made = Dictionary(Type=Name.Annot, Rect=Array(list(rect)), **({"F": 4} | entries))
        if look is not None:
            made.AP = Dictionary(N=look)
        made = self.pdf.make_indirect(made)
        self.page.Annots.append(made)
        return made

    def text(self, value: str | None, look: Any = None, **entries: Any) -> Dictionary:
        """Put a text field on the page."""
        if value is not None:
            entries["V"] = String(value)
        return self.add(PLACE, look, Subtype=Name.Widget, FT=Name.Tx, T=String("t"), **entries)

    def check(
        self, *, state: str = "", value: str = "", on: str = "Ja", looks: bool = True, **more: Any
    ) -> Dictionary:
        """Put a check box on the page."""
        states = Dictionary({f"/{on}": self.look(CROSS, BOX), "/Off": self.look(EMPTY, BOX)})
        made = self.add(more.pop("rect", BOX), states if looks else None, Subtype=Name.Widget)
        made.MK = Dictionary(CA=String("4"), BC=Array([0]))
        if "Parent" not in more:
            made.FT, made.T = Name.Btn, String("c")
        for key, name in (("/AS", state), ("/V", value)):
            if name:
                made[key] = Name("/" + name)
        for key, entry in more.items():
            made["/" + key] = entry
        return made

    def saved(self) -> bytes:
        """Return the PDF."""
        widgets = [each for each in self.page.Annots if each.Subtype == Name.Widget]
        if widgets:
            zapf = self.font("ZapfDingbats")
            fonts = Dictionary(Helv=self.fonts.F1, F1=self.fonts.F1, ZaDb=zapf)
            self.pdf.Root.AcroForm = Dictionary(
                Fields=Array(self.groups or widgets),
                DR=Dictionary(Font=fonts),
                DA=String("/Helv 12 Tf 0 g"),
                **self.form,
            )
        return pdfs.saved(self.pdf)


def shown_text(copy: bytes) -> str:
    """Return the text of a copy's page, without what it says by itself."""
    with pypdfium2.PdfDocument(copy) as pdf:
        text = pdf[0].get_textpage().get_text_range()
    return " ".join(text.replace("Antrag", "").split())
