"""A follower's seat: its cursor, when it has its next turn, and how long it has been failing.

The driver keeps the seats in the loop's thread. ``work`` and ``last`` run in the follower's, where
they alone use the cursor; what they return goes back to the loop.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from faxdrop.followers.cursor import Cursor
from faxdrop.followers.follower import Follower, FollowerError, Turn
from faxdrop.journal.lines import Head
from faxdrop.names.printable import of_file, shown

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.stdlib.get_logger(__name__)

_FIRST, _LONGEST = 5.0, 3600.0  # seconds between two tries, doubled with each failure
_GIVES_UP = 86400.0  # seconds of failing


class Failed(NamedTuple):
    """How a turn failed."""

    why: str
    gave_up: str  # what was skipped, "" if nothing


class Seat:
    """The seat of one follower."""

    def __init__(
        self,
        follower: Follower,
        cursor: Cursor,
        begin: Head | None,
        monotonic: Callable[[], float],
    ) -> None:
        self.follower = follower
        self.cursor = cursor
        self.begin = begin  # where a new cursor begins; None: at the end, once it is known
        self._monotonic = monotonic
        self.successor: Follower | None = None  # of a newer config, takes over after this turn
        self.is_wanted = True
        self.is_at_work = False
        self.due: float | None = 0.0  # monotonic
        self.heard = -1  # the number of the news that its last turn knew
        self.news_at = 0.0  # monotonic: when the first that it did not know came
        self.pause = 0.0
        self.trouble = ""
        self.said: list[tuple[datetime, str]] = []  # problems that people should see for a while
        self._not_before = 0.0  # monotonic: the pause after a failure ends
        self._failing_since: float | None = None  # monotonic; in this process
        self._failed_before = 0.0  # seconds; in earlier processes

    # -- in the loop's thread ---------------------------------------------------------------

    def next_turn(self, news: int) -> float | None:
        """Return when it has its next turn, monotonic; ``news`` is the number of the latest."""
        if self.is_at_work:
            return None
        dues = [] if self.due is None else [self.due]
        if self.heard != news:
            dues.append(self.news_at + self.follower.gathers)
        return max(min(dues), self._not_before) if dues else None

    def take_over(self, follower: Follower) -> None:
        """Give the seat to the follower of a newer config, which has a turn at once."""
        self.follower, self.successor = follower, None
        self.due, self._not_before, self.pause, self.trouble = 0.0, 0.0, 0.0, ""

    def went_well(self, pause: float | None) -> None:
        """Note the end of a turn, and in how many seconds it wants the next one."""
        self.pause = self._not_before = 0.0
        self.trouble = ""
        self.due = None if pause is None else self._monotonic() + pause

    def went_wrong(self, failed: Failed) -> None:
        """Note that a turn failed: the next one comes after a pause, or at once if it gave up."""
        self.trouble = failed.why
        if failed.gave_up:
            self.pause = self._not_before = 0.0
            self.due = self._monotonic()
        else:
            self.pause = min(max(2 * self.pause, _FIRST), _LONGEST)
            self.due = self._not_before = self._monotonic() + self.pause

    # -- in the follower's thread -----------------------------------------------------------

    def work(self, turn_of: Callable[[], Turn]) -> float | Failed | None:
        """Run a turn; return when it wants the next one, or how it failed."""
        before: Head | None = None
        now: Turn | None = None
        try:
            now = turn_of()
            before = self.cursor.head
            pause = self.follower.turn(now)
            self._is_well()
        except (FollowerError, OSError) as error:
            why = why_of(error)
        except Exception as error:
            log.exception("follower.broken", follower=self.follower.name)
            why = type(error).__name__
        else:
            return pause
        gave_up = ""
        if now is not None:
            try:
                if self.cursor.head != before:
                    self._is_well()
                gave_up = self._has_failed(now)
            except (FollowerError, OSError) as error:
                log.warning(
                    "follower.not_noted", follower=self.follower.name, why=shown(str(error))
                )
        return Failed(why, gave_up)

    def last(self, turn_of: Callable[[], Turn]) -> Failed | None:
        """Let it have its last word; return how that failed."""
        try:
            self.follower.last(turn_of())
        except (FollowerError, OSError) as error:
            return Failed(why_of(error), "")
        return None

    def _is_well(self) -> None:
        self._failing_since = None
        self.cursor.fails(0.0)

    def _has_failed(self, now: Turn) -> str:
        """Record a failure, and give up after a day of failing; return what was skipped."""
        moment = self._monotonic()
        if self._failing_since is None:
            self._failing_since, self._failed_before = moment, self.cursor.failing
        failing = self._failed_before + moment - self._failing_since
        gave_up = self.follower.give_up(now) if failing >= _GIVES_UP else ""
        if gave_up:
            self._is_well()
        else:
            self.cursor.fails(failing)
        return gave_up


def why_of(error: Exception) -> str:
    """Return what an error says, for people."""
    return of_file(error) if isinstance(error, OSError) else shown(str(error))
