"""The reader of PDFs: a process of its own, with nothing in it that a document could want.

``python -m faxdrop.documents.reader`` is a server that the daemon (see ``checker``) starts with a
clean environment and talks to over a socket, its standard input. It has loaded what reads PDFs, and
keeps a few children that read one document at a time, each with a limit of time, memory and
everything else, and confined (see ``sandbox``): a document that takes one over has got nowhere. A
child ends with the first document that is anything but flawless, and after some dozen flawless
ones: forking one for each would cost more than all the rest of the check.

A request is one datagram, the limits as JSON, with two or three open files: the document, the pipe
for the answer, and where a copy is wanted the file for it. The answer is some lines of JSON: which
child it is; the verdict if it should never be heard of again, as soon as the document's SHA-256 is
known; another such, where there is a copy that has yet to be judged; then the true one, or
``{"errno": n}`` where a file could not be read or written. How each child ended, the server says on
its standard output.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import BinaryIO

from faxdrop import words
from faxdrop.documents.sandbox import Sandbox
from faxdrop.documents.verdict import Announce, Limits, Verdict

CHILDREN = 4  # documents that are read at once
_FLAWLESS = 32  # documents that one child reads at most
_SPARE_FILES = 16
_PR_SET_PDEATHSIG = 1
_GONE, _DONE = 3, 4  # the exit status of a child that found the daemon gone; that was to end
_EASY_PREY = "800"  # oom_score_adj: who is short of memory shall take a reader, not the daemon

Read = Callable[[BinaryIO, BinaryIO | None, Limits, Announce], Verdict]


def serve(requests: socket.socket, ends: int, read: Read) -> None:
    """Answer requests until the other side is gone; say on ``ends`` how each child ended."""
    with contextlib.suppress(OSError):  # not everywhere may one say so
        Path("/proc/self/oom_score_adj").write_text(_EASY_PREY)
    os.set_blocking(ends, False)
    sandbox = Sandbox()
    words.load_all()  # no child can
    # What is there now is shared with the children as it is, not copied by a collector's marks.
    gc.collect()
    gc.freeze()
    gc.disable()
    baseline = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal; the daemon ends us
    server = os.getpid()
    children: dict[int, int] = {}  # process id -> which child it is
    numbers = count(1)
    while True:
        while len(children) < CHILDREN:
            number = next(numbers)
            child = os.fork()
            if child == 0:
                _die_with(server)
                os.close(ends)
                sandbox.enter()
                _read_some(requests, read, baseline, number)
            children[child] = number
        child, status = os.wait()
        number, end = children.pop(child), os.waitstatus_to_exitcode(status)
        if end == _GONE:
            return
        if end != _DONE:
            with contextlib.suppress(OSError):  # nobody wants to know
                os.write(ends, b"%d %d\n" % (number, end))


def _read_some(requests: socket.socket, read: Read, baseline: int, number: int) -> None:
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
            _say(fds[1], json.dumps({"reader": number}))
            if not _answer(request, fds, read, baseline):
                break
        status = _DONE
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
    # What native code prints as it dies could hold a piece of a document.
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    with requests:
        serve(requests, ends, read)


if __name__ == "__main__":
    main()
