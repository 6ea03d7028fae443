"""HTTP/1.1 connections whose answers may go wrong on purpose, down to the socket.

Owns one connection from accept to close: reading requests (keep-alive, pipelining, chunked bodies,
``Expect: 100-continue``), writing answers, and the ways in which an answer can fail to arrive. It
knows nothing about faxes: an `Application` says what to answer. Everything runs in one event loop;
bodies are handed on piece by piece and never collected here.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, unquote

_MAX_HEAD = 1 << 16
_DRIP_INTERVAL = 0.05  # seconds between two bytes of an answer that drips
_ENDLESS = 10**12  # bytes that an endless answer promises
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close() sends RST


class Manner(StrEnum):
    """How an answer travels."""

    WHOLE = "whole"
    STALE = "stale"  # whole, and then the connection is closed without a word
    RESET = "reset"  # no answer: the connection is reset
    CLOSED = "closed"  # no answer: the connection is closed in good order
    DRIP = "drip"  # the body comes a byte at a time and never ends
    DRIP_HEAD = "drip-head"  # even the headers do
    ENDLESS = "endless"  # the body comes as fast as it is read and never ends


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer, how, and after how many seconds."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = Manner.WHOLE
    delay: float = 0.0


class Sink(Protocol):
    """Where a body goes."""

    def feed(self, data: bytes, /) -> None:
        """Take the next piece."""


@dataclass(slots=True)
class Small:
    """A body that is small; more than a mebibyte of it is dropped."""

    data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        """Keep the next piece."""
        if len(self.data) < 1 << 20:
            self.data += data


@dataclass(slots=True)
class Request:
    """One request; its body has gone to ``sink``."""

    method: str
    path: str  # decoded, without the query
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    public: bool  # came in at the public port, not at the control port
    arrived: float = 0.0  # when its headers were complete, by the application's clock
    kind: str = ""  # the application's name for it
    behaviour: "str | Answer | None" = None  # decided on before the body arrived
    cut: bool = False  # reset the connection instead of reading the body
    sink: Sink = field(default_factory=Small)

    @property
    def closing(self) -> bool:
        """Whether the client wants the connection closed after the answer."""
        return "close" in self.headers.get("connection", "").lower()


class Application(Protocol):
    """Decides what is answered. Called in the event loop, one call at a time."""

    def opened(self, request: Request, /) -> None:
        """Look at a request whose headers have arrived; may set where its body goes."""

    def answer(self, request: Request, /) -> Answer:
        """Answer a request that has arrived to its last byte."""

    def now(self) -> float:
        """Tell the time in seconds since 1970, for the Date header."""


class Connection(asyncio.Protocol):
    """One client's connection, from accept to close."""

    def __init__(
        self, application: Application, open_ones: "set[Connection]", *, public: bool
    ) -> None:
        self._application = application
        self._open_ones = open_ones
        self.public = public
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._request: Request | None = None
        self._body: _Body | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False  # an answer is under way
        self._ended = False  # the client will send no more
        self._paused = False  # the client does not read what it gets
        self._pouring = False  # the answer under way is endless

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what TCP gives
        self._transport = transport
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End: whatever was still to be answered is dropped."""
        self._open_ones.discard(self)
        self._transport = None
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._busy:
            self._buffer += data
            if len(self._buffer) > _MAX_HEAD and self._transport:
                self._transport.pause_reading()
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._advance()

    def eof_received(self) -> bool:
        """Keep the connection while an answer is under way: the client may still read."""
        self._ended = True
        return self._busy

    def pause_writing(self) -> None:
        """Stop an endless answer: the client does not read as fast."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with an endless answer."""
        self._paused = False
        if self._pouring:
            self._pour()

    def abort(self, *, reset: bool = False) -> None:
        """End the connection at once; with ``reset`` the client sees a reset."""
        if self._transport is None:
            return
        if reset:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _advance(self) -> None:
        while self._transport and not self._transport.is_closing() and not self._busy:
            if self._request is None and not self._read_head():
                return
            request, body = self._request, self._body
            if request is None or body is None:
                return
            if request.cut:
                self.abort(reset=True)
                return
            try:
                self._buffer = body.feed(self._buffer, request.sink)
            except ValueError:
                self._send(None, Answer(400, b"bad chunk", "text/plain"))
                return
            if not body.complete:
                return
            self._request = self._body = None
            self._begin_answer(request, self._application.answer(request))

    def _read_head(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > _MAX_HEAD:
                self._send(None, Answer(431, b"", "text/plain"))
            return False
        self._buffer = rest
        try:
            request = _parse_head(head, public=self.public)
            body = _Body(request.headers)
        except ValueError:
            self._send(None, Answer(400, b"bad request", "text/plain"))
            return False
        self._application.opened(request)
        self._request, self._body = request, body
        if self._transport and "100-continue" in request.headers.get("expect", "").lower():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _begin_answer(self, request: Request, answer: Answer) -> None:
        if not answer.delay:
            self._send(request, answer)
            return
        self._busy = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(answer.delay, self._send_late, request, answer)

    def _send_late(self, request: Request, answer: Answer) -> None:
        self._busy = False
        self._send(request, answer)
        if self._transport and not self._busy:
            self._transport.resume_reading()
            self._advance()

    def _send(self, request: Request | None, answer: Answer) -> None:
        transport = self._transport
        if transport is None:
            return
        if answer.manner is Manner.RESET:
            self.abort(reset=True)
            return
        if answer.manner is Manner.CLOSED:
            transport.close()
            return
        closing = request is None or self._ended or request.closing
        endless = answer.manner in (Manner.DRIP, Manner.DRIP_HEAD, Manner.ENDLESS)
        head = self._head(answer, _ENDLESS if endless else len(answer.body), closing=closing)
        if endless:
            self._busy = True
            drips = answer.manner is not Manner.ENDLESS
            sent = 0 if answer.manner is Manner.DRIP_HEAD else len(head)
            transport.write(head[:sent])
            self._drip(head[sent:] + answer.body) if drips else self._pour()
            return
        body = b"" if request is not None and request.method == "HEAD" else answer.body
        transport.write(head + body)
        if closing or answer.manner is Manner.STALE:
            transport.close()

    def _head(self, answer: Answer, length: int, *, closing: bool) -> bytes:
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [
            f"HTTP/1.1 {answer.status} {phrase}",
            f"Date: {formatdate(self._application.now(), usegmt=True)}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        if closing:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drip(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data[:1] or b" ")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_DRIP_INTERVAL, self._drip, data[1:])

    def _pour(self) -> None:
        self._pouring = True
        if self._transport and not self._transport.is_closing() and not self._paused:
            self._transport.write(b" " * (1 << 16))
            if not self._paused:  # other connections want their turn
                asyncio.get_running_loop().call_soon(self._pour)


class _Part(StrEnum):
    """What of a body comes next."""

    BYTES = "bytes"  # of a body of known length, or of a chunk
    SIZE = "size"  # a line with the size of a chunk
    GAP = "gap"  # the empty line after a chunk
    TRAILER = "trailer"  # lines after the last chunk, up to an empty one
    NOTHING = "nothing"  # the body is complete


class _Body:
    """Where in its body a request is."""

    def __init__(self, headers: dict[str, str]) -> None:
        """Raise ValueError where the headers make no sense."""
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise ValueError(length)
        self._left = 0 if self._chunked else int(length)  # bytes
        self._next = _Part.SIZE if self._chunked else _Part.BYTES

    @property
    def complete(self) -> bool:
        """Whether the body has arrived to its last byte."""
        return self._next is _Part.NOTHING

    def feed(self, data: bytes, sink: Sink) -> bytes:
        """Hand the body's part of data on; return what is left over. Raises ValueError."""
        while not self.complete:
            if self._next is _Part.BYTES:
                piece = data if len(data) <= self._left else data[: self._left]
                if piece:
                    sink.feed(piece)
                self._left -= len(piece)
                data = data[len(piece) :]
                if self._left:
                    return data
                self._next = _Part.GAP if self._chunked else _Part.NOTHING
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    if len(data) > _MAX_HEAD:
                        raise ValueError("a chunk without a size")
                    return data
                data = rest
                self._line(line)
        return data

    def _line(self, line: bytes) -> None:
        if self._next is _Part.SIZE:
            self._left = int(line.partition(b";")[0], 16)
            if self._left < 0:
                raise ValueError("a chunk of negative size")
            self._next = _Part.BYTES if self._left else _Part.TRAILER
        elif self._next is _Part.GAP:
            if line:
                raise ValueError("a chunk longer than its size")
            self._next = _Part.SIZE
        elif not line:
            self._next = _Part.NOTHING


def _parse_head(head: bytes, *, public: bool) -> Request:
    """Read a request's head. Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers[name.strip().lower()] = value.strip()
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    path, _, query = target.partition("?")
    return Request(method, unquote(path), parse_qs(query, keep_blank_values=True), headers, public)
