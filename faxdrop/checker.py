"""Reads PDFs away from the daemon, so that no document can hurt it.

``python -m faxdrop.checker`` is a server that the daemon starts with a clean environment and talks
to over a socket, its standard input. It has the PDF reader loaded, and keeps a few children that
read one document at a time, each with a limit of time, memory and everything else. A child ends
with the first document that is anything but flawless, and after some dozen flawless ones: forking
one for each would cost more than all the rest of the check. The daemon itself never loads the
reader, and takes nothing but JSON from it.

A request is one datagram, the limits as JSON, with two or three open files: the document, the pipe
for the answer, and where a copy is wanted the file for it. The answer is some lines of JSON:
the verdict if the child should never be heard of again, as soon as the document's SHA-256 is known;
another such, where there is a copy that has yet to be judged; then the true one, or
``{"errno": n}`` where a file could not be read or written.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from faxdrop.verdict import Announce, Limits, Verdict, too_slow

__all__ = ["Checker", "CheckerError", "Limits", "Verdict"]

_MAX_ANSWER = 1 << 20  # bytes
_GRACE = 10.0  # seconds beyond the time limit, until the server is taken for dead
_TRIES = 3
_ENVIRONMENT = ("LANG", "LC_ALL", "PATH", "PYTHONHOME", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
_SPARE_FILES = 16
_READER = "faxdrop.checker"

CHILDREN = 4  # documents that are read at once
_FLAWLESS = 32  # documents that one child reads at most
_PR_SET_PDEATHSIG = 1
_GONE = 3  # the exit status of a child that found the daemon gone


class CheckerError(OSError):
    """The reader cannot be started, or dies before it looks at anything: no document's fault."""


class _Ending(NamedTuple):
    """How a request ended."""

    lines: list[bytes]
    seconds: float  # it took
    closed: bool  # False: the other side is still there, but silent


class Checker:
    """Checks documents, one or many at a time. Thread-safe; idle, it costs nothing.

    The server is started when first needed, or by ``start``, and again whenever it has died.
    """

    def __init__(self, limits: Limits, *, reader: str = _READER) -> None:
        self.limits = limits  # may be changed at any time: they go with each document
        self._reader = reader  # the module that is the server
        self._lock = threading.Lock()  # over the two below
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        return server.pid if server is not None else None

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
        again = 1  # crash that is not believed: something may have killed the child from outside
        for _ in range(_TRIES):
            sock = self._connected()
            ending = self._exchange(sock, fds)
            if not ending.closed:
                self._discard(sock)
                raise TimeoutError("the document could not be read in time")
            if not ending.lines:
                if ending.seconds >= self.limits.seconds:
                    raise TimeoutError("the document could not be read in time")
                self._discard(sock)
                continue
            verdict = _final(ending.lines)
            if verdict is not None:
                if verdict.provisional and again and ending.seconds < self.limits.seconds:
                    again -= 1
                    _rewound(fds)
                    continue
                return verdict
            fallback = Verdict.model_validate_json(ending.lines[0])
            if ending.seconds >= self.limits.seconds:
                return too_slow(fallback.sha256, fallback.bytes, self.limits.seconds)
            if not again:
                return fallback
            again -= 1
            _rewound(fds)
        raise CheckerError("the PDF reader does not answer")

    def _exchange(self, sock: socket.socket, fds: tuple[int, ...]) -> _Ending:
        reading, writing = os.pipe()
        started = time.monotonic()
        try:
            try:
                request = json.dumps(asdict(self.limits)).encode()
                socket.send_fds(sock, [request], [fds[0], writing, *fds[1:]])
            except OSError:
                return _Ending([], 0.0, closed=True)
            finally:
                os.close(writing)
            answer, closed = _received(reading, started + self.limits.seconds + _GRACE)
        finally:
            os.close(reading)
        lines = [line for line in answer.split(b"\n")[:-1] if line]  # whole lines only
        return _Ending(lines, time.monotonic() - started, closed)

    def _connected(self) -> socket.socket:
        with self._lock:
            if self._socket is None:
                self._server, self._socket = _started(self._reader)
            return self._socket

    def _discard(self, sock: socket.socket | None) -> None:
        """Stop the server, unless it is another one by now."""
        with self._lock:
            if self._socket is None or (sock is not None and sock is not self._socket):
                return
            self._socket.close()
            self._socket = None
            server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.wait()


