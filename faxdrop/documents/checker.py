"""Has PDFs read away from the daemon, so that no document can hurt it.

The daemon starts the ``reader``, a process with a clean environment, and talks to it over a socket.
It never loads what reads PDFs, and takes nothing but JSON from there.

How a reader broke down decides what that says of the document. One that crashes twice is damaged.
One whose reader was killed from outside, for instance because the machine ran out of memory, is
read again, alone; and if that happens each time, that is what is said.
"""

import contextlib
import errno
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple, Self

from faxdrop.documents.verdict import Limits, Verdict, killed, too_slow
from faxdrop.words import _

__all__ = ["Checker", "CheckerError", "Limits", "Verdict"]

_MAX_ANSWER = 1 << 20  # bytes
_GRACE = 10.0  # seconds beyond the time limit, until the server is taken for dead
_REAPED = 5.0  # seconds within which the server says how a child ended
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_OUR_LIMITS = {signal.SIGALRM, signal.SIGXCPU}
_ENVIRONMENT = ("LANG", "LC_ALL", "PATH", "PYTHONHOME", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's library would fork with threads of its own
_READER = "faxdrop.documents.reader"


class CheckerError(OSError):
    """The reader cannot be started, or dies before it looks at anything: no document's fault."""


class _Ending(NamedTuple):
    """How a request ended."""

    lines: list[bytes]
    seconds: float  # it took
    closed: bool  # False: the other side is still there, but silent
    reader: int | None = None  # which child read; None: none said so


class _Break(Enum):
    """How a reader broke down, and at which time that is believed."""

    SILENT = auto()  # it died before it looked at anything, or we ended it
    SLOW = auto()  # it came to our limit of time
    KILLED = auto()  # from outside
    CRASHED = auto()  # by itself


_BELIEVED = {
    _Break.SILENT: 3,
    _Break.SLOW: 1,
    _Break.KILLED: 3,  # once beside others, then alone
    _Break.CRASHED: 2,  # the child may have read others before
}


class _Server:
    """The server's process, the socket to it, and what it says of its children's ends."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, ends: int) -> None:
        self.process = process
        self.socket = sock
        self._ends = ends
        self._lock = threading.Lock()  # over the two below, and who reads
        self._unread = b""
        self._ended: dict[int, int] = {}  # child -> its exit status, negative: a signal
        self._is_gone = False
        self.is_stopped = False  # by us

    def end(self) -> int | None:
        """Return how the server itself ended; None while it is there."""
        if self._is_gone:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(_REAPED)
        return self.process.poll()

    def end_of(self, reader: int) -> int | None:
        """Return how a child ended; None if the server has died, or does not know of its end."""
        deadline = time.monotonic() + _REAPED
        poll = select.poll()
        with self._lock:
            if self.is_stopped:
                return None
            poll.register(self._ends, select.POLLIN)
            while reader not in self._ended:
                left = deadline - time.monotonic()
                if left <= 0 or not poll.poll(math.ceil(left * 1000)):
                    return None
                piece = os.read(self._ends, 1 << 16)
                if not piece:
                    self._is_gone = True
                    return None
                *lines, self._unread = (self._unread + piece).split(b"\n")
                for line in lines:
                    child, _, status = line.partition(b" ")
                    self._ended[int(child)] = int(status)
            return self._ended.pop(reader)

    def stop(self) -> None:
        """End it, and its children with it."""
        self.is_stopped = True
        self.socket.close()
        self.process.kill()
        self.process.wait()
        with self._lock:
            os.close(self._ends)


class _Turns:
    """Lets readers read beside each other, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reading = 0
        self._alone = False
        self.waiting = 0  # for the others to be done

    @contextlib.contextmanager
    def beside_others(self) -> Iterator[None]:
        """Read beside others, but not beside one that is to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._alone or self.waiting))
            self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Read when all others are done; who comes meanwhile, waits."""
        with self._changed:
            self.waiting += 1
            try:
                self._changed.wait_for(lambda: not (self._alone or self._reading))
                self._alone = True
            finally:
                self.waiting -= 1
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class Checker:
    """Checks documents, one or many at a time. Thread-safe; idle, it costs nothing.

    The server is started when first needed, or by ``start``, and again whenever it has died.
    """

    def __init__(self, limits: Limits, *, reader: str = _READER) -> None:
        self.limits = limits  # may be changed at any time: they go with each document
        self._reader = reader  # the module that is the server
        self._lock = threading.Lock()  # over the next
        self._server: _Server | None = None
        self._turns = _Turns()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server without waiting for it; raises CheckerError."""
        self._connected()

    def close(self) -> None:
        """Stop the server. A check under way ends with CheckerError, or starts it again."""
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

        Raises OSError where it is the storage that fails, TimeoutError where that is too slow, and
        CheckerError where there is no reader to be had.
        """
        return self._asked(fd)

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Read the PDF in an open file and write its copy to another; see ``document.prepare``.

        The output must be empty at first, and is not synced. Raises as ``check`` does.
        """
        return self._asked(fd, output_fd)

    # -- inside -----------------------------------------------------------------------------

    def _asked(self, *fds: int) -> Verdict:
        broken: Counter[_Break] = Counter()
        while True:
            alone = broken[_Break.KILLED] > 0
            with self._turns.alone() if alone else self._turns.beside_others():
                server = self._connected()
                ending = self._exchange(server, fds)
            if not ending.closed:
                self._discard(server)
                raise TimeoutError(_("the document could not be read in time"))
            verdict = _final(ending.lines)
            if verdict is not None and not verdict.provisional:
                return verdict
            known = Verdict.model_validate_json(ending.lines[0]) if ending.lines else None
            how = self._how_it_broke(server, ending)
            if known is None or server.end() is not None:
                self._discard(server)
            broken[how] += 1
            if broken[how] == _BELIEVED[how]:
                return verdict or _given_up(how, known, self.limits.seconds)
            _rewound(fds)

    def _how_it_broke(self, server: _Server, ending: _Ending) -> _Break:
        end = server.end_of(ending.reader) if ending.reader is not None else None
        if end is None:
            end = server.end()
        died_of = -end if end is not None else 0
        if died_of in _FROM_OUTSIDE and not server.is_stopped:
            return _Break.KILLED
        if ending.seconds >= self.limits.seconds or died_of in _OUR_LIMITS:
            return _Break.SLOW
        return _Break.CRASHED if ending.lines and not server.is_stopped else _Break.SILENT

    def _exchange(self, server: _Server, fds: tuple[int, ...]) -> _Ending:
        reading, writing = os.pipe()
        started = time.monotonic()
        try:
            try:
                request = json.dumps(asdict(self.limits)).encode()
                socket.send_fds(server.socket, [request], [fds[0], writing, *fds[1:]])
            except OSError:
                return _Ending([], 0.0, closed=True)
            finally:
                os.close(writing)
            answer, closed = _received(reading, started + self.limits.seconds + _GRACE)
        finally:
            os.close(reading)
        lines = [line for line in answer.split(b"\n")[:-1] if line]  # whole lines only
        reader = _reader_in(lines[0]) if lines else None
        return _Ending(lines[1:], time.monotonic() - started, closed, reader)

    def _connected(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _started(self._reader)
            return self._server

    def _discard(self, server: _Server | None) -> None:
        """Stop the server, unless it is another one by now."""
        with self._lock:
            known = self._server
            if known is None or (server is not None and server is not known):
                return
            self._server = None
        known.stop()


def _started(reader: str) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends, telling = os.pipe()
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= _ONE_THREAD
    # This very package, wherever it was imported from.
    here = str(Path(__file__).resolve().parents[2])
    known = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, known)))
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", reader],
            stdin=theirs.fileno(),
            stdout=telling,
            env=environment,
            cwd="/",
        )
    except OSError as error:
        ours.close()
        os.close(ends)
        raise CheckerError(
            error.errno, _("the PDF reader cannot be started: {error}").format(error=error)
        ) from error
    finally:
        theirs.close()
        os.close(telling)
    return _Server(process, ours, ends)


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
    """Return what to say of a document that cannot be read; raises OSError if it is not its fault.

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
        raise CheckerError(errno.ENOMEM, _("the PDF reader is killed again and again"))
    raise CheckerError(_("the PDF reader does not answer"))


def _reader_in(line: bytes) -> int | None:
    """Return which child a line says that it is, None if it says something else."""
    try:
        number = json.loads(line)["reader"]
    except (ValueError, TypeError, KeyError):
        return None
    return number if isinstance(number, int) else None


def _final(lines: list[bytes]) -> Verdict | None:
    """Return the last verdict; None if the child did not get so far, or wrote nonsense."""
    if not lines:
        return None
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
        number = answer.get("errno")
        verdict = None if number is not None else Verdict.model_validate(answer)
    except (ValueError, AttributeError):
        return None
    if isinstance(number, int):
        raise OSError(number, os.strerror(number))
    return verdict if len(lines) > 1 else None


def _rewound(fds: tuple[int, ...]) -> None:
    """Forget what a child may have written before it died."""
    if len(fds) > 1:
        os.lseek(fds[1], 0, os.SEEK_SET)
        os.truncate(fds[1], 0)
