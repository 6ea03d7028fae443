"""Reads one fax out of the body of a POST while it arrives, and keeps none of it.

Owns the three layers that a submitted document comes in: the JSON object, the base64 inside it, the
PDF inside that. Memory is bounded whatever the body is: what stays of a document of ten megabytes
are its SHA-256, its size and what a short look at its objects told. The PDF is read with regular
expressions, never with a parser that could crash or hang: this is a look-alike, not a judge.
"""

import binascii
import hashlib
import json
import re
import zlib
from itertools import pairwise

MAX_CHARACTERS = 28_330_000  # of base64Content, from sipgate's API description
_MAX_ENVELOPE = 1 << 20  # the JSON object without its document; ours alone
_MAX_OBJECT = 1 << 16  # of a PDF object outside streams that is looked at
_END = 1024  # bytes at either end of a PDF that its marks may lie in
_MAX_ESCAPE = len(r"\u002f")
_MAX_INFLATED = 1 << 23  # of all object streams of a PDF together

# In JSON a quote inside a string is escaped, so this can only be the key itself.
_CONTENT_KEY = re.compile(rb'(?<!\\)"base64Content"\s*:\s*"')
_ESCAPED = re.compile(rb'(?:[^"\\]+|\\u[0-9a-fA-F]{4}|\\[^u])*')
_OBJECT_ENDS = re.compile(rb"endobj|startxref|>>\s*stream(?=[\r\n])")
_PAGES_NODE = re.compile(rb"/Type\s*/Pages(?![A-Za-z])")
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,9})")
_FIRST = re.compile(rb"/First\s+(\d{1,9})")
_OBJECTS = re.compile(rb"/N\s+(\d{1,9})")
_FIELD = re.compile(rb"/FT\s*/(?:Tx|Btn|Ch)")


class PdfLook:
    """What a look at a PDF tells, chunk by chunk: pages, form fields, encryption, both ends."""

    def __init__(self) -> None:
        self.form = False  # has text fields, buttons or choices
        self.encrypted = False
        self._head = b""
        self._tail = b""
        self._rest = b""
        self._in_stream = False
        self._objects: _ObjectStream | None = None
        self._room = _MAX_INFLATED
        self._root_count: int | None = None  # of the last page tree root in the file
        self._page_objects = 0

    @property
    def pages(self) -> int:
        """The page tree's count; where no tree was seen, how many page objects were."""
        return self._page_objects if self._root_count is None else self._root_count

    @property
    def whole(self) -> bool:
        """Whether it begins and ends like a PDF."""
        return b"%PDF-" in self._head and b"%%EOF" in self._tail

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
        if len(self._head) < _END:
            self._head += data[: _END - len(self._head)]
        self._tail = (self._tail + data[-_END:])[-_END:]
        buffer = self._rest + data
        at = 0
        while True:
            after = self._stream(buffer, at) if self._in_stream else self._object(buffer, at)
            if after is None:
                return
            at = after

    def _object(self, buffer: bytes, at: int) -> int | None:
        end = _OBJECT_ENDS.search(buffer, at)
        if end is None:
            self._rest = buffer[max(at, len(buffer) - _MAX_OBJECT) :]
            return None
        text = buffer[at : end.end()]
        self._note(text)
        if end[0].endswith(b"stream"):
            self._in_stream = True
            self._objects = _ObjectStream(text, self._room) if b"/ObjStm" in text else None
        return end.end()

    def _stream(self, buffer: bytes, at: int) -> int | None:
        end = buffer.find(b"endstream", at)
        if end < 0:
            kept = max(at, len(buffer) - len(b"endstream") + 1)
            if self._objects:
                self._objects.feed(buffer[at:kept])
            self._rest = buffer[kept:]
            return None
        if self._objects:
            self._objects.feed(buffer[at:end])
            self._room -= self._objects.size
            for text in self._objects.texts():
                self._note(text)
        self._in_stream = False
        return end + len(b"endstream")

    def _note(self, text: bytes) -> None:
        if b"/Page" in text:
            if _PAGES_NODE.search(text):
                count = _COUNT.search(text)
                if count and b"/Parent" not in text:
                    self._root_count = int(count[1])
            elif _PAGE.search(text):
                self._page_objects += 1
        if b"/FT" in text and _FIELD.search(text):
            self.form = True
        if b"/Encrypt" in text and b"/Root" in text:
            self.encrypted = True


