"""The watchdog events that wake the scan of the inbox, and whether they still arrive."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

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

from faxdrop.inbox.looks import Key
from faxdrop.inbox.scan import Inbox
from faxdrop.names.passed_over import is_passed_over

# watchdog holds a file that was moved away back for half a second, and all later events behind it,
# to pair it with where it went. Every claim is such a move, and nobody here needs the pairs.
InotifyMoveEventGrouper.delay = 0.01


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
        if any(is_passed_over(name) for name in within):
            return
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
        """Return whether events of the inbox that is there now still arrive."""
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
