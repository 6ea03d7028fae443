"""Asks modules in a process of their own, which bears what they load and how long they take.

A module that is asked ends its file with ``answer(...)``. The question is JSON in a memory file,
and the answers are JSON over a pipe, so no secret in them appears in a list of processes or in an
environment. Each answer is sent as soon as it is known, so a time limit loses only the later ones.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from faxdrop.workers import on_all_processors

_SECRETS: Final = ("TOKEN", "NOTIFY_")  # what names of variables begin with that stay here
_MOST_MEMORY: Final = 1 << 30  # bytes of address space; an import of apprise takes some 0.3 GB
_MOST_ANSWERED: Final = 1 << 20  # bytes
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_DUMPABLE: Final = 4


class ApartError(Exception):
    """The answers did not come to an end: no process, no time, or a module that failed."""

    def __init__(self, so_far: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.so_far = so_far  # the answers until then


class Apart:
    """Asks one module, one question at a time. Thread-safe."""

    def __init__(self, module: str, environ: Mapping[str, str] = os.environ) -> None:
        self._module = module
        self._environ = {
            name: value for name, value in environ.items() if not name.startswith(_SECRETS)
        }
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()  # over the next two
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def ask(
        self, question: Any, seconds: float, hear: Callable[[Any], None] = lambda _: None
    ) -> tuple[Any, ...]:
        """Return the answers; raise ApartError if they do not end in so many seconds.

        ``hear`` is told each one at once. What it raises ends the process.
        """
        with self._one_at_a_time:
            answers: list[Any] = []
            process = self._started(json.dumps(question).encode())
            try:
                for each in _answers(process, time.monotonic() + seconds):
                    answers.append(each)
                    hear(each)
                status = process.wait(1.0)
            except (OSError, ValueError, TimeoutError, subprocess.TimeoutExpired):
                raise ApartError(tuple(answers)) from None
            finally:
                self._end(process)
        if status:
            raise ApartError(tuple(answers))
        return tuple(answers)

    def close(self) -> None:
        """End the process that is running, and start no other. Waits for nothing."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                _kill(self._process)

    def _started(self, question: bytes) -> subprocess.Popen[bytes]:
        with self._lock, contextlib.ExitStack() as stack:
            if self._closed:
                raise ApartError
            try:
                # A file in memory: a pipe would have to wait for the reader of a long question.
                asked = stack.enter_context(os.fdopen(os.memfd_create("question"), "wb"))
                asked.write(question)
                asked.flush()
                asked.seek(0)
                with on_all_processors():
                    self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                        [sys.executable, "-P", "-m", self._module, str(os.getpid())],
                        stdin=asked,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        env=self._environ,
                        start_new_session=True,  # ended as a whole
                    )
            except OSError:
                raise ApartError from None
            return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = None
            _kill(process)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _answers(process: subprocess.Popen[bytes], deadline: float) -> Iterator[Any]:
    """Yield each whole line as soon as it is there; raise TimeoutError at the deadline."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    fd, heard, rest = process.stdout.fileno(), 0, b""
    while heard <= _MOST_ANSWERED:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise TimeoutError
        if not (piece := os.read(fd, 65536)):
            return
        heard += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(json.loads, lines)
    raise TimeoutError


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The leader is not waited for yet, or was the whole group: its id is nobody else's.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answer(to: Callable[[Any], Iterable[Any]]) -> None:
    """Answer one question, in the separate process. Nothing else that is printed leaves it.

    It ends with the process that asks: work whose answer nobody hears would be done twice.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # the question is a secret
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # of the thread that asks, which waits for us
    if str(os.getppid()) != sys.argv[1]:
        sys.exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(os.dup(1), "wb", buffering=0) as output:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        for each in to(json.load(sys.stdin.buffer)):
            output.write(json.dumps(each).encode() + b"\n")
