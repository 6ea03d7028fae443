"""Which notices the journal makes: decide here, send elsewhere (``notices``). Pure.

One ``Standing`` for each ``[notify.NAME]`` says how far it has come. A notice is put into it before
it is sent, with everything that follows from it. It is written to disk then, after each recipient
who took it, and at the end. So after any crash the very same notice goes to those who lack it: at
least once, in order, and twice only to the recipient who was being told at that moment.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final, Literal, NamedTuple

from pydantic import Field

from faxdrop.fax.job import Instant, Record
from faxdrop.followers import wording
from faxdrop.followers.wording import LineData, Told, Why
from faxdrop.journal.history import ENDS
from faxdrop.journal.lines import Head

Kind = Literal["failed", "held", "released", "stuck", "sent"]

GATHER: Final = timedelta(seconds=30)  # what ends within this time goes out together
PAUSE: Final = timedelta(minutes=5)  # between two notices about ends
HELD_FOR: Final = timedelta(minutes=1)  # a shorter hold is not worth a notice
MOST: Final = 200  # documents in one notice; the rest goes into the next
_AT_ONCE: Final = 1000  # lines that are read in one go


@dataclass(frozen=True)
class Wishes:
    """What one [notify.NAME] wants to hear of."""

    on: frozenset[Kind] = frozenset({"failed", "held", "stuck"})
    recipients: tuple[str, ...] = ()  # patterns of folders' names; (): all
    digest: time_of_day | None = None  # local


class Stuck(NamedTuple):
    """A fax that has not ended, or a file that waits in the inbox, for longer than it should."""

    key: str  # stable: the job's id, or the file's path
    name: str
    folder: str | None
    since: datetime
    words: str  # where it stands, and what to do


class Now(NamedTuple):
    """How things stand now. None means: not known yet."""

    at: datetime
    head: Head  # the end of the journal when its lines were read
    holding: frozenset[str] | None = None  # what holds, as the journal names it
    stuck: tuple[Stuck, ...] | None = None
    open: wording.Open | None = None  # how many documents have no end yet


class OpenHold(Record):
    """A hold, as far as this recipient has heard of it."""

    words: str
    since: Instant
    told: bool


class Notice(Record):
    """A notice to send, as it was first decided."""

    subject: str
    body: str
    taken: tuple[str, ...] = ()  # marks of those who have it (see ``post``)
    lacked_since: Instant | None = None  # since when some have it and others do not


class Standing(Record):
    """How far one [notify.NAME] has come. ``notice`` is being sent; the rest holds after it."""

    format: Literal["faxdrop-notices/1"] = "faxdrop-notices/1"
    seq: int  # of the last line that needs no further notice
    told_at: Instant | None = None  # when the last notice about ends was decided
    holds: dict[str, OpenHold] = Field(default={})
    stuck: tuple[str, ...] = ()  # keys that were reported
    digest_seq: int  # of the last line that a digest has counted
    digest_day: date | None = None  # local, of the last digest; None: none was due
    notice: Notice | None = None


def beginning(head: Head) -> Standing:
    """Return where a new [notify.NAME] begins: it does not hear of what is past."""
    return Standing(seq=head.seq, digest_seq=head.seq)


def decide(
    standing: Standing,
    wishes: Wishes,
    lines: Iterable[LineData],
    now: Now,
    why: Why,
) -> Standing:
    """Return the standing with the next notice in it if one is due, else moved on all it can.

    ``lines`` are those after ``first_wanted``, in order; they may be read twice. A notice that is
    being sent stays. If the standing's ``seq`` has moved, there may be more to decide at once.
    """
    if standing.notice is not None:
        return standing
    after, told = _gathered(standing, wishes, lines, now, why)
    if wishes.digest is None:
        after = after.model_copy(update={"digest_seq": after.seq, "digest_day": None})
    if told:
        subject, body = wording.notice(told)
        return after.model_copy(update={"notice": Notice(subject=subject, body=body)})
    if wishes.digest is None:
        return after
    slot, last = _slot(wishes.digest, now.at), after.digest_day
    if last is None or last - slot > timedelta(days=1):  # it is new, or the clock was far ahead
        return after.model_copy(update={"digest_day": slot})
    if slot <= last:
        return after
    new = (
        line
        for line in _behind(after.digest_seq, lines)
        if line.get("event") == "retried" or _wanted(line, wishes, ENDS)
    )
    words = list(dict.fromkeys(hold.words for hold in after.holds.values()))
    subject, body = wording.digest(new, words, now.open, now.head, slot, why, MOST)
    update = {"digest_seq": now.head.seq, "digest_day": slot}
    return after.model_copy(update={**update, "notice": Notice(subject=subject, body=body)})


def first_wanted(standing: Standing) -> int:
    """Return the seq after which lines are still needed."""
    return min(standing.seq, standing.digest_seq)


def taken(
    standing: Standing, by: tuple[str, ...], *, done: bool, at: datetime | None = None
) -> Standing:
    """Return the standing once these have the notice; ``done``: nobody lacks it."""
    notice = standing.notice
    if notice is None or done:
        return standing.model_copy(update={"notice": None})
    update = {"taken": by, "lacked_since": (notice.lacked_since or at) if by else None}
    return standing.model_copy(update={"notice": notice.model_copy(update=update)})


def due(
    standing: Standing, wishes: Wishes, lines: Iterable[LineData], now: datetime
) -> datetime | None:
    """Return when ``decide`` may have a new result; None: only once there is news.

    ``lines`` as for ``decide``.
    """
    if standing.notice is not None:
        return now
    waits = []
    first = next((line for line in _behind(standing.seq, lines) if _wanted(line, wishes)), None)
    if first is not None:
        waits.append(_ready_at(standing, first, now))
    if "held" in wishes.on:
        waits += [hold.since + HELD_FOR for hold in standing.holds.values() if not hold.told]
    if wishes.digest is not None:
        day = _slot(wishes.digest, now) + timedelta(days=1)
        waits.append(datetime.combine(day, wishes.digest).astimezone(UTC))
    return min(waits, default=None)


# -- what is told -----------------------------------------------------------------------------


def _gathered(
    standing: Standing, wishes: Wishes, lines: Iterable[LineData], now: Now, why: Why
) -> tuple[Standing, list[Told]]:
    """Return what to report now, and the standing after it."""
    new = list(islice(_behind(standing.seq, lines), _AT_ONCE))
    holds, seq = dict(standing.holds), standing.seq
    told: list[Told] = []
    over: dict[str, datetime] = {}
    for line in new if _is_ready(standing, wishes, new, now.at) else ():
        if len(told) >= MOST:
            break
        seq = line["seq"]
        event, what = line.get("event"), str(line.get("what"))
        if event == "held" and what not in holds:  # a daemon repeats it when it starts
            holds[what] = OpenHold(words=str(line.get("words")), since=_at(line), told=False)
        elif event == "released" and what in holds:
            _release(what, holds, over)
        elif _wanted(line, wishes):
            told.append(wording.end(line, why))
    told_at = now.at if any(each.name for each in told) else standing.told_at
    if now.holding is not None and seq >= now.head.seq:
        # A daemon that was killed never wrote that the hold was released.
        for what in sorted(holds.keys() - now.holding):
            _release(what, holds, over)
    if over and "released" in wishes.on:
        others = {hold.words: hold.since for hold in holds.values() if hold.told}
        told.insert(0, wording.released(over, others))
    told += _holding(holds, wishes, now.at)
    keys = standing.stuck
    if now.stuck is not None:
        news = [
            each
            for each in now.stuck
            if "stuck" in wishes.on and each.key not in keys and _is_for(each.folder, wishes)
        ][: max(MOST - len(told), 0)]
        told += (wording.stuck(each.name, each.folder, each.since, each.words) for each in news)
        still = {each.key for each in now.stuck}
        keys = (*(key for key in keys if key in still), *(each.key for each in news))
    after = {"seq": seq, "holds": holds, "stuck": keys, "told_at": told_at}
    return standing.model_copy(update=after), told


def _is_ready(standing: Standing, wishes: Wishes, new: list[LineData], now: datetime) -> bool:
    """Return whether to go through the lines now, or to wait until more have come."""
    first = next((line for line in new if _wanted(line, wishes)), None)
    if first is None or _ready_at(standing, first, now) <= now:
        return True
    return any(
        line.get("event") == "held" and not _is_within(HELD_FOR, _at(line), now) for line in new
    )


def _ready_at(standing: Standing, first: LineData, now: datetime) -> datetime:
    """Return when the first unreported end is reported, with all that has come until then."""
    at, told_at = _at(first), standing.told_at
    is_left_over = told_at is not None and at <= told_at
    if told_at is not None and not is_left_over and _is_within(PAUSE, told_at, now):
        return max(told_at + PAUSE, at + GATHER) if at <= now else told_at + PAUSE
    return at + GATHER if _is_within(GATHER, at, now) else now


def _is_within(span: timedelta, at: datetime, now: datetime) -> bool:
    """Return whether ``at`` is that recent; a future one (the clock was set back) is not."""
    return timedelta() <= now - at < span


def _holding(holds: dict[str, OpenHold], wishes: Wishes, now: datetime) -> Iterator[Told]:
    """Yield the holds that are old enough to report, as one, and mark them as reported.

    Submitting and following stop for one cause, often some seconds apart. Holds in the same words
    are taken for one, which is told once.
    """
    if "held" not in wishes.on:
        return
    known = {hold.words for hold in holds.values() if hold.told}
    new: dict[str, datetime] = {}
    for what, hold in list(holds.items()):
        if not hold.told and not _is_within(HELD_FOR, hold.since, now):
            holds[what] = hold.model_copy(update={"told": True})
            if hold.words not in known:
                new[hold.words] = min(new.get(hold.words, hold.since), hold.since)
    if new:
        yield wording.held(new)


def _release(what: str, holds: dict[str, OpenHold], over: dict[str, datetime]) -> None:
    """Take out a hold; add it to ``over`` if it was told and nothing holds in the same words."""
    hold = holds.pop(what)
    if not hold.told:
        return
    rest = {key: each for key, each in holds.items() if each.words == hold.words}
    for key, each in rest.items():
        since = min(each.since, hold.since)
        holds[key] = each.model_copy(update={"told": True, "since": since})
    if not rest:
        over[hold.words] = min(over.get(hold.words, hold.since), hold.since)


def _wanted(line: LineData, wishes: Wishes, events: Iterable[str] | None = None) -> bool:
    """Return whether to report the end of a document; ``events`` replaces the wished ones."""
    event = line.get("event")
    wished = wishes.on if events is None else events
    if event not in ENDS or event not in wished or line.get("taken_in"):
        return False
    return _is_for(wording.fact(line, "recipient", "folder"), wishes)


def _is_for(folder: str | None, wishes: Wishes) -> bool:
    return not wishes.recipients or any(
        fnmatchcase((folder or "").casefold(), pattern.casefold()) for pattern in wishes.recipients
    )


def _behind(seq: int, lines: Iterable[LineData]) -> Iterator[LineData]:
    return (line for line in lines if isinstance(line.get("seq"), int) and line["seq"] > seq)


def _slot(digest: time_of_day, now: datetime) -> date:
    """Return the local day of the latest digest that should have gone out by now.

    Every day has one, also days of 23 and 25 hours. If the clock passes the time twice, the first
    counts; if it skips the time, the digest comes as long after midnight as on other days.
    """
    today = now.astimezone().date()
    is_past = now >= datetime.combine(today, digest).astimezone(UTC)
    return today if is_past else today - timedelta(days=1)


def _at(line: LineData) -> datetime:
    """Return when a line was written; an unreadable instant counts as long ago."""
    try:
        at = datetime.fromisoformat(str(line.get("at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
