"""Gives all followers their turns, each in a thread of the followers' own pool.

All methods are for the loop's thread, and none of them waits. A follower that takes long, fails or
hangs costs the others nothing.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from faxdrop.clock import Clock
from faxdrop.followers.cursor import FOLDER, Cursor
from faxdrop.followers.follower import Follower, Turn
from faxdrop.followers.seat import Failed, Seat, why_of
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import Head
from faxdrop.words import _, listed, ngettext
from faxdrop.workers import StepEnd, Steps

log = structlog.stdlib.get_logger(__name__)

_SAID_FOR = timedelta(days=1)  # for so long people are told what was skipped


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
        self._seats: dict[str, Seat] = {}
        self._leaving: list[Seat] = []
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
                work = partial(seat.work, partial(self._turn_of, seat))
                self._steps.start(self._pool, self._on_turned, seat, work)

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
                last = partial(seat.last, partial(self._turn_of, seat))
                self._steps.start(self._pool, self._on_turned, seat, last)

    # -- in the loop's thread ---------------------------------------------------------------

    def _note_news(self) -> None:
        for seat in self._seats.values():
            if seat.heard == self._news:  # else its turn for earlier news is still to come
                seat.news_at = self._clock.monotonic()
        self._news += 1

    def _due(self, seat: Seat) -> float | None:
        return None if self._stopping else seat.next_turn(self._news)

    def _seat(self, follower: Follower, begin: Head | None) -> Seat:
        cursor = Cursor(
            self._folder / f"{follower.name}.json",
            self._journal.folder,
            self._journal.disk,
            from_start=follower.from_start,
            say=lambda words: self._say(seat, words),
        )
        seat = Seat(follower, cursor, begin, self._clock.monotonic)
        return seat

    def _say(self, seat: Seat, words: str) -> None:
        seat.said.append((self._clock.now(), words))
        log.warning("follower.says", follower=seat.follower.name, words=words)

    def _succeed(self, seat: Seat, follower: Follower) -> None:
        self._let_go(seat.follower)
        seat.take_over(follower)

    def _dismiss(self, seat: Seat) -> None:
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
        seat: Seat = ended.of
        seat.is_at_work = False
        failed = ended.result if isinstance(ended.result, Failed) else None
        if ended.error is not None:  # such as a thread that could not be started
            failed = Failed(why_of(ended.error), "")
        if failed is None:
            seat.went_well(ended.result)
        else:
            seat.went_wrong(failed)
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

    def _tell(self, seat: Seat, failed: Failed) -> None:
        name = seat.follower.name
        if failed.gave_up:
            words = _("It gave up on line {line} of the journal after a day: {why}").format(
                line=failed.gave_up, why=failed.why
            )
            seat.said.append((self._clock.now(), words))
            log.error("follower.gave_up", follower=name, line=failed.gave_up, why=failed.why)
        else:
            log.warning("follower.failed", follower=name, why=failed.why, again_in=seat.pause)

    # -- in the follower's thread -----------------------------------------------------------

    def _turn_of(self, seat: Seat) -> Turn:
        head = self._journal.settled()
        cursor = seat.cursor
        cursor.open(seat.begin or head, head)
        ahead = self._seats.get(seat.follower.behind)
        if ahead is not None:
            done = ahead.cursor.head if ahead.cursor.is_open else Head()
            cursor.open(head, min(head, max(done, cursor.head, key=_seq), key=_seq))
        return Turn(cursor, head, self._standing, self._clock.now(), self._journal.append)


def _seq(head: Head) -> int:
    return head.seq
