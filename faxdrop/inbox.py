"""The inbox: which files are complete, and the watchdog events that wake the scan.

Events wake and nothing more; the scan is the truth. No file's age is ever computed from its time
stamps, since a share has a clock of its own: a file is at rest when two looks, ``settle`` apart on
our own monotonic clock, found the same size, time stamp and inode.
"""

import fnmatch
import heapq
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from faxdrop.settings import InboxSettings

# watchdog holds a file that was moved away back for half a second, and all later events behind it,
# to pair it with where it went. Every claim is such a move, and nobody here needs the pairs.
InotifyMoveEventGrouper.delay = 0.01

_PASSED_OVER = (
    ".*",
    "~$*",
    "~*.tmp",
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.filepart",
    "*.opdownload",
    "*.pd~",
    "*.swp",
    "*~",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "@eadir",
    "#recycle",
    "lost+found",
)
"""Temporary, hidden and system files: left alone, however long they lie there."""

_MOST_EVENTS = 20_000  # more than that at once: look at everything instead
_JITTER = timedelta(seconds=2)  # by less than that, two looks at the clocks say the same
_CLOSING = 0.1  # seconds; the kernel tells of a close a moment before the file is closed


class Signature(NamedTuple):
    """What two looks at a file compare."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """Return the signature of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Rest(IntEnum):
    """For how long a file has been at rest; each one asks for less of the file than the last."""

    MOVING = 0
    CLOSED = 1  # just closed or moved in: taken if it is a whole PDF without a flaw
    SETTLED = 2  # unchanged for ``settle``: taken if it is a whole PDF
    OVERDUE = 3  # unchanged for ``patience``: taken as it is


class Key(NamedTuple):
    """A file in the inbox; ``folder`` is None for one that lies directly in it."""

    folder: str | None
    name: str


@dataclass(frozen=True)
class Candidate:
    """A file that may be complete: worth to be opened."""

    key: Key
    path: Path
    signature: Signature
    rest: Rest
    is_regular: bool
    is_second_look: bool = False  # it was still open at the first, right after its close


class Waiting(NamedTuple):
    """What a file in the inbox waits for, in plain words."""

    key: Key
    words: str
    until: datetime | None = None  # when it fails if it does not change


@dataclass
class _Look:
    signature: Signature
    is_regular: bool
    since: float  # monotonic: since when the signature is what it is
    closed: bool = False
    looked: Rest = Rest.MOVING  # how much rest it had when it was opened last
    in_hands: bool = False  # a candidate that nobody has answered for yet
    in_use: bool = False  # somebody had it open when it was opened last
    fails_at: datetime | None = None  # by the wall clock, as it was said last
    closing_until: float | None = None  # monotonic: when what seemed closed is looked at again


