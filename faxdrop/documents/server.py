"""The server: a process that starts a reader, a child of its own, for each document.

It has a clean environment and is talked to over a socket. Nothing here knows what is read.
"""

import contextlib
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from faxdrop.names.printable import of_file
from faxdrop.words import _
from faxdrop.workers import on_all_processors

_REAPED = 5.0  # seconds within which the server says how a child ended
_ENVIRONMENT = ("LANG", "LC_ALL", "PATH", "PYTHONHOME", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's library would fork with threads of its own


class CheckerError(OSError):
    """The reader cannot be started, or dies before it reads anything: no document's fault."""


class ReaderServer:
    """The server's process, the socket to it, and how its children ended, as it says."""

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


def start_server(reader: str) -> ReaderServer:
    """Start the server, a module; raises CheckerError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends, telling = os.pipe()
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= _ONE_THREAD
    # This very package, wherever it was imported from.
    here = str(Path(__file__).resolve().parents[2])
    known = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, known)))
    try:
        with on_all_processors():
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
            error.errno, _("the PDF reader cannot be started: {error}").format(error=of_file(error))
        ) from error
    finally:
        theirs.close()
        os.close(telling)
    return ReaderServer(process, ours, ends)
