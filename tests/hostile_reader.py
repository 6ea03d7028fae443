"""A reader of PDFs that goes wrong in the way that each document names.

``python -m tests.hostile_reader`` takes the place of the checker's own server in tests.
"""

import errno
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from faxdrop.checker import run
from faxdrop.verdict import Announce, Limits, Verdict, crashed


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(1)


def _hang() -> NoReturn:
    while True:
        signal.pause()


def _spin() -> NoReturn:
    while True:
        pass


def _end_server() -> NoReturn:
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)


def _talk_nonsense() -> NoReturn:
    for fd in range(3, 20):
        try:
            os.write(fd, b'["nonsense"]\n{\n')
        except OSError:
            continue
    os._exit(0)


def _fail() -> NoReturn:
    raise OSError(errno.EIO, "x")


def _hoard(limits: Limits) -> int:
    try:
        return len(bytearray(limits.memory + (64 << 20)))
    except MemoryError:
        return 1


def _open_files() -> int:
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(100)])


_AT_ONCE: dict[str, Callable[[], NoReturn]] = {
    "server-dies": _end_server,
    "silent": lambda: os._exit(0),
    "storage-hangs": _hang,
}
_LATER: dict[str, Callable[[], NoReturn]] = {
    "crash": _die,
    "hang": _hang,
    "spin": _spin,
    "nonsense": _talk_nonsense,
    "io": _fail,
}


def read(file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce) -> Verdict:
    """Do what the document says; its second word names a file that counts how often."""
    file.seek(0)
    data = file.read()
    way, _, counter = data.decode().partition(" ")
    first = bool(counter) and not Path(counter).exists()
    if counter:
        with Path(counter).open("a") as lines:
            lines.write(f"{os.getpid()}\n")
    if way in _AT_ONCE:
        _AT_ONCE[way]()
    sha256 = hashlib.sha256(data).hexdigest()
    announce(crashed(sha256, len(data)))
    if output is not None:
        output.write(b"copy")
        output.flush()
    if way in _LATER:
        _LATER[way]()
    if way == "crash-once" and first:
        _die()
    while way == "flood":
        announce(crashed("x" * 1000, 0))
    return Verdict(sha256=sha256, bytes=len(data), whole=True, **_answers(way, limits))


def _answers(way: str, limits: Limits) -> dict[str, Any]:
    match way:
        case "memory":
            return {"pages": _hoard(limits)}
        case "files":
            return {"pages": _open_files()}
        case "limits":
            return {"pages": limits.max_pages}
        case "environment":
            return {"copy_sha256": " ".join(sorted(os.environ))}
    return {}


if __name__ == "__main__":
    run(read)
