"""HTTP/1.1 on loopback whose answers may go wrong on purpose, down to the socket.

Python's own server reads the requests, with a thread for each connection. This module adds request
bodies, the ways in which an answer can fail to arrive, and two ports that stop at once however slow
the answers under way are. It knows nothing about faxes: an `Application` decides what to answer.
Bodies are passed on piece by piece and never collected.
"""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from faxdrop.names.loopback import is_loopback

_PIECE = 1 << 16  # bytes of a body that are handed on together
_LONGEST_LINE = 1 << 16  # bytes of a line between chunks
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
class Response:
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
    behaviour: "str | Response | None" = None  # decided on before the body arrived
    cut: bool = False  # reset the connection instead of reading the body
    sink: Sink = field(default_factory=Small)


class Application(Protocol):
    """Decides what is answered. One call at a time, whatever the threads."""

    def opened(self, request: Request, /) -> None:
        """Look at a request whose headers have arrived; may set where its body goes."""

    def answer(self, request: Request, /) -> Response:
        """Answer a request that has arrived to its last byte."""

    def now(self) -> float:
        """Tell the time in seconds since 1970, for the Date header."""


class Server:
    """Serves an application from `start` to `stop`; may be started again, on the same ports.

    The public port can be closed and opened again while the control port stays. Raises ValueError
    for a host that is not loopback.
    """

    def __init__(self, application: Application, host: str, port: int) -> None:
        if not is_loopback(host):
            raise ValueError(f"the simulator listens on loopback only, not on {host}")
        self.port = port  # 0: the next start chooses
        self.control_port = 0
        self._host = host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._application = application
        self._turn = threading.RLock()  # held by whoever asks the application
        self._kept: socket.socket | None = None
        self._public: _Port | None = None
        self._control: _Port | None = None

    def origin(self, port: int) -> str:
        """Return the address of a port, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listen; connections are let in from here on. Raises OSError where a port is taken."""
        with contextlib.ExitStack() as undo:
            kept = undo.enter_context(self._keep(self.port))
            public = self._open(kept.getsockname()[1], public=True)
            undo.callback(public.end)
            control = self._open(self.control_port, public=False)
            undo.pop_all()
        self.port, self.control_port = public.server_port, control.server_port
        self._kept, self._public, self._control = kept, public, control

    def stop(self) -> None:
        """End every connection and every thread, at once."""
        for port in (self._public, self._control):
            if port is not None:
                port.end()
                port.join()
        if self._kept is not None:
            self._kept.close()
        self._kept = self._public = self._control = None

    def set_open(self, *, is_open: bool) -> None:
        """Open or close the public port; closing it resets its connections too.

        In effect at the return. The kernel chooses a closed port for nobody else; raises OSError
        where somebody asked for that very one meanwhile.
        """
        with self._turn:
            if self._control is None or is_open == (self._public is not None):
                return
            if self._public is None:
                self._public = self._open(self.port, public=True)
            else:
                self._public.end()
                self._public = None

    def _keep(self, port: int) -> socket.socket:
        """Take a port without listening there, so that the kernel chooses it for nobody else.

        Who listens binds it once more, as Linux allows with SO_REUSEADDR (socket(7)).
        """
        kept = socket.socket(self._family)
        try:
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind((self._host, port))
        except OSError:
            kept.close()
            raise
        return kept

    def _open(self, port: int, *, public: bool) -> "_Port":
        address = self._host, port
        return _Port(address, self._family, self._application, self._turn, public=public)


