"""What a look (an appearance stream) shows: its text, if that can be read, and any ink.

pdfium answers this; it is given a page with nothing but the look.
"""

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Object, Pdf, PdfError, Stream, String

from faxdrop.documents.pdf.fields import name_of, name_text
from faxdrop.documents.pdf.placing import Rect, corners_of, placement

_SHOWING = frozenset({"Tj", "TJ", "'", '"'})
_PIXELS = 200  # of the longer side of a look that is searched for ink
_EDGE = 0.12  # of each side: where its border may be at most
_BORDER = 4.0  # points: what a border needs where one side is short
_EVEN = 24  # of 255: a surface whose greys differ by less is blank
# Where a line was broken at a hyphen, pdfium says so.
_HYPHENS = str.maketrans({"\ufffe": "-", "\x02": "-"})
_MEANINGLESS = re.compile(r"/(?!uni|u[0-9A-F]{4,6}$)[A-Za-z]{0,4}[0-9]+")  # glyphs by number
_LATIN = frozenset({"Helvetica", "Times", "Courier", "Arial", "TimesNewRoman"})


def is_blank(look: Stream, rect: Rect) -> bool:
    """Return whether a look shows nothing but an even surface and its border."""
    content = _Content(look)
    if content.codes.strip(b"\0\t\n\f\r "):
        return False
    try:
        with pypdfium2.PdfDocument(_alone(look, rect)) as pdf:
            page = pdf[0]
            scale = _PIXELS / max(page.get_size())
            picture = page.render(scale=scale, grayscale=True).to_pil().convert("L")
    except (PdfError, pypdfium2.PdfiumError):
        return False
    least = max(min(picture.size) * _EDGE, _BORDER * scale)
    across, up = (int(min(side * _EDGE, least)) for side in picture.size)
    inner = picture.crop((across, up, picture.width - across, picture.height - up))
    greys: bytes = inner.tobytes()
    return max(greys) - min(greys) < _EVEN


def is_stale(look: Stream, rect: Rect, text: str, *, formatted: bool = False) -> bool:
    """Return whether a look certainly shows another text than this.

    If its text cannot be read, the answer is no. A ``formatted`` text may look different, but has
    the same digits.
    """
    content = _Content(look)
    codes = content.codes.strip(b"\0\t\n\f\r ")
    if not codes or _is_same(codes.decode("cp1252", "replace"), text):
        return False
    if not all(_is_readable(font) for font in content.fonts(look)):
        return False
    try:
        with pypdfium2.PdfDocument(_alone(look, rect)) as pdf:
            shown = pdf[0].get_textpage().get_text_range().translate(_HYPHENS)
    except (PdfError, pypdfium2.PdfiumError):
        return False
    plain = _plain(shown)
    if not plain or any(
        unicodedata.category(each) in {"Co", "Cn", "Cs"} or each == "\ufffd" for each in shown
    ):
        return False
    if formatted and _figures(plain) == _figures(text) != []:
        return False
    return not _is_same(shown, text)


def _is_same(shown: str, text: str) -> bool:
    one, other = _plain(shown), _plain(text)
    if any(unicodedata.bidirectional(each) in {"R", "AL"} for each in other):
        return sorted(one) == sorted(other)  # it may be shown in the order of its places
    return one == other


def _plain(text: str) -> str:
    """Return a text without spaces and line breaks: a look may place them differently."""
    composed = unicodedata.normalize("NFKC", text)
    return "".join(each for each in composed if unicodedata.category(each)[0] not in "ZC")


def _figures(text: str) -> list[str]:
    return sorted(each for each in text if each.isdigit() and each != "0")


class _Content:
    """The strings that a look shows, and the names of the fonts it uses."""

    def __init__(self, look: Stream) -> None:
        self.codes = b""
        self._names: set[str] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its content may be cut off
            try:
                instructions = pikepdf.parse_content_stream(look)
            except (PdfError, ValueError, TypeError):
                instructions = []
        for instruction in instructions:
            name, operands = str(instruction.operator), instruction.operands
            if name == "Tf" and operands:
                self._names.add(name_text(operands[0])[1:])
            elif name in _SHOWING:
                self.codes += b"".join(_strings(operands))

    def fonts(self, look: Stream) -> Iterator[Object | None]:
        resources = look.get_raw(Name.Resources)
        fonts = resources.get_raw(Name.Font) if isinstance(resources, Dictionary) else None
        for name in self._names:
            yield fonts.get_raw(name_of(name)) if isinstance(fonts, Dictionary) and name else None


def _strings(operands: object) -> Iterator[bytes]:
    for each in operands if hasattr(operands, "__iter__") else ():
        if isinstance(each, String):
            yield bytes(each)
        elif isinstance(each, Array):
            yield from _strings(each)


def _is_readable(font: Object | None) -> bool:
    """Return whether the characters of a font are known to be what pdfium takes them for."""
    if not isinstance(font, Dictionary):
        return False
    if isinstance(font.get_raw(Name.ToUnicode), Stream):
        return True
    name = name_text(font.get_raw(Name.BaseFont))[1:].rpartition("+")[2]
    if font.get_raw(Name.Subtype) in (Name.Type0, Name.Type3):
        return False
    encoding = font.get_raw(Name.Encoding)
    if isinstance(encoding, Dictionary):
        listed = encoding.get_raw(Name.Differences)
        glyphs = map(name_text, listed) if isinstance(listed, Array) else ()
        return not any(map(_MEANINGLESS.fullmatch, glyphs))
    return encoding is not None or name.split("-")[0].split(",")[0] in _LATIN


def _alone(look: Stream, rect: Rect) -> bytes:
    """Return a one-page PDF that shows only this look."""
    width, height = max(rect[2] - rect[0], 1.0), max(rect[3] - rect[1], 1.0)
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(width, height))
    page = pdf.pages[0].obj
    copied = pdf.copy_foreign(look)
    if corners_of(look.get_raw(Name.BBox)) is None:
        copied[Name.BBox] = Array([-width, -height, 2 * width, 2 * height])
    copied[Name.Subtype] = Name.Form
    matrix = placement(look, (0, 0, width, height)) or (1, 0, 0, 1, 0, 0)
    page[Name.Resources] = Dictionary(XObject=Dictionary(Look=copied))
    page[Name.Contents] = Stream(
        pdf, b"%s cm /Look Do" % " ".join(f"{n:.5f}" for n in matrix).encode()
    )
    data = io.BytesIO()
    pdf.save(data)
    return data.getvalue()