def _started(reader: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # This very package, wherever it was imported from.
    here = str(Path(__file__).resolve().parent.parent)
    known = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, known)))
    try:
        server = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", reader],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
    except OSError as error:
        ours.close()
        raise CheckerError(error.errno, f"the PDF reader cannot be started: {error}") from error
    finally:
        theirs.close()
    return server, ours


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


def _final(lines: list[bytes]) -> Verdict | None:
    """Return the last verdict; None if the child did not get so far, or wrote nonsense."""
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


# -- the server ------------------------------------------------------------------------------

Read = Callable[[BinaryIO, BinaryIO | None, Limits, Announce], Verdict]


def serve(requests: socket.socket, read: Read) -> None:
    """Answer requests until the other side is gone."""
    # What is there now is shared with the children as it is, not copied by a collector's marks.
    gc.collect()
    gc.freeze()
    gc.disable()
    baseline = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal; the daemon ends us
    server = os.getpid()
    children: set[int] = set()
    while True:
        while len(children) < CHILDREN:
            child = os.fork()
            if child == 0:
                _die_with(server)
                _read_some(requests, read, baseline)
            children.add(child)
        child, status = os.wait()
        children.discard(child)
        if os.waitstatus_to_exitcode(status) == _GONE:
            return


def _read_some(requests: socket.socket, read: Read, baseline: int) -> None:
    """Read documents until one is not flawless, or they were enough; end this process."""
    status = 1
    try:
        for _ in range(_FLAWLESS):
            try:
                request, fds, _, _ = socket.recv_fds(requests, 4096, 3)
            except ConnectionError:
                request = b""
            if not request:
                status = _GONE
                return
            if not _answer(request, fds, read, baseline):
                break
        status = 0
    finally:
        os._exit(status)


def _die_with(server: int) -> None:
    """Have the kernel end this process when its parent, the server, ends (prctl(2)).

    The kernel says nothing of a parent that has ended before it was asked.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(_GONE)


def _answer(request: bytes, fds: list[int], read: Read, baseline: int) -> bool:
    """Read one document; return whether it was flawless, and nothing else was to be done."""
    limits = Limits(**json.loads(request))
    _confine(limits, baseline, max(fds))
    document, answer, *output = fds

    def announce(verdict: Verdict) -> None:
        _say(answer, verdict.model_dump_json())

    flawless = False
    with contextlib.ExitStack() as files:
        source = files.enter_context(os.fdopen(document, "rb", closefd=False))
        target = files.enter_context(os.fdopen(output[0], "wb", closefd=False)) if output else None
        try:
            verdict = read(source, target, limits, announce)
        except OSError as error:
            _say(answer, json.dumps({"errno": error.errno}))
        else:
            if target is not None:
                target.flush()
            _say(answer, verdict.model_dump_json())
            flawless = verdict.clean and verdict.reason is None and not output
    signal.setitimer(signal.ITIMER_REAL, 0)
    for fd in fds:
        os.close(fd)
    return flawless


def _say(answer: int, line: str) -> None:
    os.write(answer, line.encode() + b"\n")


def _confine(limits: Limits, baseline: int, highest_fd: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    seconds = math.ceil(time.process_time() + limits.seconds) + 1
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, baseline + limits.memory),
        (resource.RLIMIT_NOFILE, highest_fd + 1 + _SPARE_FILES),
        (resource.RLIMIT_FSIZE, 2 * limits.max_bytes + (1 << 20)),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, hard))  # the next document has limits of its own


def main() -> None:
    """Be the server on standard input."""
    # The reader forks, and needs no threads to multiply matrices.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # The reader is loaded here alone: the daemon, which imports this module, stays free of it.
    from faxdrop.pdf import document  # noqa: PLC0415

    def read(
        file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce
    ) -> Verdict:
        if output is None:
            return document.examine(file, limits, announce)
        return document.prepare(file, output, limits, announce)

    run(read)


def run(read: Read) -> None:
    """Serve the socket that is standard input, with a way to read documents."""
    requests = socket.socket(fileno=os.dup(0))
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    # What native code prints as it dies could hold a piece of a document.
    os.dup2(quiet, 2)
    with requests:
        serve(requests, read)


if __name__ == "__main__":
    main()
