"""Has PDFs checked by readers, hostile ones too."""

import os
import tempfile

import psutil

from faxdrop.documents.checker import Checker, Limits
from faxdrop.documents.reader import SPARES
from faxdrop.documents.verdict import Verdict

TIGHT = Limits(max_bytes=10_000_000, max_pages=30, memory=256 << 20)
HOSTILE = "tests.kit.hostile_reader"


def opened(data: bytes, how: int = os.O_RDONLY) -> int:
    """Return an open file with this content, positioned somewhere inside it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        fd = os.open(file.name, how)
    os.lseek(fd, len(data) // 2, os.SEEK_SET)
    return fd


def check(checker: Checker, data: bytes) -> Verdict:
    """Have a document checked."""
    fd = opened(data)
    try:
        return checker.check(fd)
    finally:
        os.close(fd)


def are_waiting(server: int | None) -> bool:
    """Return whether a server has spare children and all its children wait for documents."""
    try:
        children = psutil.Process(server).children()
        waiting = [child.status() == psutil.STATUS_SLEEPING for child in children]
    except psutil.NoSuchProcess:  # one ended meanwhile
        return False
    return len(waiting) >= SPARES and all(waiting)
