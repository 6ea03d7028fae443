"""Whether another faxdrop on this machine uses one of our fax lines.

sipgate's history does not show whose fax an entry is. If two roots use one line, the one whose
answer was lost could take the other's fax for its own and say that it was sent. So each daemon
takes a seat at each of its lines: an abstract Unix socket (unix(7)). It needs no folder that all
may write to, is visible across users, mounts and systemd's sandboxes, and is free again when its
process ends, however it ended. It is not visible from another network namespace or machine.

Anybody on this machine can take all seats or knock; a person must then look up lost answers.
"""

import contextlib
import errno
import hashlib
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog

from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.fax import sentences
from faxdrop.names.loopback import is_loopback
from faxdrop.spool.health import DiskHealth
from faxdrop.spool.marks import Marks
from faxdrop.words import _

log = structlog.stdlib.get_logger(__name__)

SEATS = 16  # at one line; where more are wanted, it is shared in any case


class Seats:
    """The seats of one daemon. Not thread-safe."""

    def __init__(self) -> None:
        self._seats: dict[str, socket.socket | None] = {}  # by name; None: there was none to take
        self._shared: set[str] = set()

    def close(self) -> None:
        """Leave all seats."""
        for seat in self._seats.values():
            if seat is not None:
                seat.close()
        self._seats.clear()

    def shared(self, base_url: str, faxlines: Iterable[str]) -> set[str]:
        """Return which of these lines another daemon uses, or has used since we started.

        Takes a seat at lines where we have none yet, and lets the others know. Never waits.
        """
        return {faxline for faxline in faxlines if self._is_shared(_name(base_url, faxline))}

    def _is_shared(self, name: str) -> bool:
        if name not in self._seats:
            try:
                self._sit_down(name)
            except OSError as error:  # a sandbox of its own making: it knows of nobody
                log.warning("line.not_guarded", why=error.strerror)
        elif (seat := self._seats[name]) is not None:
            with contextlib.suppress(BlockingIOError):
                while True:  # somebody knocks who has come since
                    seat.recv(1)
                    self._shared.add(name)
        return name in self._shared

    def _sit_down(self, name: str) -> None:
        mine = -1
        self._seats[name] = None
        for at in range(SEATS):
            seat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                seat.bind(_seat(name, at))
            except OSError as error:
                seat.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self._seats[name] = seat
            mine = at
            break
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as knocking:
            for at in range(SEATS):
                if at != mine and _is_taken(knocking, _seat(name, at)):
                    self._shared.add(name)


class Alone(Seats):
    """Lines that nobody else uses."""

    def shared(self, base_url: str, faxlines: Iterable[str]) -> set[str]:  # noqa: ARG002
        """Return none."""
        return set()


class SharedLines:
    """The fax lines that another faxdrop uses too: known from the marks, or met at its seat."""

    def __init__(self, lines: Seats, marks: Marks, health: DiskHealth, clock: Clock) -> None:
        self._lines = lines
        self._marks = marks
        self._health = health
        self._clock = clock
        self._shared: set[str] = set()
        self._noted: set[str] = set()  # of these, the ones that the next daemon will know of

    def __contains__(self, faxline: str | None) -> bool:
        return faxline in self._shared

    def of(self, config: Config) -> list[str]:
        """Return which of a config's fax lines are shared."""
        return sorted(self._shared & _lines_of(config))

    def recall(self) -> None:
        """Load what the marks say."""
        self._shared |= self._marks.shared(self._clock.now())

    def meet(self, config: Config) -> None:
        """Find out who else uses our fax lines, before anything is submitted or found."""
        shared = self._lines.shared(config.sipgate.base_url, _lines_of(config))
        for faxline in shared - self._shared:
            log.warning("line.shared", faxline=faxline, advice=_(sentences.SHARED_ADVICE))
        self._shared |= shared
        for faxline in shared - self._noted:
            try:
                self._marks.note_shared(faxline, self._clock.now())
            except OSError as error:
                self._health.went_wrong(error)
            else:
                self._noted.add(faxline)


def _lines_of(config: Config) -> set[str]:
    """Return the fax lines that the config uses."""
    others = {entry.faxline for entry in config.recipients.values() if entry.faxline}
    return {config.sipgate.faxline, *others}


def _name(base_url: str, faxline: str) -> str:
    """Return the name of a line's seats.

    Most accounts have a fax line f0, so two accounts on one machine look like one. The token is no
    part of the name: an account can have many, and roots on one line should have one each. Taking
    two accounts for one costs a person a look at the history; taking one for two costs a false
    "sent". So one address that is written in two ways is one.
    """
    address = urlsplit(base_url)
    host = (address.hostname or "").rstrip(".")
    host = "localhost" if is_loopback(host) else host
    port = address.port or (443 if address.scheme == "https" else 80)
    path = "/".join(part for part in address.path.split("/") if part not in ("", "."))
    return hashlib.sha256(f"{host}:{port}/{path}\n{faxline}".encode()).hexdigest()[:32]


def _seat(name: str, at: int) -> str:
    return f"\0faxdrop-line-{name}-{at}"


def _is_taken(knocking: socket.socket, seat: str) -> bool:
    try:
        knocking.sendto(b"!", seat)
    except ConnectionRefusedError:
        return False
    except OSError:  # its queue is full: all the more somebody is there
        return True
    return True
