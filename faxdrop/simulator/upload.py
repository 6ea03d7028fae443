"""Reads one fax from the body of a POST: a JSON object with a PDF in base64.

The PDF is read with regular expressions, never with a parser that could crash or hang: the
simulator does not have to judge PDFs.
"""

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

MAX_CHARACTERS = 28_330_000  # of base64Content, from sipgate's API description
_MAX_BODY = MAX_CHARACTERS + (1 << 20)  # bytes; what is more is dropped
_END = 1024  # bytes at either end of a PDF that its marks may lie in
_MAX_INFLATED = 1 << 23  # bytes of all object streams of a PDF together

_STREAM = re.compile(rb">>\s*stream\r?\n?(.*?)endstream", re.DOTALL)
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm")
_PAGES_NODE = re.compile(rb"/Type\s*/Pages(?![A-Za-z])")
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,9})")
_FIRST = re.compile(rb"/First\s+(\d{1,9})")
_OBJECTS = re.compile(rb"/N\s+(\d{1,9})")
_FIELD = re.compile(rb"/FT\s*/(?:Tx|Btn|Ch)")


@dataclass(slots=True)
class SubmissionBody:
    """The body of one POST /sessions/fax. Feed it all pieces, read it, then ask."""

    characters: int = 0  # of base64Content
    document: bytes | None = None  # None where it was no base64
    too_large: bool = False
    _body: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        if len(self._body) + len(data) > _MAX_BODY:
            self.too_large = True
        else:
            self._body += data

    def read(self) -> dict[str, object]:
        """Return the JSON object without its base64Content, which is decoded.

        Raises ValueError where the body is no JSON object.
        """
        body = json.loads(self._body)
        self._body.clear()
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004 - as json.loads raises
        content = body.pop("base64Content", None)
        if isinstance(content, str):
            self.characters = len(content)
            self.too_large = self.characters > MAX_CHARACTERS
            try:
                self.document = base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError):
                self.document = None
        return body

    @property
    def sha256(self) -> str:
        """The document's SHA-256, hexadecimal; empty where it was no base64."""
        return "" if self.document is None else hashlib.sha256(self.document).hexdigest()


@dataclass(frozen=True, slots=True)
class PdfLook:
    """What a look at a PDF tells."""

    pages: int  # the page tree's count; where no tree was seen, how many page objects were
    can_be_faxed: (
        bool  # False for what sipgate takes and then fails: no PDF, form fields, a password
    )


def look_at(document: bytes | None) -> PdfLook:
    """Look at a document; None is one that was no base64."""
    if document is None or b"%PDF-" not in document[:_END] or b"%%EOF" not in document[-_END:]:
        return PdfLook(0, can_be_faxed=False)
    count: int | None = None  # of the last page tree's root in the file
    page_objects = 0
    wrong = False
    for text in _objects(document):
        if _PAGES_NODE.search(text):
            found = _COUNT.search(text)
            if found and b"/Parent" not in text:
                count = int(found[1])
        elif _PAGE.search(text):
            page_objects += 1
        wrong |= bool(_FIELD.search(text)) or (b"/Encrypt" in text and b"/Root" in text)
    pages = page_objects if count is None else count
    return PdfLook(pages, can_be_faxed=bool(pages) and not wrong)


def _objects(document: bytes) -> Iterator[bytes]:
    """Yield the text of each object outside of streams, and of those in object streams."""
    at, room = 0, _MAX_INFLATED
    for stream in _STREAM.finditer(document):
        *before, dictionary = document[at : stream.start()].split(b"endobj")
        yield from before
        yield dictionary
        at = stream.end()
        if _OBJECT_STREAM.search(dictionary):
            text = _inflated(dictionary, stream[1], room)
            room -= len(text)
            yield from _packed(dictionary, text)
    yield from document[at:].split(b"endobj")


def _inflated(dictionary: bytes, data: bytes, room: int) -> bytes:
    """Return what a stream holds, as far as there is room; nothing where it is broken."""
    if b"/FlateDecode" not in dictionary:
        return data[:room]
    try:
        return zlib.decompressobj().decompress(data, room) if room > 0 else b""
    except zlib.error:
        return b""


def _packed(dictionary: bytes, text: bytes) -> list[bytes]:
    """Return the objects of an object stream, cut where its own table says."""
    first, objects = _FIRST.search(dictionary), _OBJECTS.search(dictionary)
    if first is None or objects is None:
        return []
    begin = int(first[1])
    try:
        table = text[:begin].split()[1 : 2 * int(objects[1]) : 2]
        starts = [begin + int(offset) for offset in table]
    except ValueError:
        return []
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]
