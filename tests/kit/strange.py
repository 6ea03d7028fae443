"""Ways to make, at a path, what people can put where a file is expected."""

import gc
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path


def _endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _fifo_with_a_writer(path: Path) -> None:
    """Make a pipe whose writer, once it has a reader, writes without end."""
    os.mkfifo(path)

    def write() -> None:
        try:
            with path.open("wb", buffering=0) as pipe:
                while True:
                    pipe.write(b"{" * 4096)
        except OSError:
            return

    threading.Thread(target=write, daemon=True).start()


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_PATH)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"/proc/self/fd/{folder}/{path.name}")  # a path may be too long
    listening.close()
    os.close(folder)


def _folder_with_something(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


def _unreadable(path: Path) -> None:
    path.write_bytes(b'{"reason": 7}')
    path.chmod(0)


STRANGE_FILES: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "fifo with a writer": _fifo_with_a_writer,
    "endless": _endless,
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "wrong type": lambda path: path.write_bytes(b'{"job_id": 7}'),
    "unreadable": _unreadable,
    "folder": Path.mkdir,
    "full folder": _folder_with_something,
    "socket": _socket,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "dead link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}
"""What may stand where a receipt would: no reader may wait for it, follow it or read it all."""


def descriptors() -> int:
    """Return how many files this process has open."""
    gc.collect()  # closes what other tests left open
    return len(list(Path("/proc/self/fd").iterdir()))
