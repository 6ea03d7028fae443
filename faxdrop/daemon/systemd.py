"""What a service reports to systemd: sd_notify(3), over a datagram socket.

Nothing here raises: a service that cannot report continues to work.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

_PATIENCE = 1.0  # seconds that a message may wait for room in systemd's queue
_LONGEST_STATUS = 1000  # characters; systemd shows one line of it


class Notifier:
    """Reports to the service manager that started us; does nothing if none did.

    ``watchdog`` must be called every ``watchdog_interval`` seconds: half of what systemd allows.
    None means that nobody waits for it.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        pid: int | None = None,
        microseconds: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
    ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._microseconds = microseconds
        self.watchdog_interval = _interval(environ, os.getpid() if pid is None else pid)

    def ready(self) -> None:
        """Report that the start, or a reload, is over."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Report the state in one line, for ``systemctl status``.

        If systemd has no time for it, it is dropped: the loop reports often.
        """
        self._send(f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}", patience=0.0)

    def watchdog(self) -> None:
        """Report that the loop has made progress."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Report that a reload has begun; ``ready`` ends it."""
        # The time lets systemd tell this reload's READY from an earlier one.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._microseconds()}")

    def stopping(self) -> None:
        """Report that the daemon is stopping."""
        self._send("STOPPING=1")

    def _send(self, message: str, patience: float = _PATIENCE) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
                to.settimeout(patience)
                to.sendto(message.encode("utf-8", "replace"), self._address)
        except (OSError, ValueError):
            return


def _address(named: str) -> bytes | None:
    """Return the socket's address; ``@`` stands for the NUL of the abstract name space."""
    address = os.fsencode(named)
    if address.startswith(b"@"):
        return b"\0" + address[1:]
    return address if address.startswith(b"/") else None


def _interval(environ: Mapping[str, str], pid: int) -> float | None:
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # meant for another process
    try:
        limit = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit / 2_000_000 if limit > 0 else None
