"""Gives all followers their turns, each in a thread of the followers' own pool.

All methods are for the loop's thread, and none of them waits. A follower that takes long, fails or
hangs costs the others nothing.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog

from faxdrop.clock import Clock
from faxdrop.followers.cursor import FOLDER, Cursor
from faxdrop.followers.follower import Follower, FollowerError, Turn
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import Head
from faxdrop.names.printable import of_file, shown
from faxdrop.words import _, listed, ngettext
from faxdrop.workers import StepEnd, Steps

log = structlog.stdlib.get_logger(__name__)

_FIRST, _LONGEST = 5.0, 3600.0  # seconds between two tries, doubled with each failure
_GIVES_UP = 86400.0  # seconds of failing
_SAID_FOR = timedelta(days=1)  # for so long people are told what was skipped


class _Failed(NamedTuple):
    why: str
    gave_up: str  # what was skipped, "" if nothing


class _Seat:
    """A follower, its cursor, and when it has its next turn."""

    def __init__(self, follower: Follower, begin: Head | None) -> None:
        self.follower = follower
        self.begin = begin  # where a new cursor begins; None: at the end, once it is known
        self.successor: Follower | None = None  # of a newer config, takes over after this turn
        self.is_wanted = True
        self.is_at_work = False
        self.due: float | None = 0.0  # monotonic
        self.heard = -1  # the number of the news that its last turn knew
        self.news_at = 0.0  # monotonic: when the first that it did not know came
        self.not_before = 0.0  # monotonic: the pause after a failure ends
        self.pause = 0.0
        self.failing_since: float | None = None  # monotonic; in this process
        self.failed_before = 0.0  # seconds; in earlier processes
        self.trouble = ""
        self.said: list[tuple[datetime, str]] = []  # problems that people should see for a while
        self.cursor: Cursor


class Followers:
    """All followers of one root's journal."""

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
    ) -> None:
        self._journal = journal
        self._folder = journal.folder.parent / FOLDER
        self._clock = clock
        self._steps = steps
        self._pool = pool
        self._seats: dict[str, _Seat] = {}
        self._leaving: list[_Seat] = []
        self._standing: Mapping[str, Any] = {}
        self._written = 0
        self._news = 0  # counts up
        self._stopping = False

    @property
    def under_way(self) -> int:
        """How many followers are in their turn."""
        return sum(seat.is_at_work for seat in (*self._seats.values(), *self._leaving))

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, and why. What several have in common is said once."""
        found: dict[str, str] = {}
        alike: dict[str, list[str]] = {}
        for name, seat in self._seats.items():
            found |= seat.follower.problems
            seat.said = [one for one in seat.said if one[0] > self._clock.now() - _SAID_FOR]
            words = [words for _at, words in seat.said]
            if seat.trouble:
                words.append(_("It fails and is tried again: {why}").format(why=seat.trouble))
            if words:
                alike.setdefault(" ".join(words), []).append(name)
        for why, names in alike.items():
            who = ngettext("The follower {name}:", "The followers {names}:", len(names))
            found[who.format(name=names[0], names=listed(names))] = why
        return found

    def follow(self, wanted: Iterable[Follower]) -> None:
        """Set who follows: these and no others. Called at the start and after each reload."""
        begin = None
        with suppress(OSError):  # a full disk: it then begins at a later end of the journal
            begin = self._journal.head()
        chosen = {follower.name: follower for follower in wanted}
        for name in self._seats.keys() - chosen.keys():
            self._dismiss(self._seats.pop(name))
        for name, follower in chosen.items():
            seat = self._seats.get(name)
            if seat is None:
                self._seats[name] = self._seat(follower, begin)
            elif seat.is_at_work:
                self._let_go(seat.successor)
                seat.successor = follower
            else:
                self._succeed(seat, follower)
        self._forget_others()

    def hear(self, standing: Mapping[str, Any]) -> None:
        """Take how things stand now (faxdrop-status/1). The mapping must not change afterwards."""
        self._standing = standing
        self._note_news()

    def turn(self) -> None:
        """Start the turn of every follower that is due."""
        if self._journal.written != self._written:
            self._written = self._journal.written
            self._note_news()
        now = self._clock.monotonic()
        for seat in self._seats.values():
            if (due := self._due(seat)) is not None and due <= now:
                seat.heard = self._news
                seat.is_at_work = True
                self._steps.start(self._pool, self._on_turned, seat, partial(self._do, seat))

    def dues(self) -> list[float]:
        """Return the monotonic instants at which a follower is due."""
        return [due for seat in self._seats.values() if (due := self._due(seat)) is not None]

    def withhold(self) -> None:
        """Start no more turns: the daemon stops."""
        self._stopping = True

    def stop(self) -> None:
        """End the turns under way. What is not done is done after the next start."""
        self._stopping = True
        for seat in (*self._seats.values(), *self._leaving):
            self._let_go(seat.follower)
            self._let_go(seat.successor)
            seat.successor = None

    def last(self) -> None:
        """Give every follower that is not in a turn its last word."""
        for seat in self._seats.values():
            if not seat.is_at_work:
                seat.is_at_work = True
                self._steps.start(self._pool, self._on_turned, seat, partial(self._last, seat))

    # -- in the loop's thread ---------------------------------------------------------------

    def _note_news(self) -> None:
        for seat in self._seats.values():
            if seat.heard == self._news:  # else its turn for earlier news is still to come
                seat.news_at = self._clock.monotonic()
        self._news += 1

    def _due(self, seat: _Seat) -> float | None:
        if seat.is_at_work or self._stopping:
            return None
        dues = [] if seat.due is None else [seat.due]
        if seat.heard != self._news:
            dues.append(seat.news_at + seat.follower.gathers)
        return max(min(dues), seat.not_before) if dues else None

    def _seat(self, follower: Follower, begin: Head | None) -> _Seat:
        seat = _Seat(follower, begin)
        seat.cursor = Cursor(
            self._folder / f"{follower.name}.json",
            self._journal.folder,
            self._journal.disk,
            from_start=follower.from_start,
            say=partial(self._say, seat),
        )
        return seat

    def _say(self, seat: _Seat, words: str) -> None:
        seat.said.append((self._clock.now(), words))
        log.warning("follower.says", follower=seat.follower.name, words=words)

    def _succeed(self, seat: _Seat, follower: Follower) -> None:
        self._let_go(seat.follower)
        seat.follower, seat.successor = follower, None
        seat.due, seat.not_before, seat.pause, seat.trouble = 0.0, 0.0, 0.0, ""

    def _dismiss(self, seat: _Seat) -> None:
        seat.is_wanted = False
        self._let_go(seat.follower)
        self._let_go(seat.successor)
        if seat.is_at_work:
            self._leaving.append(seat)

    def _let_go(self, follower: Follower | None) -> None:
        if follower is not None:
            try:
                follower.stop()
            except Exception:
                log.exception("follower.not_stopped", follower=follower.name)

    def _forget_others(self) -> None:
        """Remove the cursors of former followers: switched on again, they would begin years ago."""
        with suppress(OSError):
            for path in self._folder.glob("*.json"):
                if path.stem not in self._seats:
                    self._journal.disk.remove(path)

    def _on_turned(self, ended: StepEnd) -> None:
        seat: _Seat = ended.of
        seat.is_at_work = False
        now = self._clock.monotonic()
        failed = ended.result if isinstance(ended.result, _Failed) else None
        if ended.error is not None:  # such as a thread that could not be started
            failed = _Failed(_words_of(ended.error), "")
        if failed is None:
            seat.pause = seat.not_before = 0.0
            seat.trouble = ""
            seat.due = None if ended.result is None else now + ended.result
        else:
            seat.pause = min(max(2 * seat.pause, _FIRST), _LONGEST)
            seat.due = seat.not_before = now + seat.pause
            self._tell(seat, failed)
        for other in self._seats.values():
            if other.follower.behind == seat.follower.name:
                other.heard = -1
        if not seat.is_wanted:
            self._leaving.remove(seat)
            if seat.follower.name not in self._seats:
                self._forget_others()
        elif seat.successor is not None:
            self._succeed(seat, seat.successor)

    def _tell(self, seat: _Seat, failed: _Failed) -> None:
        name = seat.follower.name
        seat.trouble = failed.why
        if failed.gave_up:
            words = _("It gave up on line {line} of the journal after a day: {why}").format(
                line=failed.gave_up, why=failed.why
            )
            seat.said.append((self._clock.now(), words))
            seat.pause = seat.not_before = 0.0
            seat.due = self._clock.monotonic()
            log.error("follower.gave_up", follower=name, line=failed.gave_up, why=failed.why)
        else:
            log.warning("follower.failed", follower=name, why=failed.why, again_in=seat.pause)

    # -- in the follower's thread -----------------------------------------------------------

    def _do(self, seat: _Seat) -> float | _Failed | None:
        """Run the turn of a follower; return when it wants the next one, or why it failed."""
        before: Head | None = None
        now: Turn | None = None
        try:
            now = self._turn_of(seat)
            before = seat.cursor.head
            pause = seat.follower.turn(now)
            self._is_well(seat)
        except (FollowerError, OSError) as error:
            why = _words_of(error)
        except Exception as error:
            log.exception("follower.broken", follower=seat.follower.name)
            why = type(error).__name__
        else:
            return pause
        gave_up = ""
        if now is not None:
            try:
                if seat.cursor.head != before:
                    self._is_well(seat)
                gave_up = self._has_failed(seat, now)
            except (FollowerError, OSError) as error:
                log.warning(
                    "follower.not_noted", follower=seat.follower.name, why=shown(str(error))
                )
        return _Failed(why, gave_up)

    def _last(self, seat: _Seat) -> _Failed | None:
        try:
            seat.follower.last(self._turn_of(seat))
        except (FollowerError, OSError) as error:
            return _Failed(_words_of(error), "")
        return None

    def _turn_of(self, seat: _Seat) -> Turn:
        head = self._journal.settled()
        cursor = seat.cursor
        cursor.open(seat.begin or head, head)
        ahead = self._seats.get(seat.follower.behind)
        if ahead is not None:
            done = ahead.cursor.head if ahead.cursor.is_open else Head()
            cursor.open(head, min(head, max(done, cursor.head, key=_seq), key=_seq))
        return Turn(cursor, head, self._standing, self._clock.now(), self._journal.append)

    def _is_well(self, seat: _Seat) -> None:
        seat.failing_since = None
        seat.cursor.fails(0.0)

    def _has_failed(self, seat: _Seat, now: Turn) -> str:
        """Record a failure, and give up after a day of failing; return what was skipped."""
        moment = self._clock.monotonic()
        if seat.failing_since is None:
            seat.failing_since, seat.failed_before = moment, seat.cursor.failing
        failing = seat.failed_before + moment - seat.failing_since
        gave_up = seat.follower.give_up(now) if failing >= _GIVES_UP else ""
        if gave_up:
            self._is_well(seat)
        else:
            seat.cursor.fails(failing)
        return gave_up


def _seq(head: Head) -> int:
    return head.seq


def _words_of(error: Exception) -> str:
    return of_file(error) if isinstance(error, OSError) else shown(str(error))
