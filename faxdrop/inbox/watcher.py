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

# watchdog holds back the event of a file that was moved away for half a second, and all later
# events with it, to pair it with the file's new place. Every claim is such a move, and nobody here
# needs the pairs.
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
    """Wakes the loop and does nothing else."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, _event: FileSystemEvent) -> None:
        self._wake()


class Watcher:
    """Watches an inbox with inotify(7), and notices when no more events can arrive.

    A new file in ``notes`` wakes too: that is where commands leave notes for the daemon.
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
        """Start watching. Raises OSError if the inbox is not there or there are no watches left."""
        status = self._inbox.root.stat()
        # watchdog's threads only wait again after this time-out, so it may as well be an hour.
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
        """Return whether events still arrive from the inbox that is there now."""
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
