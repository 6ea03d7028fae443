"""Runs a program of the administrator's in a process group of its own, which ends as a whole.

At its time limit, what has left that group (setsid) is ended too. It is known by a variable in its
environment, MARK, which is different in each run.

All that it prints is read, so that it never blocks on its output; only the last of it is kept.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from faxdrop.workers import on_all_processors

KEPT: Final = 1000  # bytes of output
MARK: Final = "FAXDROP_RUN"

_PIECE: Final = 65536  # bytes
_GRACE: Final = 2.0  # seconds between "please end" and the end


class ProgramEnd(NamedTuple):
    """How a program ended."""

    status: int  # as a shell has it: 128 and more is the number of a signal
    output: str  # the last of what it printed
    in_time: bool


class StoppedError(Exception):
    """The program was ended because the daemon stops."""


class Program:
    """One command, one run at a time. ``stop`` may be called from another thread."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._command = command
        self._seconds = seconds
        self._lock = threading.Lock()  # while it is held, the process's id is not reused
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, content: bytes, environ: Mapping[str, str]) -> ProgramEnd:
        """Run it with a standard input and an environment, and wait for its end or its time limit.

        Once the program has ended, whatever it left in its group is ended too. Raises OSError if it
        cannot be started, and StoppedError.
        """
        run = uuid.uuid4().hex
        with on_all_processors():
            process = subprocess.Popen(  # noqa: S603 - the administrator's, without a shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**environ, MARK: run},
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        with process:
            with self._lock:
                self._process = process
                if self._stopped:
                    _signal(process, signal.SIGKILL)
            try:
                output, in_time = self._follow(process, content)
            finally:
                with self._lock:
                    _signal(process, signal.SIGKILL)
                    self._process = None
                status = process.wait()
        if self._stopped or not in_time:
            _end_all(f"{MARK}={run}".encode())
        if self._stopped:
            raise StoppedError
        return ProgramEnd(status if status >= 0 else 128 - status, output, in_time)

    def stop(self) -> None:
        """End it, and every later run at its start; do not wait."""
        self._stopped = True
        with self._lock:
            if self._process is not None:
                _signal(self._process, signal.SIGKILL)

    def _follow(self, process: subprocess.Popen[bytes], content: bytes) -> tuple[str, bool]:
        """Feed and read it until it ends; return its output, and whether it ended in time."""
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101
        kept = bytearray()
        in_time = True
        end = time.monotonic() + self._seconds
        ended = os.pidfd_open(process.pid)
        try:
            with selectors.DefaultSelector() as waiting:
                for file in (process.stdin, process.stdout):
                    os.set_blocking(file.fileno(), False)
                waiting.register(process.stdin, selectors.EVENT_WRITE)
                waiting.register(process.stdout, selectors.EVENT_READ)
                waiting.register(ended, selectors.EVENT_READ)
                while True:
                    ready = [key.fileobj for key, _ in waiting.select(end - time.monotonic())]
                    if process.stdin in ready and not (content := _fed(process.stdin, content)):
                        waiting.unregister(process.stdin)
                        process.stdin.close()
                    if process.stdout in ready and not _read(process.stdout.fileno(), kept):
                        waiting.unregister(process.stdout)
                    if ended in ready:
                        break
                    if time.monotonic() >= end:
                        # The program's own end is seen above, the next time round.
                        _signal(process, signal.SIGTERM if in_time else signal.SIGKILL)
                        in_time, end = False, time.monotonic() + _GRACE
                _read(process.stdout.fileno(), kept)
        finally:
            os.close(ended)
        return kept.decode("utf-8", "replace"), in_time


def _fed(pipe: object, content: bytes) -> bytes:
    """Write what fits; return the rest, nothing if nobody reads any more."""
    try:
        return content[os.write(pipe.fileno(), content) :]  # type: ignore[attr-defined]
    except BlockingIOError:
        return content
    except OSError:  # it closed its standard input
        return b""


def _read(fd: int, kept: bytearray) -> bool:
    """Read what is there and keep the last of it; return False at end of file."""
    try:
        piece = os.read(fd, _PIECE)
    except BlockingIOError:
        return True
    kept += piece
    del kept[:-KEPT]
    return bool(piece)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # It is not reaped yet, so its id and its group's id cannot have been reused.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _end_all(mark: bytes) -> None:
    """End every process that has this in its environment, wherever it has gone."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            process = os.pidfd_open(int(path.name))
            try:
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)
