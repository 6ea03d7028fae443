"""Notices: tell one person, or a room of them, what the journal has to say.

``decisions`` decides what a notice says and ``wording`` how it reads; this module records it and
sends it. A notice that nobody takes is tried for a day, with pauses up to an hour. One that some of
its recipients have is tried for the others for an hour, and then they miss it: one wrong address
must not keep the next notice from everybody else.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import SecretStr, ValidationError
from pydantic_core import from_json

from faxdrop.config.settings import NotifySettings
from faxdrop.followers import waiting
from faxdrop.followers.cursor import Cursor, Line
from faxdrop.followers.decisions import (
    Now,
    Standing,
    Stuck,
    Wishes,
    beginning,
    decide,
    due,
    first_wanted,
    taken,
)
from faxdrop.followers.follower import Follower, FollowerError, Turn
from faxdrop.followers.post import NoticePosting, Post
from faxdrop.followers.wording import LineData, Open, fact
from faxdrop.journal.history import receipt_as_filed
from faxdrop.journal.lines import path_text
from faxdrop.names.printable import shown
from faxdrop.words import _

log = structlog.stdlib.get_logger(__name__)

_SURE_AFTER: Final = timedelta(minutes=5)  # after the start: what holds then is real
_LACKED_FOR: Final = timedelta(hours=1)  # for how long a notice that others have is tried
_LONGEST: Final = 3600.0  # seconds between two turns: someone may set the clock


class Notices(Follower):
    """Sends the notices of one [notify.NAME]."""

    gathers = 30.0

    def __init__(
        self,
        name: str,
        root: Path,
        settings: NotifySettings,
        address: SecretStr,
        patience: float,
        post: Post | None = None,
    ) -> None:
        self.name = f"notify-{name}"
        self._title = name
        self._root = root
        digest = time.fromisoformat(settings.digest) if settings.digest else None
        self._wishes = Wishes(frozenset(settings.on), settings.recipients, digest)
        self._address = address
        self._post = post or Post()
        self._waiting = waiting.Finder(root, patience) if "stuck" in settings.on else None
        self._since: datetime | None = None  # the time of its first turn
        self._lacking = ""

    @property
    def problems(self) -> dict[str, str]:
        """Why the last notice did not reach everybody, if it did not."""
        if not self._lacking:
            return {}
        words = _("The last notice did not reach everybody: {why}.").format(why=self._lacking)
        return {_("Notices to {name}:").format(name=self._title): words}

    def turn(self, now: Turn) -> float | None:
        """Send every notice that is due."""
        self._since = self._since or now.at
        standing = _known(now)
        facts = self._facts(now)
        lines = _Lines(now.cursor)
        while True:
            if standing.notice is not None:
                standing = self._send(now, standing)
                continue
            decided = decide(standing, self._wishes, lines, facts, self._why)
            if decided != standing or now.cursor.is_new:
                _keep(now.cursor, decided)
            is_all = decided.notice is None and decided.seq == standing.seq
            standing = decided
            if is_all:
                break
        return self._pause(now, facts, due(standing, self._wishes, lines, now.at))

    def give_up(self, now: Turn) -> str:
        """Skip the notice that nobody took."""
        standing = _known(now)
        if standing.notice is None:
            return ""
        _keep(now.cursor, taken(standing, (), done=True))
        return f"{standing.seq} ({standing.notice.subject})"

    def stop(self) -> None:
        """End the sending; the notice is sent again after the next start."""
        self._post.close()

    # -- inside -----------------------------------------------------------------------------

    def _facts(self, now: Turn) -> Now:
        """Return how things stand, as far as known."""
        standing = now.standing
        if not standing:
            return Now(now.at, now.head)
        holding: frozenset[str] = frozenset(hold["what"] for hold in standing.get("holds", ()))
        stuck: tuple[Stuck, ...] | None = None
        if self._waiting is not None:
            stuck = self._waiting.find(standing, now.at)
        assert self._since is not None  # noqa: S101 - set at each turn
        return Now(
            now.at,
            now.head,
            holding if now.at - self._since >= _SURE_AFTER else None,
            stuck,
            Open(standing.get("inbox", 0), sum(standing.get("states", {}).values())),
        )

    def _send(self, now: Turn, standing: Standing) -> Standing:
        """Send the notice in the standing; return the standing after it, or raise."""
        notice = standing.notice
        assert notice is not None  # noqa: S101 - the caller has checked

        def hear(by: tuple[str, ...]) -> None:
            _keep(now.cursor, taken(standing, by, done=False, at=now.at))

        delivery = self._post.send(self._address, notice.subject, notice.body, notice.taken, hear)
        lacked_for = now.at - (notice.lacked_since or now.at)
        is_over = delivery.done or (
            bool(delivery.taken) and (delivery.is_final or lacked_for >= _LACKED_FOR)
        )
        after = taken(standing, delivery.taken, done=is_over, at=now.at)
        if after != _known(now):
            _keep(now.cursor, after)
        if not is_over:
            raise FollowerError(_sentence(delivery))
        self._lacking = delivery.why
        if delivery.done:
            log.info("notice.sent", to=self._title, line=standing.seq)
        else:
            log.warning("notice.not_to_all", to=self._title, line=standing.seq, why=delivery.why)
        return after

    def _why(self, line: LineData) -> tuple[str, str] | None:
        """Return why a document failed and what to do, from its receipt."""
        path = line.get("path")
        if path is None:
            return None
        filed = receipt_as_filed(self._root / path_text(path), line)
        if filed is None:
            return None
        receipt = from_json(filed)
        message, advice = fact(receipt, "reason", "message"), fact(receipt, "reason", "advice")
        return None if message is None else (message, advice or "")

    def _pause(self, now: Turn, facts: Now, instant: datetime | None) -> float | None:
        """Return in how many seconds there may be more to report even without news."""
        pauses = []
        if instant is not None:
            pauses.append(max(1.0, (instant - now.at).total_seconds()))
        if self._waiting is not None and facts.open is not None and facts.open != (0, 0):
            pauses.append(waiting.EVERY)
        if facts.holding is None and _known(now).holds:
            pauses.append(_SURE_AFTER.total_seconds())
        return min(*pauses, _LONGEST) if pauses else None


class _Lines:
    """The contents of the lines after a cursor; each iteration reads them anew."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (line.content for line in self._cursor.lines())


def _known(now: Turn) -> Standing:
    """Return the standing from the cursor; an unreadable one begins anew at the cursor's line."""
    try:
        return Standing.model_validate(now.cursor.state)
    except ValidationError:
        return beginning(now.cursor.head)


def _keep(cursor: Cursor, standing: Standing) -> None:
    """Store a standing, with the cursor as far on as no line is needed again."""
    until, last = first_wanted(standing), None
    if until > cursor.head.seq:
        line: Line
        for line in cursor.lines():
            if line.head.seq > until:
                break
            last = line
    state = standing.model_dump(mode="json")
    if last is None:
        cursor.keep(state)
    else:
        cursor.done(last, state)


def _sentence(delivery: NoticePosting) -> str:
    return shown(_("{why}.").format(why=delivery.why))
