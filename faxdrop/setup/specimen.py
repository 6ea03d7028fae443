"""Small PDFs written by hand: for trying out the document check, and for the demo.

Plain PDF 1.4 as in ISO 32000, each with a correct cross-reference table. That needs no PDF library,
and none is loaded.
"""

from collections.abc import Sequence
from typing import Final

_A4: Final = "[0 0 595 842]"  # points
_LEADING = 18  # points from line to line
_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def letter(*pages: Sequence[str]) -> bytes:
    """Return a letter; each page is a sequence of lines (characters of Windows-1252)."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        _FONT,
    ]
    for at, lines in enumerate(pages):
        objects += [_page(5 + 2 * at), _stream(_text(lines))]
    return _file(objects)


def form(lines: Sequence[str], *, label: str, value: str) -> bytes:
    """Return a page with a filled-in text field whose value the viewer has to draw."""
    field = (
        f"<< /Type /Annot /Subtype /Widget /FT /Tx /T {_string(label)} /V {_string(value)} "
        "/Rect [72 560 400 590] /F 4 /DA (/Helv 14 Tf 0 g) /P 4 0 R >>"
    )
    catalog = (
        "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] /NeedAppearances true "
        "/DA (/Helv 14 Tf 0 g) /DR << /Font << /Helv 3 0 R >> >> >> >>"
    )
    objects = [
        catalog,
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        _FONT,
        _page(5, annotations="/Annots [6 0 R] "),
        _stream(_text(lines)),
        field,
    ]
    return _file(objects)


def half(document: bytes) -> bytes:
    """Return the first half of a document: what is left if a scanner's cable is pulled."""
    return document[: len(document) // 2]


def _page(content: int, annotations: str = "") -> str:
    return (
        f"<< /Type /Page /Parent 2 0 R /MediaBox {_A4} /Contents {content} 0 R {annotations}"
        "/Resources << /Font << /Helv 3 0 R >> >> >>"
    )


def _text(lines: Sequence[str]) -> str:
    shown = " ".join(f"{_string(line)} Tj T*" for line in lines)
    return f"BT /Helv 14 Tf {_LEADING} TL 72 760 Td {shown} ET"


def _stream(content: str) -> str:
    return f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream"


def _string(text: str) -> str:
    for special in "\\()":
        text = text.replace(special, f"\\{special}")
    return f"({text})"


def _file(objects: Sequence[str]) -> bytes:
    data = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode("cp1252")
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    data += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    data += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    data += f"startxref\n{start}\n%%EOF\n".encode()
    return bytes(data)
