"""Has PDFs read in another process, so that no document can harm the daemon.

The daemon starts the ``reader``, a process with a clean environment, and talks to it over a socket.
It never loads a PDF library, and accepts only JSON from the reader.

If a reader breaks down, the way it did so decides about the document. A document that makes readers
crash twice is damaged. If the reader was killed from outside, for instance because the machine ran
out of memory, the document is read again, alone; if that happens every time, the verdict says so.

A document may take over its reader, and the reader may hide this to be given the next document. So
a reader that has read another document before is believed only if it says that this document,
whose SHA-256 is compared here, is flawless. Whatever else it says or does, a fresh reader reads the
document again. A copy, which is what will be faxed, is always written by a fresh reader.
"""

import errno
import json
import math
import os
import queue
import select
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import NamedTuple, Self

from faxdrop.documents.server import CheckerError, ReaderServer, start_server
from faxdrop.documents.turns import Turns
from faxdrop.documents.verdict import Limits, Verdict, killed, too_slow
from faxdrop.spool.disk import sha256_of
from faxdrop.words import _

__all__ = ["Checker", "CheckerError", "Limits", "Verdict"]

SEATS = 4  # documents that are read at once
_FLAWLESS = 32  # documents that one reader reads at most
_MAX_ANSWER = 1 << 20  # bytes
_GRACE = 10.0  # seconds beyond the time limit, until the server is taken for dead
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_OUR_LIMITS = {signal.SIGALRM, signal.SIGXCPU}
_READER = "faxdrop.documents.reader"


@dataclass
class _Seat:
    """A place for one reader, which reads one document at a time."""

    number: int
    read: int = 0  # flawless documents that its reader has read; 0: the next one is to be fresh


class _Ending(NamedTuple):
    """How a request ended."""

    closed: bool  # False: the other side is still there, but silent
    reader: int | None = None  # which child read; None: none was found
    fresh: bool = True  # it had read nothing before
    first: bytes | None = None  # what it said first; None: it looked at nothing
    final: Verdict | OSError | None = None  # what it said at last; the file's trouble, if it is one
    seconds: float = 0.0  # it took

    @property
    def known(self) -> Verdict | None:
        """What holds if it broke down."""
        return _verdict_in(self.first) if self.first is not None else None

    @property
    def is_flawless(self) -> bool:
        """It was read whole, and there is nothing to say of it."""
        return self.is_whole and isinstance(self.final, Verdict) and self.final.is_flawless

    @property
    def is_whole(self) -> bool:
        """The reader said all that it had to say."""
        if isinstance(self.final, Verdict):
            return not self.final.provisional
        return self.final is not None


class _Break(Enum):
    """How a reader broke down, and after how many times that is believed."""

    SILENT = auto()  # it died before it looked at anything, or we ended it
    SLOW = auto()  # it came to our limit of time
    KILLED = auto()  # from outside
    CRASHED = auto()  # by itself


_BELIEVED = {
    _Break.SILENT: 3,
    _Break.SLOW: 1,
    _Break.KILLED: 3,  # once beside others, then alone
    _Break.CRASHED: 2,
}