class _ObjectStream:
    """Objects that a PDF keeps compressed together; given up on silently where it is broken."""

    def __init__(self, dictionary: bytes, room: int) -> None:
        first, objects = _FIRST.search(dictionary), _OBJECTS.search(dictionary)
        self._first = int(first[1]) if first else 0
        self._objects = int(objects[1]) if objects else 0
        self._room = room
        self._inflate = zlib.decompressobj() if b"/FlateDecode" in dictionary else None
        self._text = bytearray()
        self._begun = False

    @property
    def size(self) -> int:
        """How many bytes it has been inflated to."""
        return len(self._text)

    def feed(self, data: bytes) -> None:
        """Inflate the next piece."""
        if not self._begun:
            data = data.lstrip(b"\r\n")  # the line end after the keyword; zlib never begins so
            self._begun = bool(data)
        room = max(0, self._room - len(self._text))
        if self._inflate is None:
            self._text += data[:room]
        elif data and room > 0 and not self._inflate.eof:
            try:
                self._text += self._inflate.decompress(data, room)
            except zlib.error:
                self._text.clear()
                self._first = 0

    def texts(self) -> list[bytes]:
        """Return the text of each object, cut where the stream's own table says."""
        table = bytes(self._text[: self._first]).split()[: 2 * self._objects]
        try:
            starts = [self._first + int(offset) for offset in table[1::2]]
        except ValueError:
            return []
        return [bytes(self._text[start:end]) for start, end in pairwise([*starts, len(self._text)])]


class Upload:
    """The body of one POST /sessions/fax. Feed it all pieces, then ask."""

    def __init__(self) -> None:
        self.characters = 0  # of base64Content
        self.bytes = 0  # of the document
        self.too_large = False
        self._envelope = bytearray()
        self._found = False
        self._inside = False
        self._cut = b""  # an escape sequence that a piece ended in the middle of
        self._quartet = b""  # base64 that waits for its four characters
        self._padded = False
        self._plain = True  # it is base64 so far
        self._sha256 = hashlib.sha256()
        self._look = PdfLook()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        while data:
            data = self._content(data) if self._inside else self._outside(data)

    def fields(self) -> dict[str, object]:
        """Return the JSON object, its base64Content replaced by how many characters it had.

        Raises ValueError where the body is no JSON object.
        """
        if self._inside:
            raise ValueError("the body ends inside base64Content")
        body = json.loads(bytes(self._envelope))
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004 - as json.loads raises
        if self._found and body.get("base64Content") == "":
            body["base64Content"] = self.characters
        return body

    @property
    def sha256(self) -> str:
        """The document's SHA-256, hexadecimal; empty where it was no base64."""
        return self._sha256.hexdigest() if self._is_base64 else ""

    @property
    def pages(self) -> int:
        """The document's pages; 0 where it cannot be read."""
        return self._look.pages if self._is_base64 and self._look.whole else 0

    @property
    def can_be_faxed(self) -> bool:
        """False for what sipgate takes and then fails: bad base64, no PDF, form fields."""
        look = self._look
        return bool(self.pages) and not look.form and not look.encrypted

    @property
    def _is_base64(self) -> bool:
        return self._plain and not self._quartet

    def _outside(self, data: bytes) -> bytes:
        if len(self._envelope) + len(data) > _MAX_ENVELOPE and self._found:
            self.too_large = True
            return b""
        begin = max(0, len(self._envelope) - 64)  # the key may lie across two pieces
        self._envelope += data
        key = None if self._found else _CONTENT_KEY.search(self._envelope, begin)
        if key is None:
            if len(self._envelope) > _MAX_ENVELOPE:
                self.too_large = True
                del self._envelope[64:-64]
            return b""
        rest = bytes(self._envelope[key.end() :])
        del self._envelope[key.end() :]
        self._found = self._inside = True
        return rest

    def _content(self, data: bytes) -> bytes:
        data = self._cut + data
        if b"\\" in data:  # some JSON writers escape every slash
            match = _ESCAPED.match(data)
            end = match.end() if match else 0
            piece = json.loads(b'"' + data[:end] + b'"', strict=False).encode()
        else:
            end = data.find(b'"')
            end = len(data) if end < 0 else end
            piece = data[:end]
        self._cut = b""
        self._decode(piece)
        rest = data[end:]
        if rest.startswith(b'"'):
            self._inside = False
            self._envelope += b'"'
            return rest[1:]
        self._cut = rest
        if len(rest) > _MAX_ESCAPE:  # this is no JSON
            self.too_large = True
            self._cut = b""
        return b""

    def _decode(self, piece: bytes) -> None:
        self.characters += len(piece)
        if self.characters > MAX_CHARACTERS:
            self.too_large = True
        if not self._plain or self.too_large:
            return
        piece = self._quartet + piece
        whole = len(piece) & ~3
        self._quartet = piece[whole:]
        if not whole:
            return
        try:
            data = binascii.a2b_base64(piece[:whole], strict_mode=True)
        except binascii.Error:
            self._plain = False
            return
        if self._padded:  # more after the padding
            self._plain = False
            return
        self._padded = piece[whole - 1 : whole] == b"="
        self.bytes += len(data)
        self._sha256.update(data)
        self._look.feed(data)
