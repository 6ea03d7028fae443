"""Reads files from folders where people may put anything: no link, pipe or device is read."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_file(path: Path, most: int) -> bytes | None:
    """Return the first bytes of an ordinary file, None where it is none or cannot be read."""
    with _opened(path) as fd:
        if fd is None:
            return None
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(most)


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of an ordinary file, None where it is none or cannot be read."""
    with _opened(path) as fd:
        if fd is None:
            return None
        with os.fdopen(fd, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def walk(place: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield folders and the names of what is no folder in them; links are not followed."""
    for folder, folders, names in os.walk(place):
        folders.sort()
        if names:
            yield Path(folder), set(names)
