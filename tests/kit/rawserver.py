"""A server made of bare sockets, for answers that no decent HTTP server would give."""

import base64
import contextlib
import hashlib
import io
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from pydantic import SecretStr

from faxdrop.sipgate import Answer, Outcome, Sipgate
from tests.kit.waiting import PATIENCE

TOKEN = "a-very-secret-token"  # noqa: S105 - opens nothing
LOGIN = base64.b64encode(f"token-1:{TOKEN}".encode())
SMALL = b"%PDF-1.4 a small one\n%%EOF\n"
LARGE = bytes(range(256)) * 4 * 1024 * 8  # 8 MiB: more than the sockets' buffers take

Behaviour = Callable[["Call"], None]


class Call:
    """One connection: what arrived on it, and ways to misbehave."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self.sock = sock
        self.stop = stop  # set when the test is over
        self.head = b""
        self.body = b""

    def read_head(self) -> bytes:
        """Read up to the empty line; what has come of the body counts as read."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                break
            data += more
        self.head, _, self.body = data.partition(b"\r\n\r\n")
        return self.head

    @property
    def length(self) -> int:
        """The announced length of the body."""
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self.head)
        return int(found[1]) if found else 0

    def read_body(self, leave: int = 0) -> bytes:
        """Read the rest of the body except its last ``leave`` bytes."""
        while len(self.body) < self.length - leave:
            more = self.sock.recv(min(65536, self.length - leave - len(self.body)))
            if not more:
                break
            self.body += more
        return self.body

    def read(self) -> None:
        """Read the whole request."""
        self.read_head()
        self.read_body()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Send a whole answer, after which the connection closes."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        self.send("\r\n".join([*lines, *headers, "", ""]).encode() + body)

    def drip(self, data: bytes) -> None:
        """Send bytes one by one, as long as the client listens."""
        for byte in data:
            self.send(bytes([byte]))
            if self.stop.wait(0.02):
                return

    def wait(self) -> None:
        """Do nothing until the client goes away or the test is over."""
        self.sock.settimeout(0.05)
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.sock.recv(65536):
                    return

    def reset(self) -> None:
        """Close with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class RawServer:
    """Gives each connection the next behaviour; the last one serves all that follow."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self._behaviours = list(behaviours)
        self._tls = tls
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/v2"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number = min(len(self.calls), len(self._behaviours) - 1)
            call = Call(sock, self._stop)
            self.calls.append(call)
            thread = threading.Thread(target=self._serve, args=(call, self._behaviours[number]))
            self._threads.append(thread)
            thread.start()

    def _serve(self, call: Call, behave: Behaviour) -> None:
        call.sock.settimeout(2 * PATIENCE)
        with self._closing(call), contextlib.suppress(OSError):
            if self._tls is not None:
                call.sock = self._tls.wrap_socket(call.sock, server_side=True)
            behave(call)

    @contextlib.contextmanager
    def _closing(self, call: Call) -> Iterator[None]:
        first = call.sock
        try:
            yield
        finally:
            call.sock.close()
            first.close()


_CLOSED = socket.socket()
_CLOSED.bind(("127.0.0.1", 0))  # never to listen, and never to be chosen for anybody else


def closed_port() -> int:
    """Return a port on which nobody listens."""
    port: int = _CLOSED.getsockname()[1]
    return port


ENOUGH = PATIENCE / 2  # seconds for an answer, where its time is not the point


def sipgate(url: str, timeout: float = ENOUGH, clock: Callable[[], float] = time.time) -> Sipgate:
    """Return a client for a base URL."""
    return Sipgate(url, "token-1", SecretStr(TOKEN), timeout, clock=clock)


def submit(
    url: str,
    data: bytes = SMALL,
    *,
    timeout: float = ENOUGH,
    document: Any = None,
    sha256: str = "",
    before_last: Callable[[], None] = lambda: None,
) -> Answer:
    """Submit a document once."""
    with sipgate(url, timeout) as client:
        return client.submit(
            faxline="f0",
            recipient="+492111234567",
            filename="letter.pdf",
            document=document or io.BytesIO(data),
            size=len(data),
            sha256=sha256 or hashlib.sha256(data).hexdigest(),
            before_last=before_last,
        )


def outcome_of(*behaviours: Behaviour, data: bytes = SMALL, timeout: float = ENOUGH) -> Outcome:
    """Return the outcome of a submission to a server with these behaviours."""
    with RawServer(*behaviours) as server:
        return submit(server.url, data, timeout=timeout).outcome


def answering(status: str, body: bytes = b"", *headers: str) -> Behaviour:
    """Return a behaviour that reads the request and answers it."""

    def behave(call: Call) -> None:
        call.read()
        call.answer(status, body, *headers)

    return behave


taking = answering("200 OK", b'{"sessionId": "4711"}')


class Elapsed:
    """Asserts that something ends in time."""

    def __init__(self, most: float) -> None:
        self._most = most

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self._began < self._most
