"""Reads files from folders where people may put anything: no link, pipe or device is read."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from faxdrop.spool import disk


def read_file(path: Path, most: int) -> bytes | None:
    """Return an ordinary file of at most so many bytes, None where there is none to read."""
    try:
        with disk.opened_folder(path.parent) as folder:
            return disk.read_file(folder, path.name, most)
    except OSError:
        return None


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of an ordinary file, None where there is none to read."""
    try:
        with (
            disk.opened_folder(path.parent) as folder,
            disk.opened_file(folder, path.name) as fd,
        ):
            if fd is None:
                return None
            with os.fdopen(fd, "rb", closefd=False) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def walk(place: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield folders and the names of what is no folder in them; links are not followed."""
    for folder, folders, names in os.walk(place):
        folders.sort()
        if names:
            yield Path(folder), set(names)
