"""What a follower is: something that hears of ends after they happened.

A new follower is one file. Each config makes a new instance, so a follower keeps what it has to
remember in its cursor, and can find out everything else again. It works in a thread of the
followers' own, where it may wait for disks, programs and networks: nothing waits for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from faxdrop.followers.cursor import Cursor, Line
from faxdrop.journal.history import ENDS, part
from faxdrop.journal.lines import Head, LineContent


class FollowerError(Exception):
    """It failed, and is tried again. The text is for people and contains no secret."""


@dataclass(frozen=True)
class Turn:
    """How things stand when a follower has its turn."""

    cursor: Cursor
    head: Head  # where the journal ends, durably
    standing: Mapping[str, Any]  # faxdrop-status/1: holds, waiting, problems; {}: not known yet
    at: datetime  # UTC
    append: Callable[[LineContent], Head]  # writes a line; raises OSError


class Follower(ABC):
    """One that has a turn when there is news, and at instants of its own choice.

    News is a new line in the journal or a changed standing.
    """

    name: str  # of its cursor, and for people: letters, digits, - and _
    gathers: ClassVar[float] = 0.0  # seconds between news and its turn: one turn for much news
    behind: ClassVar[str] = ""  # the follower that has each line first, if it exists
    from_start: ClassVar[bool] = False  # a new one begins at the journal's first line, not its end

    @abstractmethod
    def turn(self, now: Turn) -> float | None:
        """Do everything that is due; return in how many seconds it wants a turn even without news.

        None: never. After a FollowerError or an OSError it has another turn, with pauses that grow
        up to an hour.
        """

    def give_up(self, now: Turn) -> str:
        """Skip the step that has failed for a day; return what that was, for people.

        "": there is nothing to skip, and the step is tried again.
        """
        del now
        return ""

    def last(self, now: Turn) -> None:  # noqa: B027 - most have none
        """Have a last word, which must be quick: the daemon stops. Raises what ``turn`` raises."""

    def stop(self) -> None:  # noqa: B027 - most hold nothing
        """End what is under way and release everything; called once, from another thread.

        Does not wait. No turn follows, but a last word may.
        """

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, and why, for ``faxdrop status``."""
        return {}


class LineFollower(Follower):
    """One that is given each line of the journal, in order, at least once."""

    events: ClassVar[tuple[str, ...]] = ENDS
    """Which lines; documents that ended before there was a journal are never among them."""

    @abstractmethod
    def take(self, line: Line) -> None:
        """Take a line. After a FollowerError or an OSError, the same line comes again later."""

    def turn(self, now: Turn) -> float | None:
        """Take the new lines."""
        for _line in done_lines(now.cursor, self._has_taken):
            pass
        return None

    def give_up(self, now: Turn) -> str:
        """Skip the line that it could not take."""
        for line in now.cursor.lines():
            if self._is_wanted(line):
                now.cursor.done(line)
                return words_of(line)
        return ""

    def _has_taken(self, line: Line) -> bool:
        if self._is_wanted(line):
            self.take(line)
            return True
        return False

    def _is_wanted(self, line: Line) -> bool:
        return line.content.get("event") in self.events and not line.content.get("taken_in")


def done_lines(cursor: Cursor, take: Callable[[Line], bool]) -> Iterator[Line]:
    """Take the new lines in order; yield each that was taken once that is recorded.

    ``take`` returns False if a line is nothing to it. Such lines are recorded with the next one
    that is taken, or at the end: many of them cost one write.
    """
    if cursor.is_new:
        cursor.keep({})
    passed = None
    for line in cursor.lines():
        if take(line):
            cursor.done(line)
            passed = None
            yield line
        else:
            passed = line
    if passed is not None:
        cursor.done(passed)


def words_of(line: Line) -> str:
    """Return what a line is about: its number, and the document's name if there is one."""
    name = part(line.content, "document").get("name")
    return f"{line.head.seq} ({name})" if name else str(line.head.seq)
