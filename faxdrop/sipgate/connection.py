"""A connection that knows how far a request got, and holds its answer to a deadline.

``transport`` is built on it; it is made of urllib3's connections. It promises:

* ``Upload.handed_over`` is false only if the last byte of a POST's body was certainly not given to
  the network: such a request cannot have been taken. In any doubt it is true.
* From the end of a request to the last byte of its answer, no more than the connection's time-out
  passes, however slowly head and body arrive; this needs no second thread.
* An upload takes constant memory, and stops as soon as the server refuses or goes away.
"""

import base64
import contextlib
import errno
import functools
import hashlib
import http.client
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, BinaryIO

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.wait import wait_for_read

from faxdrop.words import _

GRACE_SECONDS = 5.0  # for the answer of a server that stopped listening in mid-upload
SLOWEST_UPLOAD = 2048  # bytes a second over a whole upload; below it, the line is as good as dead
BLOCK = 48 * 1024  # bytes of a document read at once: a multiple of 3, so base64 needs no padding
PIECE = 16 * 1024  # bytes sent at once: one TLS record, so that each send shows progress
EARLY = 4096  # bytes of an answer that are looked at while the body is still being sent

# The status line of a refusal, first or behind interim answers (100 Continue and the like).
_REFUSAL = re.compile(rb"(?:\A|\r?\n\r?\n)HTTP/1\.[01] [345][0-9][0-9]")


class DocumentChanged(Exception):  # noqa: N818 - what happened, not whose error
    """The document cannot be read or is not the one that was checked; nothing was submitted."""


