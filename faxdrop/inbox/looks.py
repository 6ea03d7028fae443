"""What was seen of the files in the inbox: how long each has been at rest, and when it is due.

No I/O and no clock; instants are monotonic seconds. The cost of each call depends on one folder or
one file, never on the size of the whole inbox.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from faxdrop.documents.opening import Signature
from faxdrop.words import _, number, short_moment

_JITTER = timedelta(seconds=2)  # by less than that, two looks at the clocks say the same
_CLOSING = 0.1  # seconds; the kernel tells of a close a moment before the file is closed
_FIRST, _LONGEST = 2.0, 60.0  # seconds between two tries of what the system refuses


class Rest(IntEnum):
    """How long a file has been at rest; the longer, the less is asked of the file."""

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
    """A file that may be complete: worth opening."""

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
class Look:
    """What the last look at a file saw."""

    signature: Signature
    is_regular: bool
    since: float  # since when the signature is what it is
    is_pdf: bool  # by its name: only then a close says that it is done
    closed: bool = False
    looked: Rest = Rest.MOVING  # how much rest it had when it was opened last
    in_hands: bool = False  # a candidate that nobody has answered for yet
    in_use: bool = False  # somebody had it open when it was opened last
    ends_at: datetime | None = None  # by the wall clock, as it was said last
    closing_until: float | None = None  # when what seemed closed is looked at again
    refused: str = ""  # why the system did not let us take it, in words
    retry_at: float | None = None  # when what was refused is tried again
    pause: float = 0.0  # seconds before the try after that, halved
    due: float | None = None  # when time alone makes it worth a look

    def sees(self, signature: Signature, now: float, *, is_regular: bool) -> None:
        """Note what the file is now."""
        if self.signature != signature:
            self.signature, self.since, self.is_regular = signature, now, is_regular
            self.closed, self.looked, self.closing_until = False, Rest.MOVING, None
            self.in_use, self.refused, self.retry_at, self.pause = False, "", None, 0.0

    def hears(self, now: float, *, closed: bool) -> bool:
        """Note a close, or the time; return whether this is the second look after a close."""
        is_second_look = self.closing_until is not None and now >= self.closing_until
        if closed or is_second_look:
            self.closed, self.closing_until = True, None
            if self.looked is Rest.CLOSED:
                self.looked = Rest.MOVING
        if self.retry_at is not None and now >= self.retry_at:
            self.looked, self.retry_at = Rest.MOVING, None
        return is_second_look and not closed

    def is_worth(self, rest: Rest) -> bool:
        """Return whether so much rest makes it worth opening; never while it is a candidate."""
        if self.in_hands or rest <= self.looked:
            return False
        return self.is_regular or rest is not Rest.CLOSED

    def not_yet(self, candidate: Candidate, now: float, *, again: bool) -> None:
        """Note that a candidate from this look is not complete."""
        self.in_hands = False
        self.in_use = again and self.signature == candidate.signature
        self.refused, self.retry_at = "", None
        if self.signature != candidate.signature:
            if self.closed:  # written anew and closed, while the older one was looked at
                self.closing_until = now
        elif again:
            self.since, self.looked, self.closed = now, Rest.MOVING, False
            is_first = candidate.rest is Rest.CLOSED and not candidate.is_second_look
            self.closing_until = now + _CLOSING if is_first else None
        else:
            self.looked = candidate.rest

    def was_refused(self, candidate: Candidate, words: str, now: float) -> None:
        """Note that the system did not let us take it: it is tried again, less and less often."""
        self.not_yet(candidate, now, again=False)
        self.refused = words
        self.pause = min(max(2 * self.pause, _FIRST), _LONGEST)
        self.retry_at = now + self.pause

    def rest(self, now: float, settle: float, patience: float) -> Rest:
        """Return how long it has been at rest."""
        unchanged = now - self.since
        if unchanged >= patience:
            return Rest.OVERDUE
        if unchanged >= settle:
            return Rest.SETTLED
        return Rest.CLOSED if self.closed and self.is_pdf else Rest.MOVING

    def next_due(self, settle: float, patience: float) -> float | None:
        """Return when time alone makes it worth a look."""
        if self.in_hands:
            return None
        dues = [] if self.retry_at is None else [self.retry_at]
        if self.looked is not Rest.OVERDUE:
            if self.closing_until is not None:
                dues.append(self.closing_until)
            else:
                rest = settle if self.looked < Rest.SETTLED else patience
                dues.append(self.since + rest)
        return min(dues, default=None)

    def words(
        self, now: float, wall: datetime, settle: float, patience: float
    ) -> tuple[str, datetime | None]:
        """Say what the file waits for, and when that ends if it does not change."""
        if self.refused:
            return self.refused, None
        if self.looked is Rest.OVERDUE:  # it changed while it was opened
            return _("still changing"), None
        if self.in_use:
            return _("somebody still has it open"), None
        if self.looked is Rest.SETTLED:
            until = self._patience_ends_at(now, wall, patience)
            is_today = until.astimezone().date() == wall.astimezone().date()
            at = f"{until.astimezone():%H:%M}" if is_today else short_moment(until)
            words = _(
                "does not look complete yet, and is taken as it is at {at} if it does not change"
            )
            return words.format(at=at), until
        if self.in_hands:
            return _("about to be taken"), None
        words = _("just arrived or still changing: it must stay unchanged for {settle} s").format(
            settle=number(settle)
        )
        return words, None

    def _patience_ends_at(self, now: float, wall: datetime, patience: float) -> datetime:
        """Return when its patience ends: always the same instant, until a clock is set."""
        left = timedelta(seconds=self.since + patience - now)
        ends_at = (wall + left).replace(microsecond=0)
        if self.ends_at is None or abs(ends_at - self.ends_at) > _JITTER:
            self.ends_at = ends_at
        return self.ends_at


class Looks:
    """The looks at all files, by folder, and the instants at which they are due."""

    def __init__(self) -> None:
        self._folders: dict[str | None, dict[str, Look]] = {}
        self._count = 0
        self._dues: list[tuple[float, int, Key]] = []
        self._order = count()

    def __len__(self) -> int:
        return self._count

    def get(self, key: Key) -> Look | None:
        """Return what was seen of a file."""
        return self._folders.get(key.folder, {}).get(key.name)

    def put(self, key: Key, look: Look) -> None:
        """Remember what was seen of a file."""
        folder = self._folders.setdefault(key.folder, {})
        self._count += key.name not in folder
        folder[key.name] = look

    def remove(self, key: Key) -> None:
        """Forget a file."""
        folder = self._folders.get(key.folder, {})
        if folder.pop(key.name, None) is not None:
            self._count -= 1
            if not folder:
                del self._folders[key.folder]

    def names(self, folder: str | None) -> set[str]:
        """Return the names of the files known in a folder."""
        return set(self._folders.get(folder, ()))

    @property
    def folders(self) -> set[str | None]:
        """The folders in which files are known."""
        return set(self._folders)

    def first(self, most: int) -> list[tuple[Key, Look]]:
        """Return the first ones, by folder and name."""
        return list(islice(self._sorted(), most))

    def _sorted(self) -> Iterator[tuple[Key, Look]]:
        for folder in sorted(self._folders, key=lambda name: name or ""):
            for name, look in sorted(self._folders[folder].items()):
                yield Key(folder, name), look

    # -- dues -------------------------------------------------------------------------------

    def set_due(self, key: Key, look: Look, due: float | None) -> None:
        """Have a file looked at again at an instant, not before; None: only on an event."""
        if due is not None and look.due != due:
            heapq.heappush(self._dues, (due, next(self._order), key))
        look.due = due

    def next_due(self) -> float | None:
        """Return the first instant at which a file is due."""
        while self._dues:
            due, _, key = self._dues[0]
            look = self.get(key)
            if look is not None and look.due == due:
                return due
            heapq.heappop(self._dues)
        return None

    def take_due(self, now: float) -> Iterator[str | None]:
        """Yield the folders of the files that are due; each file is due once."""
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._dues)
            if (look := self.get(key)) is not None:
                look.due = None
            yield key.folder
