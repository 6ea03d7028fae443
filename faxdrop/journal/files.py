"""Reads files in folders where people may put anything: never a link, a pipe or a device."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from faxdrop.spool import disk


def read_file(path: Path, most: int) -> bytes | None:
    """Return the content of an ordinary file of at most so many bytes, else None."""
    try:
        with disk.opened_folder(path.parent) as folder:
            return disk.read_file(folder, path.name, most)
    except OSError:
        return None


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of an ordinary file, None if there is none that can be read."""
    try:
        with (
            disk.opened_folder(path.parent) as folder,
            disk.opened_file(folder, path.name) as fd,
        ):
            return None if fd is None else disk.sha256_of(fd)
    except OSError:
        return None


def is_strange(path: Path) -> bool:
    """Return whether there is something that is no ordinary file: a link, a pipe, a device."""
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def walk(place: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield folders, each with the names in it that are not folders; follows no links."""
    for folder, folders, names in os.walk(place):
        folders.sort()
        if names:
            yield Path(folder), set(names)