class Checker:
    """Checks documents, one or many at a time. Thread-safe; idle, it costs nothing.

    The server is started when first needed, or by ``start``, and again whenever it has died.
    """

    def __init__(self, limits: Limits, *, reader: str = _READER) -> None:
        self.limits = limits  # may be changed at any time: they go with each document
        self._reader = reader  # the module that is the server
        self._lock = threading.Lock()  # over the next
        self._server: ReaderServer | None = None
        self._turns = Turns()
        self._seats: queue.SimpleQueue[_Seat] = queue.SimpleQueue()  # those that are free
        for number in range(SEATS):
            self._seats.put(_Seat(number))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server without waiting for it; raises CheckerError."""
        self._connected()

    def close(self) -> None:
        """Stop the server. A check under way ends with CheckerError, or starts the server again."""
        self._discard(None)

    @property
    def pid(self) -> int | None:
        """The server's process id, while there is one."""
        server = self._server
        return server.process.pid if server is not None else None

    @property
    def wait_to_be_alone(self) -> int:
        """How many checks wait until all others are done."""
        return self._turns.waiting

    def check(self, fd: int) -> Verdict:
        """Read the PDF in an open file; see ``document.examine``. Moves its position.

        Raises OSError if the storage fails, TimeoutError if it is too slow, and CheckerError if no
        reader can be started.
        """
        return self._asked(fd)

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Read the PDF in an open file and write its copy to another; see ``document.prepare``.

        The output must be empty at first, and is not synced. Raises as ``check`` does.
        """
        return self._asked(fd, output_fd)

    # -- inside -----------------------------------------------------------------------------

    def _asked(self, *fds: int) -> Verdict:
        seat = self._seats.get()
        try:
            return self._read_at(seat, fds)
        finally:
            self._seats.put(seat)

    def _read_at(self, seat: _Seat, fds: tuple[int, ...]) -> Verdict:
        broken: Counter[_Break] = Counter()
        makes_copy = len(fds) > 1
        if makes_copy or seat.read == _FLAWLESS:
            seat.read = 0
        while True:
            alone = broken[_Break.KILLED] > 0
            with self._turns.alone() if alone else self._turns.beside_others():
                server = self._connected()
                ending = self._exchange(server, seat, fds)
            if ending.is_flawless and (ending.fresh or _is_of(ending.final, fds[0])):
                seat.read = 0 if makes_copy else seat.read + 1
                return _told(ending.final)
            seat.read = 0
            if ending.fresh and ending.is_whole:
                return _told(ending.final)
            if not ending.closed:
                self._discard(server)
                if ending.fresh:
                    raise TimeoutError(_("the document could not be read in time"))
            elif ending.fresh:
                how = self._how_it_broke(server, ending)
                if ending.first is None or server.end() is not None:
                    self._discard(server)
                broken[how] += 1
                if broken[how] == _BELIEVED[how]:
                    known = ending.final or _given_up(how, ending.known, self.limits.seconds)
                    return _told(known)
            _rewound(fds)

    def _how_it_broke(self, server: ReaderServer, ending: _Ending) -> _Break:
        end = server.end_of(ending.reader) if ending.reader is not None else None
        if end is None:
            end = server.end()
        died_of = -end if end is not None else 0
        if died_of in _FROM_OUTSIDE and not server.is_stopped:
            return _Break.KILLED
        if ending.seconds >= self.limits.seconds or died_of in _OUR_LIMITS:
            return _Break.SLOW
        return _Break.CRASHED if ending.first and not server.is_stopped else _Break.SILENT

    def _exchange(self, server: ReaderServer, seat: _Seat, fds: tuple[int, ...]) -> _Ending:
        fresh = not seat.read
        reading, writing = os.pipe()
        started = time.monotonic()
        try:
            try:
                about = {"seat": seat.number, "fresh": fresh, "limits": asdict(self.limits)}
                request = json.dumps(about).encode()
                socket.send_fds(server.socket, [request], [fds[0], writing, *fds[1:]])
            except OSError:
                return _Ending(closed=True, fresh=fresh)
            finally:
                os.close(writing)
            answer, closed = _received(reading, started + self.limits.seconds + _GRACE)
        finally:
            os.close(reading)
        reader, *lines = answer.split(b"\n")[:-1] or [b""]  # whole lines only
        return _Ending(
            closed=closed,
            reader=_reader_in(reader),
            fresh=fresh,
            first=lines[0] if lines else None,
            final=_final_in(lines),
            seconds=time.monotonic() - started,
        )

    def _connected(self) -> ReaderServer:
        with self._lock:
            if self._server is None:
                self._server = start_server(self._reader)
            return self._server

    def _discard(self, server: ReaderServer | None) -> None:
        """Stop the server, unless it is another one by now."""
        with self._lock:
            known = self._server
            if known is None or (server is not None and server is not known):
                return
            self._server = None
        known.stop()


def _received(reading: int, deadline: float) -> tuple[bytes, bool]:
    """Read until the other side closes; the second is False if it has not by the deadline."""
    answer = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(answer) < _MAX_ANSWER:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(math.ceil(left * 1000)):
            return bytes(answer), False
        piece = os.read(reading, 1 << 16)
        if not piece:
            return bytes(answer), True
        answer += piece
    return b"", False


def _given_up(how: _Break, known: Verdict | None, seconds: float) -> Verdict:
    """Return the verdict on a document that cannot be read; OSError if that is not its fault.

    ``known`` is what the reader said before it broke down.
    """
    if known is not None and how is _Break.SLOW:
        return too_slow(known.sha256, known.bytes, seconds)
    if known is not None and how is _Break.KILLED:
        return killed(known.sha256, known.bytes, _BELIEVED[how])
    if known is not None and how is _Break.CRASHED:
        return known
    if how is _Break.SLOW:
        raise TimeoutError(_("the document could not be read in time"))
    if how is _Break.KILLED:
        raise CheckerError(errno.ENOMEM, _("the PDF reader is killed repeatedly"))
    raise CheckerError(_("the PDF reader does not answer"))


def _reader_in(line: bytes) -> int | None:
    """Return which child reads, as the server says; None if it says nothing."""
    return int(json.loads(line)["reader"]) if line else None


def _verdict_in(line: bytes) -> Verdict | None:
    """Return the verdict; None if a child wrote nonsense."""
    try:
        return Verdict.model_validate_json(line)
    except ValueError:
        return None


def _final_in(lines: list[bytes]) -> Verdict | OSError | None:
    """Return the last word; None if the child did not get so far, or wrote nonsense."""
    if not lines:
        return None
    try:
        number = json.loads(lines[-1])["errno"]
        return OSError(number, os.strerror(number))
    except (ValueError, TypeError, KeyError, OverflowError):
        return _verdict_in(lines[-1]) if len(lines) > 1 else None


def _is_of(verdict: Verdict | OSError | None, fd: int) -> bool:
    """Return whether a verdict is about this very document."""
    if not isinstance(verdict, Verdict):
        return False
    return (verdict.sha256, verdict.bytes) == (sha256_of(fd), os.fstat(fd).st_size)


def _told(final: Verdict | OSError | None) -> Verdict:
    if isinstance(final, Verdict):
        return final
    raise final or CheckerError(_("the PDF reader does not answer"))


def _rewound(fds: tuple[int, ...]) -> None:
    """Forget what a child may have written before it died."""
    if len(fds) > 1:
        os.lseek(fds[1], 0, os.SEEK_SET)
        os.truncate(fds[1], 0)
