"""Which folder of the inbox is read next.

First those in which a PDF was closed, then those that other events name, then those with a file
that is due, then all others.
"""

import os
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from faxdrop.inbox.looks import Candidate


class Progress(NamedTuple):
    """How far the scan of the whole inbox is."""

    folders: int  # that are read
    of: int


class Cause(IntEnum):
    """Why a folder is read."""

    CLOSED = 0
    EVENT = 1
    DUE = 2
    RESCAN = 3


# So that no lane starves.
_TURNS = (Cause.CLOSED, Cause.EVENT, Cause.CLOSED, Cause.EVENT, Cause.DUE, Cause.RESCAN)


@dataclass(eq=False)
class Reading:
    """One scan of a folder, a slice of its entries at a time."""

    folder: str | None
    closed: set[str]  # the names of which an event said so
    entries: deque[os.DirEntry[str]] | None = None  # None: it has not begun
    again: set[str] | None = None  # what events said since it began
    known: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    candidates: list[tuple[int, Candidate]] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)  # when written, by the share's clock
    problems: dict[str, str] = field(default_factory=dict)
    tickets: int = 0


class Rounds:
    """The folders to be read, each once, by the most urgent cause."""

    def __init__(self) -> None:
        self._lanes: dict[Cause, dict[str | None, Reading]] = {lane: {} for lane in Cause}
        self._turn = 0
        self._to_rescan = 0

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    @property
    def is_rescanning(self) -> bool:
        """Whether the scan of the whole inbox is still going on."""
        return bool(self._lanes[Cause.RESCAN])

    @property
    def progress(self) -> Progress | None:
        """How far the scan of the whole inbox is; None when it is done."""
        left = len(self._lanes[Cause.RESCAN])
        return Progress(self._to_rescan - left, self._to_rescan) if left else None

    def rescan(self, folders: Collection[str | None]) -> None:
        """Have the whole inbox read."""
        for folder in sorted(folders, key=lambda name: name or ""):
            self.enter(Cause.RESCAN, folder)
        self._to_rescan = len(self._lanes[Cause.RESCAN])

    def enter(self, lane: Cause, folder: str | None, closed: set[str] | None = None) -> None:
        """Have a folder read. One that is queued moves up; one being read is read once more."""
        closed = closed or set()
        for other, readings in self._lanes.items():
            reading = readings.get(folder)
            if reading is None:
                continue
            if reading.entries is None:
                reading.closed |= closed
            elif lane is not Cause.RESCAN:
                reading.again = (reading.again or set()) | closed
            if lane < other:
                del readings[folder]
                self._lanes[lane][folder] = reading
            return
        self._lanes[lane][folder] = Reading(folder, closed)

    def next(self) -> tuple[Cause, Reading] | None:
        """Take the folder whose turn it is, None if none is to be read."""
        for _again in _TURNS:
            lane = _TURNS[self._turn % len(_TURNS)]
            self._turn += 1
            for folder, reading in self._lanes[lane].items():
                del self._lanes[lane][folder]
                return lane, reading
        return None

    def put_back(self, lane: Cause, reading: Reading) -> None:
        """Have the rest of a folder read after the others have had their turns."""
        self._lanes[lane][reading.folder] = reading
