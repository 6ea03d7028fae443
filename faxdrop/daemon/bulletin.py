"""What the daemon says of itself: to systemd, to ``faxdrop status`` and to the followers.

``status.json`` (format ``faxdrop-status/1``) holds what ``faxdrop status`` cannot see for itself.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from faxdrop import __version__
from faxdrop.backoff import Trouble
from faxdrop.clock import Clock
from faxdrop.daemon.bookkeeping import Bookkeeping
from faxdrop.daemon.systemd import Notifier
from faxdrop.fax.sentences import SHARED_ADVICE
from faxdrop.followers.driver import Followers
from faxdrop.inbox.looks import Waiting
from faxdrop.inbox.pickup import Pickup
from faxdrop.names.printable import shown
from faxdrop.queue.dispatcher import Dispatcher
from faxdrop.spool.root import Spool
from faxdrop.words import N_, _

_EVERY = 1.0  # seconds between two bulletins: much news is one
_CONFIG = N_("The config")  # stands where a path does: the daemon is not told where its config lies


class Bulletin:
    """Says how things stand when that has changed. Owns what was said last; decides nothing.

    Only for the loop's thread.
    """

    def __init__(
        self,
        spool: Spool,
        dispatcher: Dispatcher,
        books: Bookkeeping,
        followers: Followers,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._dispatcher = dispatcher
        self._books = books
        self._followers = followers
        self._notifier = notifier
        self._clock = clock
        self.has_news = True  # something may have changed that is not said yet
        self.rejected = ""  # what is wrong with the config that was not taken
        self._started_at = clock.now()
        self._said: dict[str, object] = {}
        self._say_at = self._feed_at = 0.0  # monotonic

    def say(
        self, pickup: Pickup, holding: Callable[[], Mapping[str, Trouble]], *, is_away: bool
    ) -> None:
        """Feed the watchdog, and say what is new; ``is_away``: the root is.

        ``holding`` returns what holds; it is asked only where there is news.
        """
        now = self._clock.monotonic()
        interval = self._notifier.watchdog_interval
        if interval is not None and now >= self._feed_at:
            self._notifier.watchdog()
            self._feed_at = now + interval
        if not self.has_news or now < self._say_at:
            return
        self._say_at = now + _EVERY
        self.has_news = False
        troubles = holding()
        standing = self._standing(pickup, troubles)
        if standing == self._said:
            return
        self._followers.hear(standing)
        self._notifier.status(self._summary(troubles, is_away=is_away))
        if not is_away:
            try:
                self._spool.notes.write_status(standing)
            except OSError:
                self.has_news = True  # a full disk, or a root that goes away: again in a moment
                return
        self._said = standing

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to say."""
        dues = [] if self._notifier.watchdog_interval is None else [self._feed_at]
        if self.has_news:
            dues.append(self._say_at)
        return dues

    # -- inside -----------------------------------------------------------------------------

    def _standing(self, pickup: Pickup, troubles: Mapping[str, Trouble]) -> dict[str, object]:
        """Return what ``faxdrop status`` cannot see for itself."""
        progress = pickup.progress
        problems = self._problems(pickup, troubles)
        return {
            "format": "faxdrop-status/1",
            "faxdrop": __version__,
            "pid": os.getpid(),
            "started_at": _utc(self._started_at),
            "watching": pickup.is_watching,
            "inbox": pickup.waiting,
            "scanning": None if progress is None else progress._asdict(),
            "holds": _holds(troubles),
            "waiting": _waits(pickup.waits()),
            "problems": [{"path": path, "problem": why} for path, why in problems.items()],
            "states": self._dispatcher.states,
        }

    def _problems(self, pickup: Pickup, troubles: Mapping[str, Trouble]) -> dict[str, str]:
        found = pickup.problems | self._dispatcher.health.refusals.problems
        problems = {shown(path): why for path, why in sorted(found.items())}
        problems |= _beside(troubles, self._books.problems | self._followers.problems)
        if self.rejected:
            problems[_(_CONFIG)] = _(
                "was rejected at a reload, so the previous one stays in force: {why}"
            ).format(why=shown(self.rejected))
        for faxline in self._dispatcher.shared_lines:
            problems[_("The fax line {faxline}").format(faxline=faxline)] = _(
                "is also used by another faxdrop on this machine, so a fax whose answer is lost "
                "ends as outcome_unknown. {advice}"
            ).format(advice=_(SHARED_ADVICE))
        return problems

    def _summary(self, troubles: Mapping[str, Trouble], *, is_away: bool) -> str:
        """Return one line for ``systemctl status``."""
        if is_away:
            return _("{root} is away").format(root=self._spool.root)
        states = self._dispatcher.states
        text = ", ".join(f"{number} {state}" for state, number in states.items()) or _("idle")
        held = "; ".join(dict.fromkeys(one.words for one in troubles.values()))
        return _("{text}; held: {held}").format(text=text, held=held) if held else text


def _utc(at: datetime) -> str:
    """Return an instant as UTC."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _holds(troubles: Mapping[str, Trouble]) -> list[dict[str, object]]:
    """Return what holds, since when, and what to do."""
    return [
        {
            "what": what,
            "words": trouble.words,
            "advice": trouble.advice,
            "since": _utc(trouble.since),
        }
        for what, trouble in troubles.items()
    ]


def _beside(troubles: Mapping[str, Trouble], problems: Mapping[str, str]) -> dict[str, str]:
    """Return the problems behind the fax that are not just another sight of what holds.

    A full disk fails every follower, too: it is told once, as what holds.
    """
    causes = {trouble.cause for trouble in troubles.values()} - {""}
    return {
        path: why for path, why in problems.items() if not any(cause in why for cause in causes)
    }


def _waits(waiting: Iterable[Waiting]) -> list[dict[str, object]]:
    """Return what files in the inbox wait for, and until when if that is known."""
    return [
        {
            "folder": None if key.folder is None else shown(key.folder),
            "name": shown(key.name),
            "words": words,
            "until": None if until is None else _utc(until),
        }
        for key, words, until in waiting
    ]