class Withheld(Exception):  # noqa: N818 - what happened, not whose error
    """The last byte was not handed over, for ``error``; nothing was submitted."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Upload:
    """The body of one POST: a JSON object whose last field is a document in base64.

    It is made while it is sent. The closing brace, without which nobody can read the object, is
    withheld until the whole document has proved to have this ``size`` (bytes) and ``sha256``
    (hexadecimal), and until ``before_last`` has returned. If that raises, the upload ends with
    Withheld.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        field: str,
        document: BinaryIO,
        size: int,
        sha256: str,
        before_last: Callable[[], None] = lambda: None,
    ) -> None:
        opening = json.dumps(dict(fields))[:-1] + f', {json.dumps(field)}: "'
        self.timeout = 100.0  # seconds in which each send must make progress
        self.handed_over = False
        self.trouble: Exception | None = None  # what ended the sending before its time
        self._opening = opening.encode("ascii")
        self._document = document
        self._size = size
        self._sha256 = sha256
        self._before_last = before_last
        self._length = len(self._opening) + 4 * -(-size // 3) + len('"}')
        self._started: float | None = None
        self._begun = False

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        if self._begun:
            raise RuntimeError("an upload is sent once")
        self._begun = True
        digest = hashlib.sha256()
        ready = self._opening
        for block in self._blocks():
            digest.update(block)
            if len(ready) >= BLOCK:
                yield ready
                ready = b""
            ready += base64.b64encode(block)
        if digest.hexdigest() != self._sha256:
            raise DocumentChanged("the document is not the one that was checked")
        yield ready + b'"'
        try:
            self._before_last()
        except Exception as error:
            raise Withheld(error) from error
        self.handed_over = True  # said before it is done: an interruption leaves the doubt
        yield b"}"

    def _blocks(self) -> Iterator[bytes]:
        left = self._size
        try:
            self._document.seek(0)
            while left:
                block = bytearray()
                while len(block) < min(BLOCK, left):
                    piece = self._document.read(min(BLOCK, left) - len(block))
                    if not piece:
                        raise DocumentChanged("the document became shorter")
                    block += piece
                left -= len(block)
                yield bytes(block)
            if self._document.read(1):
                raise DocumentChanged("the document became longer")
        except (OSError, ValueError) as error:  # ValueError: the file was closed
            raise DocumentChanged(f"the document cannot be read: {error}") from error

    def patience(self) -> float:
        """Return how many seconds the next send may take; raise TimeoutError when none are left."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        left = self._started + self.timeout + self._length / SLOWEST_UPLOAD - now
        if left <= 0:
            raise TimeoutError(_("the upload took too long"))
        return min(self.timeout, left)


class _Stopped(Exception):  # noqa: N818 - a way out, not an error
    """The server no longer listens, or has refused already: sending on is useless."""


class _Until(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes arrive."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, early: bytes) -> None:
        self._sock = sock
        self._raw = raw
        self._early = early
        # At this moment the socket's own time-out is the one for the whole answer.
        self._ends = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._early:
            size = min(len(buffer), len(self._early))
            buffer[:size], self._early = self._early[:size], self._early[size:]
            return size
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(_("the answer took too long"))
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read under a deadline, starting with what was read of it already."""

    def __init__(self, sock: Any, *args: Any, early: bytes = b"", **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_Until(sock, raw, early))

    def begin(self) -> None:
        """Read the head of the answer, and skip what comes before it as "103 Early Hints" does.

        http.client takes every interim answer but 100 for the answer itself.
        """
        super().begin()
        while 100 < self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:  # noqa: PLR2004 - interim
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first head
            super().begin()


class _Connection(HTTPConnection):
    """A connection that knows whether an upload's last byte was handed over."""

    response_class = _Answer
    _upload: Upload | None = None
    _early = b""

    def request(  # type: ignore[override]  # as in the class above
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._upload = body if isinstance(body, Upload) else None
        self._early = b""
        with contextlib.suppress(_Stopped):  # an answer that came all the same can be read
            super().request(method, url, body, headers, **options)

    def send(self, data: Any) -> None:
        upload = self._upload
        if upload is None:
            super().send(data)
            return
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            if self._is_over(upload):
                upload.handed_over = False  # the last byte is still here
                raise _Stopped
            self._push(upload, view[start : start + PIECE])

    def _push(self, upload: Upload, piece: memoryview) -> None:
        while piece:
            try:
                patience = upload.patience()
            except TimeoutError as error:
                upload.trouble, upload.handed_over = error, False  # this piece is still here
                raise _Stopped from error
            try:
                self.sock.settimeout(patience)
                sent = self.sock.send(piece)
            except OSError as error:
                upload.trouble = error
                # Only these say for certain that the kernel did not take the piece. (A time-out in
                # TLS may leave a part of a record behind; the doubt matters for the last byte.)
                if isinstance(error, ConnectionError):
                    upload.handed_over = False
                raise _Stopped from error
            piece = piece[sent:]

    def _is_over(self, upload: Upload) -> bool:
        """Look, without waiting, whether the server has refused or gone away."""
        if len(self._early) < EARLY:
            if not wait_for_read(self.sock, 0):
                return False
            self.sock.settimeout(0)
            try:
                got = self.sock.recv(EARLY)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError as error:
                upload.trouble = error
                return True
            if not got:  # without a way back there can be no answer
                upload.trouble = ConnectionResetError(errno.ECONNRESET, _("closed by the server"))
                return True
            self._early += got
        return _REFUSAL.search(self._early) is not None

    def getresponse(  # type: ignore[override]  # as in the class above
        self,
    ) -> urllib3.HTTPResponse:
        if self._upload is not None and self._upload.trouble is not None:
            self.timeout = min(self._upload.timeout, GRACE_SECONDS)
        self.response_class = functools.partial(  # type: ignore[assignment]  # called as a class is
            _Answer, early=self._early
        )
        return super().getresponse()


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class Pool(HTTPConnectionPool):
    """Makes these connections where urllib3 would make its own."""

    ConnectionCls = _Connection


class TlsPool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = _TlsConnection


class _Once:
    """Keeps no connection alive: each request gets a new one."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()
        super()._put_conn(conn)  # type: ignore[misc]  # the pool that this is mixed into


class _OncePool(_Once, Pool):
    """For one request a connection."""


class _OnceTlsPool(_Once, TlsPool):
    """The same over TLS."""


Pools = dict[str, type[HTTPConnectionPool]]  # by scheme
POOLS: Pools = {"http": Pool, "https": TlsPool}
ONCE: Pools = {"http": _OncePool, "https": _OnceTlsPool}  # no connection is used again
