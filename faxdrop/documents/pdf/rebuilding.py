"""Opens a PDF with a broken cross-reference as viewers do: by searching for its objects.

The reader searches by itself if it cannot read a cross-reference, but not if it can read it and it
is wrong; and it never searches in object streams. So it gets the file without cross-references,
and with all packed objects unpacked.
"""

import io
import re
import zlib

import pikepdf
from pikepdf import Dictionary, Name, Pdf

_MAX_NUMBER = 200_000  # of an object; no PDF that can be faxed has so many
_NUMBER = re.compile(rb"(?<!\d)(\d{1,10})\s{1,8}\d{1,5}\s{1,8}obj\b")
_USE = re.compile(rb"(?<!\d)(\d{6,10})\s{1,8}\d{1,5}\s{1,8}(?:obj|R)\b")
_HYBRID = b"/XRefStm"
_MAX_UNPACKED = 64 << 20  # bytes of packed objects
_PACKED = re.compile(
    rb"\d+\s+\d+\s+obj\s*(<<(?:[^<>]++|<<[^<>]*+>>){0,20}>>)\s*stream\r?\n", re.ASCII
)
_COUNT = re.compile(rb"/N\s+(\d{1,7})")
_END = re.compile(rb"\r?\n?endstream")
_FIRST = re.compile(rb"/First\s+(\d{1,9})")
_ROOT = re.compile(rb"/Root\s+\d+\s+\d+\s+R")


def read(data: bytes) -> tuple[Pdf, bytes]:
    """Open a PDF one way or another; return it, and the bytes from which it could be opened.

    Raises whatever pikepdf raises.
    """
    try:
        pdf = opened(data)
        pages = pdf.Root.get_raw(Name.Pages)  # it may be found out only now that there is no root
    except pikepdf.PasswordError:
        raise
    except (pikepdf.PdfError, ValueError):  # a number may be too large for it
        if b"/Encrypt" in data:
            raise
    else:
        # With a table and packed objects, too, it forgets the packed ones when it searches.
        is_searched = _HYBRID in data and b"/Encrypt" not in data and pdf.get_warnings()
        is_numbered = pdf.trailer.get_int(Name.Size, 0) <= _MAX_NUMBER
        if isinstance(pages, Dictionary) and is_numbered and not is_searched:
            return pdf, data
        pdf.close()
    searched = renumbered(laid_open(data))
    return opened(searched), searched


def opened(data: bytes, *, recover: bool = True) -> Pdf:
    """Open a PDF. Raises whatever pikepdf raises."""
    return pikepdf.open(
        io.BytesIO(data),
        attempt_recovery=recover,
        suppress_warnings=True,
        inherit_page_attributes=False,
        conversion_mode="explicit",
    )


def laid_open(data: bytes) -> bytes:
    """Return a PDF without cross-references, with all packed objects unpacked."""
    parts: list[bytes] = []
    end = 0
    left = _MAX_UNPACKED
    for found in _PACKED.finditer(data):
        if found.start() < end or b"/ObjStm" not in found[1]:
            continue
        objects = _unpacked(found[1], memoryview(data)[found.end() :], left)
        left -= len(objects)
        behind = data.find(b"endobj", found.end())
        if not objects or left <= 0 or behind < 0:
            continue
        # After the packed ones and nowhere else: of two objects with one number, the last counts.
        parts += (data[end : behind + 6], objects)
        end = behind + 6
    parts.append(data[end:])
    roots = _ROOT.findall(data)
    trailer = b"\ntrailer\n<< %s >>\n%%%%EOF\n" % roots[-1] if parts[1:] and roots else b""
    whole = b"".join(parts).replace(b"startxref", b"startxxxx") + trailer
    return whole.replace(b"/XRef", b"/Void") if trailer else whole


def renumbered(data: bytes) -> bytes:
    """Return a PDF with other numbers for objects that qpdf skips because theirs are too large."""
    numbers = {int(found) for found in _NUMBER.findall(data)}
    free = (number for number in range(1, _MAX_NUMBER) if number not in numbers)
    new = {number: next(free) for number in sorted(numbers) if number > _MAX_NUMBER}
    if not new:
        return data

    def replaced(found: re.Match[bytes]) -> bytes:
        number = new.get(int(found[1]))
        return found[0] if number is None else found[0].replace(found[1], b"%d" % number, 1)

    return _USE.sub(replaced, data)


def _unpacked(dictionary: bytes, data: memoryview, most: int) -> bytes:
    """Return the objects of an object stream as they would be in the file; nothing if broken."""
    count, first = _COUNT.search(dictionary), _FIRST.search(dictionary)
    if count is None or first is None:
        return b""
    try:
        if b"/Filter" not in dictionary and (end := _END.search(data)):
            content = bytes(data[: end.start()])
        elif b"/FlateDecode" in dictionary:
            content = zlib.decompressobj().decompress(data, most)
        else:
            return b""
        start = int(first[1])
        numbers = [int(each) for each in content[:start].split()[: 2 * int(count[1])]]
    except (zlib.error, ValueError):
        return b""
    places = [*(start + at for at in numbers[1::2]), len(content)]
    return b"".join(
        b"\n%d 0 obj\n%s\nendobj" % (number, content[at:until])
        for number, at, until in zip(numbers[::2], places, places[1:], strict=False)
    )