class Inbox:
    """What lies in the inbox and how long it has been at rest.

    ``notice`` may be called from any thread; everything else belongs to the daemon's.
    """

    def __init__(self, root: Path, settings: InboxSettings) -> None:
        self.root = root
        self.settings = settings
        self.problems: dict[str, str] = {}  # shown path -> what is wrong with it
        self._looks: dict[Key, _Look] = {}
        self._noticed: deque[tuple[Key, bool]] = deque(maxlen=_MOST_EVENTS)

    @property
    def waiting(self) -> int:
        """How many files are in the inbox that are not taken yet."""
        return len(self._looks)

    def waiting_files(self, most: int) -> list[Key]:
        """Return some of them, for people."""
        return sorted(self._looks, key=_by_place)[:most]

    def waits(self, most: int, now: float, wall: datetime) -> list[Waiting]:
        """Return what some of the files wait for; while nothing happens, the answer is the same."""
        keys = heapq.nsmallest(most, self._looks, key=_by_place)
        return [self._waits(key, self._looks[key], now, wall) for key in keys]

    def notice(self, key: Key, *, closed: bool) -> None:
        """Hear of an event: something happened to a file, or to a folder (an empty name)."""
        self._noticed.append((key, closed))

    @property
    def is_noticed(self) -> bool:
        """Whether there was an event since the last scan."""
        return bool(self._noticed)

    def scan(self, now: float, *, everything: bool) -> list[Candidate]:
        """Look at everything, or at what events and time make worth a look.

        Returns what may be complete, the oldest first in each folder. Folders that cannot be read
        are named in ``problems``. Raises OSError if the inbox itself cannot be read.
        """
        closed: set[Key] = set()
        folders: set[str | None] = set()
        everything = everything or len(self._noticed) == _MOST_EVENTS
        while self._noticed:
            key, is_closed = self._noticed.popleft()
            folders.add(key.folder)
            if is_closed:
                closed.add(key)
        if everything:
            folders = {None, *self._folders()}
            self.problems.clear()
            for gone in {key.folder for key in self._looks} - folders:
                self._forget_folder(gone)
        else:
            folders |= {key.folder for key, due in self._due() if due <= now}
        candidates: list[Candidate] = []
        for folder in sorted(folders, key=lambda name: name or ""):
            candidates += self._scan_folder(folder, closed, now)
        return candidates

    def next_due(self) -> float | None:
        """Return the monotonic instant at which time alone makes a file worth a look."""
        return min((due for _, due in self._due()), default=None)

    def taken(self, candidate: Candidate) -> None:
        """Hear that a candidate was claimed, or is gone."""
        self._looks.pop(candidate.key, None)

    def not_yet(self, candidate: Candidate, now: float, *, again: bool = False) -> None:
        """Hear that a candidate is not complete; ``again``: look at it again soon."""
        look = self._looks.get(candidate.key)
        if look is None:
            return
        look.in_hands = False
        look.in_use = again and look.signature == candidate.signature
        if look.signature != candidate.signature:
            if look.closed:  # written anew and closed, while the older one was looked at
                look.closing_until = now
            return
        if again:
            look.since, look.looked, look.closed = now, Rest.MOVING, False
            is_first = candidate.rest is Rest.CLOSED and not candidate.is_second_look
            look.closing_until = now + _CLOSING if is_first else None
        else:
            look.looked = candidate.rest

    # -- inside -----------------------------------------------------------------------------

    def _folders(self) -> Iterator[str]:
        with os.scandir(self.root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not is_passed_over(entry.name):
                    yield entry.name

    def _scan_folder(self, folder: str | None, closed: set[Key], now: float) -> list[Candidate]:
        path = self.root if folder is None else self.root / folder
        try:
            entries = list(_entries(path))
        except OSError as error:
            if folder is None:
                raise
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                self.problems[str(path)] = f"cannot be read: {error.strerror}"
            self._forget_folder(folder)
            return []
        seen: set[Key] = set()
        candidates: list[tuple[int, Candidate]] = []
        unsettled: list[int] = []  # when they were written, by the share's clock
        for entry, status in entries:
            if isinstance(status, OSError):
                self.problems[entry.path] = f"cannot be looked at: {status.strerror}"
                seen.add(Key(folder, entry.name))
                continue
            if stat.S_ISDIR(status.st_mode):
                if folder is not None:
                    self.problems[entry.path] = (
                        "is a folder inside a recipient folder: what lies in it is not faxed"
                    )
                continue
            key = Key(folder, entry.name)
            seen.add(key)
            candidate = self._look(key, Path(entry.path), status, now, closed=key in closed)
            look = self._looks[key]
            if candidate:
                candidates.append((status.st_mtime_ns, candidate))
            elif not look.in_hands and look.looked < Rest.SETTLED:
                unsettled.append(status.st_mtime_ns)
        self._forget_folder(folder, but=seen)
        candidates.sort(key=lambda found: (found[0], found[1].key.name))
        return self._in_order(candidates, min(unsettled, default=None))

    def _in_order(
        self, candidates: list[tuple[int, Candidate]], unsettled_since: int | None
    ) -> list[Candidate]:
        """Return candidates but those that would overtake a letter that has yet to settle."""
        kept = []
        for written, candidate in candidates:
            overtakes = unsettled_since is not None and written > unsettled_since
            if overtakes and candidate.rest is Rest.CLOSED:
                self._looks[candidate.key].in_hands = False  # for no longer than ``settle``
            else:
                kept.append(candidate)
        return kept

    def _look(
        self, key: Key, path: Path, status: os.stat_result, now: float, *, closed: bool
    ) -> Candidate | None:
        signature = Signature.of(status)
        look = self._looks.get(key)
        if look is None:
            look = self._looks[key] = _Look(signature, stat.S_ISREG(status.st_mode), now)
        elif look.signature != signature:
            look.signature, look.since = signature, now
            look.is_regular = stat.S_ISREG(status.st_mode)
            look.closed, look.looked, look.closing_until = False, Rest.MOVING, None
            look.in_use = False
        is_second_look = look.closing_until is not None and now >= look.closing_until
        if closed or is_second_look:
            look.closed, look.closing_until = True, None
            if look.looked is Rest.CLOSED:
                look.looked = Rest.MOVING
        if look.in_hands:
            return None
        rest = self._rest(look, now)
        if rest <= look.looked or (rest is Rest.CLOSED and not look.is_regular):
            return None
        look.in_hands = True
        is_second_look &= not closed
        return Candidate(key, path, signature, rest, look.is_regular, is_second_look)

    def _rest(self, look: _Look, now: float) -> Rest:
        unchanged = now - look.since
        if unchanged >= self.settings.patience:
            return Rest.OVERDUE
        if unchanged >= self.settings.settle:
            return Rest.SETTLED
        return Rest.CLOSED if look.closed else Rest.MOVING

    def _waits(self, key: Key, look: _Look, now: float, wall: datetime) -> Waiting:
        if look.looked is Rest.OVERDUE:  # it changed while it was opened
            return Waiting(key, "still changing")
        if look.in_use:
            return Waiting(key, "somebody still has it open")
        if look.looked is Rest.SETTLED:
            until = self._fails_at(look, now, wall)
            at = until.astimezone()
            day = "" if at.date() == wall.astimezone().date() else f"{at:%Y-%m-%d} "
            words = (
                f"cannot be read as a whole PDF yet, and fails at {day}{at:%H:%M} "
                "if it does not change"
            )
            return Waiting(key, words, until)
        if look.in_hands:
            return Waiting(key, "about to be taken")
        settle = f"{self.settings.settle:g} s"
        return Waiting(key, f"just arrived or still changing: it must be at rest for {settle}")

    def _fails_at(self, look: _Look, now: float, wall: datetime) -> datetime:
        """Return when a file's patience ends; the same instant until a clock is set anew."""
        left = timedelta(seconds=look.since + self.settings.patience - now)
        fails_at = (wall + left).replace(microsecond=0)
        if look.fails_at is None or abs(fails_at - look.fails_at) > _JITTER:
            look.fails_at = fails_at
        return look.fails_at

    def _due(self) -> Iterator[tuple[Key, float]]:
        for key, look in self._looks.items():
            if look.in_hands or look.looked is Rest.OVERDUE:
                continue
            if look.closing_until is not None:
                yield key, look.closing_until
            elif look.looked < Rest.SETTLED:
                yield key, look.since + self.settings.settle
            else:
                yield key, look.since + self.settings.patience

    def _forget_folder(self, folder: str | None, but: Collection[Key] = ()) -> None:
        for key, look in list(self._looks.items()):
            if key.folder == folder and key not in but and not look.in_hands:
                del self._looks[key]


def _by_place(key: Key) -> tuple[str, str]:
    return key.folder or "", key.name


def _entries(folder: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result | OSError]]:
    """Yield what lies in a folder and is not passed over; links are not followed.

    One of which the file system tells nothing keeps nobody from the others.
    """
    if folder.is_symlink():
        raise NotADirectoryError(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_passed_over(entry.name):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # gone in between: the next scan tells
                    continue
                except OSError as error:
                    yield entry, error
                else:
                    yield entry, status


def is_passed_over(name: str) -> bool:
    """Tell whether a name is that of a temporary, hidden or system file."""
    folded = name.casefold()
    return any(fnmatch.fnmatchcase(folded, pattern) for pattern in _PASSED_OVER)


class _Handler(FileSystemEventHandler):
    """Sets flags and nothing else: an exception here would end the observer's thread."""

    def __init__(self, inbox: Inbox, wake: Callable[[], None]) -> None:
        self._inbox = inbox
        self._root = str(inbox.root)
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        if not path:  # moved away, as every claim is
            return
        within = path.removeprefix(self._root).lstrip("/").split("/")
        closed = isinstance(event, FileClosedEvent | FileMovedEvent)
        if event.is_directory:
            if len(within) == 1:
                self._inbox.notice(Key(within[0], ""), closed=False)
        elif len(within) == 1:
            self._inbox.notice(Key(None, within[0]), closed=closed)
        elif len(within) == 2:  # noqa: PLR2004  (recipient folder, file; deeper is not ours)
            self._inbox.notice(Key(within[0], within[1]), closed=closed)
        self._wake()


class _Waker(FileSystemEventHandler):
    """Wakes, and nothing else."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, _event: FileSystemEvent) -> None:
        self._wake()


class Watcher:
    """Watches an inbox with inotify(7), and knows when it has gone deaf.

    A new file in ``notes`` wakes too: there lies what commands have to say to the daemon.
    """

    _EVENTS: tuple[type[FileSystemEvent], ...] = (
        FileClosedEvent,
        FileMovedEvent,
        FileCreatedEvent,
        DirMovedEvent,
        DirCreatedEvent,
    )

    def __init__(self, inbox: Inbox, wake: Callable[[], None], notes: Path | None = None) -> None:
        self._inbox = inbox
        self._handler = _Handler(inbox, wake)
        self._notes = notes
        self._waker = _Waker(wake)
        self._observer: InotifyObserver | None = None
        self._watched: tuple[int, int] | None = None

    def start(self) -> None:
        """Begin to watch. Raises OSError if the inbox is not there or watches are used up."""
        status = self._inbox.root.stat()
        # Its threads wait for this time-out and then wait again: an hour is as good as a second.
        observer = InotifyObserver(timeout=3600, generate_full_events=True)
        try:
            observer.schedule(
                self._handler,
                str(self._inbox.root),
                recursive=True,
                event_filter=list(self._EVENTS),
            )
            if self._notes is not None and self._notes.is_dir():
                observer.schedule(self._waker, str(self._notes), event_filter=[FileCreatedEvent])
            observer.start()
        except BaseException:
            observer.on_thread_stop()
            raise
        self._observer = observer
        self._watched = (status.st_dev, status.st_ino)

    def is_watching(self) -> bool:
        """Tell whether events of the inbox that is there now still arrive."""
        observer = self._observer
        if observer is None or not observer.is_alive() or not observer.emitters:
            return False
        reader = observer._inotify_fd  # noqa: SLF001  (no public name, and it can die alone)
        if not reader.is_alive() or not all(one.is_alive() for one in observer.emitters):
            return False
        try:
            status = self._inbox.root.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._watched

    def stop(self) -> None:
        """Stop watching; safe to call twice."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive() and observer is not threading.current_thread():
                observer.join()
