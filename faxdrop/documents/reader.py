"""The reader of PDFs: a separate process with nothing in it that a document could misuse.

``python -m faxdrop.documents.reader`` is a server that the daemon (see ``checker``) starts with a
clean environment and talks to over a socket, its standard input. It has loaded the PDF libraries
and forks children that read one document at a time. Each child has limits of time, memory and
everything else, and is confined (see ``sandbox``), so taking one over gains a document nothing.

Only the server reads requests. It hands each one to a child, over a socket that only these two
share: no child can take a request, or reach an open file, that was not meant for it. A request is
one datagram with two or three open files: the document, the pipe for the answer, and, if a copy is
wanted, the file for it. The datagram is JSON: ``limits``; ``seat``, a small number, at which one
document is read at a time; and ``fresh``, whether the child must have read no other document. If it
must, the child at that seat is ended first. Otherwise that child reads on, since forking one for
each document would cost ten times as much as the rest of the check. The checker decides what to
believe of a child. A child ends by itself after the first document that is not flawless.

The answer is some lines of JSON: which child it is, from the server; as soon as the document's
SHA-256 is known, the verdict that holds if the child is never heard of again; another such verdict
if a copy has yet to be judged; then the final verdict, or ``{"errno": n}`` if a file could not be
read or written. If a child ends badly, the server says how on its standard output.
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
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from faxdrop import words
from faxdrop.documents.sandbox import Sandbox
from faxdrop.documents.verdict import Announce, Limits, Verdict

SPARES = 2  # children without a seat, forked while there is nothing else to do
_QUIET, _HIGHEST = 3, 256  # descriptors: the first ones are /dev/null, none is above that
_SPARE_FILES = 16
_PR_SET_PDEATHSIG = 1
_GONE, _DONE = 3, 4  # the exit status of a child that found the server gone; that was to end
_EASY_PREY = "800"  # oom_score_adj: who is short of memory shall take a reader, not the daemon

Read = Callable[[BinaryIO, BinaryIO | None, Limits, Announce], Verdict]


class _Child(NamedTuple):
    """A process that reads documents, one at a time."""

    number: int  # counted from the server's start: process ids come again
    pid: int
    end: int  # a descriptor that can be read once it has ended
    socket: socket.socket  # to it

    def close(self) -> None:
        """Forget it."""
        os.close(self.end)
        self.socket.close()


class _Server:
    """Forks children, hands each document to one of them, and says how they ended if badly."""

    def __init__(self, requests: socket.socket, ends: int, read: Read) -> None:
        self._requests = requests
        self._ends = ends
        self._read = read
        self._sandbox = Sandbox()
        self._pid = os.getpid()
        self._baseline = int(Path("/proc/self/statm").read_text().split()[0])
        self._baseline *= resource.getpagesize()
        self._numbers = count(1)
        self._spares: deque[_Child] = deque()
        self._seats: dict[int, _Child] = {}  # who sits there, alive or not
        self._alive: dict[int, _Child] = {}  # by the descriptor of its end
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)

    def serve(self) -> None:
        """Answer requests until the other side closes."""
        while True:
            has_enough = len(self._spares) == SPARES
            ready = self._poll.poll(None if has_enough else 0)
            for fd, _ in ready:
                if fd in self._alive:
                    self._reap(self._alive.pop(fd))
            if any(fd == self._requests.fileno() for fd, _ in ready):
                if not self._hand_over():
                    return
            elif not has_enough:
                self._spares.append(self._forked())

    def _hand_over(self) -> bool:
        """Give the next request to a child; return False if there will be no more."""
        try:
            request, fds, _, _ = socket.recv_fds(self._requests, 4096, 3)
        except ConnectionError:
            return False
        if not request:
            return False
        about = json.loads(request)
        child = self._seated(about["seat"], fresh=about["fresh"])
        # Where it does not come through, the daemon hears that there was no answer.
        with contextlib.suppress(OSError):
            _say(fds[1], json.dumps({"reader": child.number}))
            socket.send_fds(child.socket, [request], fds)
        for fd in fds:
            os.close(fd)
        return True

    def _seated(self, seat: int, *, fresh: bool) -> _Child:
        """Return who is to read there."""
        before = self._seats.get(seat)
        if before is not None and self._alive.get(before.end) is before:
            if not fresh:
                return before
            os.kill(before.pid, signal.SIGKILL)
        child = self._seats[seat] = self._spares.popleft() if self._spares else self._forked()
        return child

    def _forked(self) -> _Child:
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            self._be_child(theirs)
        theirs.close()
        child = _Child(number, pid, os.pidfd_open(pid), ours)
        self._alive[child.end] = child
        self._poll.register(child.end, select.POLLIN)
        return child

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._poll.unregister(child.end)
        child.close()
        if child in self._spares:
            self._spares.remove(child)
        end = os.waitstatus_to_exitcode(status)
        # Who was replaced was ended here, and nobody asks how.
        if end != _DONE and child in self._seats.values():
            with contextlib.suppress(OSError):  # nobody wants to know
                os.write(self._ends, b"%d %d\n" % (child.number, end))

    def _be_child(self, requests: socket.socket) -> NoReturn:
        """Read documents until one is not flawless; end this process."""
        status = 1
        try:
            _die_with(self._pid)
            self._sandbox.enter()
            # All else is the server's: the requests, and its sockets to the other children.
            mine = requests.fileno()
            os.closerange(_QUIET, mine)
            os.closerange(mine + 1, _HIGHEST)
            while _answer(*socket.recv_fds(requests, 4096, 3)[:2], self._read, self._baseline):
                pass
            status = _DONE
        finally:
            os._exit(status)


def serve(requests: socket.socket, ends: int, read: Read) -> None:
    """Answer requests until the other side is gone; say on ``ends`` how each child ended."""
    with contextlib.suppress(OSError):  # not everywhere may one say so
        Path("/proc/self/oom_score_adj").write_text(_EASY_PREY)
    os.set_blocking(ends, False)
    words.load_all()  # no child can
    # What is there now is shared with the children as it is, not copied by a collector's marks.
    gc.collect()
    gc.freeze()
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal; the daemon ends us
    _Server(requests, ends, read).serve()


def _die_with(server: int) -> None:
    """Have the kernel end this process when its parent, the server, ends (prctl(2)).

    The kernel says nothing of a parent that has ended before it was asked.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(_GONE)


def _answer(request: bytes, fds: list[int], read: Read, baseline: int) -> bool:
    """Read one document; return whether it was flawless, and nothing else was to be done."""
    if not request:  # the server is gone
        return False
    limits = Limits(**json.loads(request)["limits"])
    words.use(limits.language)
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
            announce(verdict)
            flawless = verdict.is_flawless and not output
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
    # Loaded here alone: what imports this module, as tests do, stays free of it.
    from faxdrop.documents.pdf import document  # noqa: PLC0415

    def read(
        file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce
    ) -> Verdict:
        if output is None:
            return document.examine(file, limits, announce)
        return document.prepare(file, output, limits, announce)

    run(read)


def run(read: Read) -> None:
    """Serve the socket that is standard input, with a way to read documents."""
    requests, ends = socket.socket(fileno=os.dup(0)), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    # What native code prints as it dies could contain a piece of a document.
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    with requests:
        serve(requests, ends, read)


if __name__ == "__main__":
    main()