class _Port(HTTPServer):
    """One listening port and its connections."""

    request_queue_size = 1024

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        application: Application,
        turn: threading.RLock,
        *,
        public: bool,
    ) -> None:
        self.address_family = family
        self.public = public
        self._application = application
        self._turn = turn
        self._ended = threading.Event()
        self._open_ones: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _ClientConnection)
        self._thread = threading.Thread(target=self._let_in, name="simulator", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind, without asking for the host's name as the standard library does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_port = self.socket.getsockname()[1]

    def end(self) -> None:
        """Close the port and reset its connections; nothing is asked of the application later."""
        with self._turn:
            self._ended.set()
            open_ones = list(self._open_ones)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self.server_close()
        for sock in open_ones:
            with contextlib.suppress(OSError):  # closed meanwhile
                _reset_on_close(sock)
                sock.shutdown(socket.SHUT_RDWR)  # wakes who reads or writes

    def join(self) -> None:
        """Wait for the threads of its connections. Must not be called from one of them."""
        with self._turn:
            threads = list(self._open_ones.values())
        for thread in threads:
            thread.join()

    def _let_in(self) -> None:
        """Accept connections until the end."""
        while True:
            try:
                sock, _address = self.socket.accept()
            except OSError:
                if self._ended.is_set():
                    return
                continue  # whoever waited has gone again
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            with self._turn:
                is_refused = self._ended.is_set()
                if not is_refused:
                    self._open_ones[sock] = thread
                    try:
                        thread.start()
                    except RuntimeError:  # the system has no thread for it now
                        del self._open_ones[sock]
                        is_refused = True
                if is_refused:
                    _reset_on_close(sock)
                    sock.close()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):  # the client has gone, or the port is at its end
                self.finish_request(sock, sock.getpeername())
        finally:
            self.shutdown_request(sock)
            with self._turn:
                del self._open_ones[sock]

    def shutdown_request(self, request: Any) -> None:
        """Close a connection in good order, or by a reset where that is wanted."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            request.close()
        else:
            super().shutdown_request(request)

    def opened(self, request: Request) -> None:
        """Tell the application. Raises ConnectionAbortedError at the port's end."""
        with self._turn:
            self._check()
            self._application.opened(request)

    def answer(self, request: Request) -> Response:
        """Ask the application. Raises ConnectionAbortedError at the port's end."""
        with self._turn:
            self._check()
            return self._application.answer(request)

    def date(self) -> str:
        """Return what the application's clock shows, as HTTP writes it."""
        return formatdate(self._application.now(), usegmt=True)

    def wait(self, seconds: float) -> None:
        """Wait so long. Raises ConnectionAbortedError at the port's end."""
        if self._ended.wait(seconds):
            self._check()

    def _check(self) -> None:
        if self._ended.is_set():
            raise ConnectionAbortedError


class _ClientConnection(BaseHTTPRequestHandler):
    """One client's connection, from accept to close."""

    protocol_version = default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Port

    def __getattr__(self, name: str) -> Any:
        """Serve every method alike: it is the application that knows them."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def send_error(self, code: int, *_: object) -> None:
        """Answer what is no request that HTTP knows."""
        self.close_connection = True
        self._send(Response(code, b"", "text/plain"))

    def handle_expect_100(self) -> bool:
        """Leave the answer to `_serve`, which first asks whether to read the body."""
        return True

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value.strip() for name, value in self.headers.items()}
        parsed = parse_qs(query, keep_blank_values=True)
        request = Request(self.command, unquote(path), parsed, headers, self.server.public)
        self.server.opened(request)
        if request.cut:
            self._reset()
            return
        if "100-continue" in headers.get("expect", "").lower():
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            for piece in self._body(headers):
                request.sink.feed(piece)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        answer = self.server.answer(request)
        if answer.delay:
            self.server.wait(answer.delay)
        self._send(answer)

    def _body(self, headers: dict[str, str]) -> Iterator[bytes]:
        """Yield the body in pieces. Raises ValueError for one that makes no sense."""
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            length = headers.get("content-length", "0")
            if not length.isdecimal():
                raise ValueError(length)
            yield from self._bytes(int(length))
            return
        while size := int(self._line().partition(b";")[0], 16):
            if size < 0:
                raise ValueError("a chunk of negative size")
            yield from self._bytes(size)
            if self._line():
                raise ValueError("a chunk longer than its size")
        while self._line():  # trailers
            pass

    def _bytes(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read1(min(left, _PIECE))
            if not piece:
                raise ConnectionAbortedError
            left -= len(piece)
            yield piece

    def _line(self) -> bytes:
        line = self.rfile.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ValueError("a line without an end")
        return line.rstrip(b"\r\n")

    def _send(self, answer: Response) -> None:
        match answer.manner:
            case Manner.RESET:
                self._reset()
            case Manner.CLOSED:
                self.close_connection = True
            case Manner.DRIP:
                self.wfile.write(self._head(answer, _ENDLESS))
                self._drip(answer.body)
            case Manner.DRIP_HEAD:
                self._drip(self._head(answer, _ENDLESS) + answer.body)
            case Manner.ENDLESS:
                self.wfile.write(self._head(answer, _ENDLESS))
                while True:
                    self.wfile.write(b" " * _PIECE)
            case Manner.WHOLE | Manner.STALE:
                body = b"" if self.command == "HEAD" else answer.body
                self.wfile.write(self._head(answer, len(answer.body)) + body)
                self.close_connection |= answer.manner is Manner.STALE

    def _head(self, answer: Response, length: int) -> bytes:
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [
            f"HTTP/1.1 {answer.status} {phrase}",
            f"Date: {self.server.date()}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in answer.headers),
            *(["Connection: close"] if self.close_connection else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drip(self, data: bytes) -> None:
        for byte in itertools.chain(data, itertools.repeat(ord(" "))):
            self.wfile.write(bytes([byte]))
            self.server.wait(_DRIP_INTERVAL)

    def _reset(self) -> None:
        _reset_on_close(self.connection)
        self.close_connection = True


def _reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
