"""A reader of PDFs that misbehaves in the way that each document names.

``python -m tests.kit.hostile_reader`` replaces the reader in tests. A document's first line says
what to do. If the document is writable, each reading appends a line with the reader's process id:
the document is all that can be written from in here.
"""

import errno
import hashlib
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from faxdrop.documents.reader import run
from faxdrop.documents.verdict import Announce, Limits, Verdict, crashed
from tests.kit import escapes


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(1)


def _hang() -> NoReturn:
    while True:
        signal.pause()


def _spin() -> NoReturn:
    while True:
        pass


def _talk_nonsense() -> NoReturn:
    for fd in range(3, 20):
        try:
            os.write(fd, b'["nonsense"]\n{\n')
        except OSError:
            continue
    os._exit(0)


def _fail() -> NoReturn:
    raise OSError(errno.EIO, "x")


def _hoard(way: str, limits: Limits) -> int:
    if way == "feast":  # uses all memory that is allowed, and no more
        return len(b"x" * (160 << 20))
    try:
        return len(bytearray(limits.memory + (64 << 20)))
    except MemoryError:
        return 1


_taken_over = ""  # by an earlier document


def _lie(way: str, output: BinaryIO | None) -> Verdict:
    """Return a harmful verdict on somebody else's document, and write a harmful copy."""
    if output is not None:
        output.write(b"a forged copy")
        output.flush()
    if way == "take-over-and-praise":
        return Verdict(sha256="0" * 64, bytes=1, whole=True, clean=True)
    return crashed("0" * 64, 1).model_copy(update={"whole": True, "copy_sha256": "0" * 64})


def _sockets() -> list[int]:
    found = []
    for fd in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(fd)
        except OSError:
            continue
    return found


def _overheard(document: int) -> int:
    """Try to receive others' requests until told to go on; return how many came."""
    kind = (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)  # asking for it is not allowed
    sockets = [socket.socket(*kind, fileno=fd) for fd in _sockets()]
    requests = 0
    while b"go" not in os.pread(document, 1000, 0):
        for one in sockets:
            try:
                requests += len(one.recvmsg(4096, socket.CMSG_LEN(64), socket.MSG_DONTWAIT)[0])
            except OSError:
                continue
    return requests


def _open_files() -> int:
    return len([os.open(os.__file__, os.O_RDONLY) for _ in range(100)])


_AT_ONCE: dict[str, Callable[[], NoReturn]] = {
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


def _note(file: BinaryIO) -> bool:
    """Note the reading in the document; return whether that was possible."""
    try:
        os.pwrite(file.fileno(), b"\n%d" % os.getpid(), os.fstat(file.fileno()).st_size)
    except OSError:
        return False
    return True


def read(file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce) -> Verdict:
    """Do what the document says."""
    global _taken_over  # noqa: PLW0603 - a reader that was taken over stays it
    file.seek(0)
    order, *looks = file.read().splitlines()
    way, _, more = order.decode().partition(" ")
    if _taken_over:
        _note(file)
        return _lie(_taken_over, output)
    _taken_over = way if way.startswith("take-over") else ""
    if way in _AT_ONCE:
        _note(file)
        _AT_ONCE[way]()
    sha256 = hashlib.sha256(order).hexdigest()
    announce(crashed(sha256, len(order)))
    # After the answer, so that a test that waits for this line knows what was said.
    if not _note(file):
        looks = [b"it is not to be written to"]
    if output is not None:
        output.write(b"copy")
        output.flush()
    if way in _LATER:
        _LATER[way]()
    if way == "crash-once" and not looks:
        _die()
    if way == "hang-once" and not looks:
        _hang()
    while way == "flood":
        announce(crashed("x" * 1000, 0))
    while way == "linger" and b"go" not in os.pread(file.fileno(), 1000, 0):
        pass
    return Verdict(
        sha256=sha256, bytes=len(order), whole=True, **_answers(way, more, file.fileno(), limits)
    )


def _answers(way: str, more: str, document: int, limits: Limits) -> dict[str, Any]:
    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "take-over": lambda: {"clean": True},
        "take-over-and-praise": lambda: {"clean": True},
        "plain": lambda: {"clean": True},
        "sockets": lambda: {"pages": len(_sockets())},
        "overhear": lambda: {"pages": _overheard(document)},
        "memory": lambda: {"pages": _hoard(way, limits)},
        "feast": lambda: {"pages": _hoard(way, limits)},
        "files": lambda: {"pages": _open_files()},
        "limits": lambda: {"pages": limits.max_pages},
        "environment": lambda: {"copy_sha256": " ".join(sorted(os.environ))},
        "escape": lambda: {"copy_sha256": json.dumps(escapes.tried(document, **json.loads(more)))},
    }
    return answers.get(way, dict)()


if __name__ == "__main__":
    run(read)
