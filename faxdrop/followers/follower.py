"""What a follower is: somebody who hears of what ended, after it has.

A new follower is one file. It is made anew for each config, so what it has to remember is kept by
its cursor, and all else can be found out again. It works in a thread of the followers' own, where
it may wait for disks, programs and networks: nothing waits for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from faxdrop.followers.cursor import Cursor, Line
from faxdrop.journal.history import ENDS
from faxdrop.journal.lines import Head, LineContent


class FollowerError(Exception):
    """It did not work now, and is tried again. The text is for people, and holds no secret."""


@dataclass(frozen=True)
class Turn:
    """How things stand when a follower has its turn."""

    cursor: Cursor
    head: Head  # where the journal ends, durably
    standing: Mapping[str, Any]  # faxdrop-status/1: holds, waiting, problems; {}: not known yet
    at: datetime  # UTC
    append: Callable[[LineContent], Head]  # writes a line; raises OSError


class Follower(ABC):
    """One that looks at how things stand when there is news, and at instants of its own.

    News are a line in the journal and another standing.
    """

    name: str  # of its cursor, and for people: letters, digits, - and _
    gathers: ClassVar[float] = 0.0  # seconds between news and its turn: much news is one turn
    behind: ClassVar[str] = ""  # the name of another one, if there is one, that has each line first
    from_start: ClassVar[bool] = False  # a new one begins at the journal's first line, not its end

    @abstractmethod
    def turn(self, now: Turn) -> float | None:
        """Do all that is to be done; return the seconds until it wants a turn without any news.

        None: never. After a FollowerError or an OSError it has another turn, with pauses that grow
        up to an hour.
        """

    def give_up(self, now: Turn) -> str:
        """Pass over the step that was tried in vain for a day; return what that was, for people.

        "": there is nothing to pass over, and it is tried on.
        """
        del now
        return ""

    def last(self, now: Turn) -> None:  # noqa: B027 - most have none
        """Say a last word, which takes no time: the daemon stops. Raises as ``turn``."""

    def stop(self) -> None:  # noqa: B027 - most hold nothing
        """End what is under way and let go of everything; called once, from another thread.

        Waits for nothing. There is no turn after it, but there may be a last word.
        """

    @property
    def problems(self) -> dict[str, str]:
        """What is not as it should be, and why, for ``faxdrop status``."""
        return {}


class LineFollower(Follower):
    """One that is given each line of the journal, in order, at least once."""

    events: ClassVar[tuple[str, ...]] = ENDS
    """Which lines; documents that ended before there was a journal are never among them."""

    @abstractmethod
    def take(self, line: Line) -> None:
        """Take a line. If that raises FollowerError or OSError, it is given again later."""

    def turn(self, now: Turn) -> float | None:
        """Take what is new."""
        if now.cursor.is_new:
            now.cursor.keep({})
        passed = None
        for line in now.cursor.lines():
            if line.content.get("event") in self.events and not line.content.get("taken_in"):
                self.take(line)
                now.cursor.done(line)
                passed = None
            else:
                passed = line
        if passed is not None:
            now.cursor.done(passed)
        return None

    def give_up(self, now: Turn) -> str:
        """Pass over the line that it could not take."""
        for line in now.cursor.lines():
            if line.content.get("event") in self.events and not line.content.get("taken_in"):
                now.cursor.done(line)
                return words_of(line)
        return ""


def words_of(line: Line) -> str:
    """Return what a line is about: its number, and the document's name if there is one."""
    document = line.content.get("document")
    name = document.get("name") if isinstance(document, dict) else None
    return f"{line.head.seq} ({name})" if name else str(line.head.seq)
