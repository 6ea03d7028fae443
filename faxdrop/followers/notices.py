"""Which notices the journal makes: decide here, send elsewhere (``post``). Pure.

One ``Standing`` for each ``[notify.NAME]`` says how far it has come. A notice is put into it before
it is sent, with all that follows from it; it is written down then, after each recipient who took it
and at the end. So after any crash the very same notice goes to those who lack it: at least once, in
order, and again only to the one who was being told at that moment.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from faxdrop.fax.job import Instant, Record
from faxdrop.journal.lines import Head
from faxdrop.names.printable import shown
from faxdrop.words import N_, _

Kind = Literal["failed", "held", "released", "stuck", "sent"]

GATHER: Final = timedelta(seconds=30)  # what comes within it goes out together
HELD_FOR: Final = timedelta(minutes=1)  # what holds for less is not worth a word
MOST: Final = 200  # documents in one notice; what is more goes into the next
_NAME: Final = 80  # characters of a name in a subject; whole names are in the text
_UNKNOWN: Final = N_("Its receipt is not where it was filed; `faxdrop receipts` tells more.")


@dataclass(frozen=True)
class Wishes:
    """What one [notify.NAME] wants to hear of."""

    on: frozenset[Kind] = frozenset({"failed", "held", "stuck"})
    recipients: tuple[str, ...] = ()  # patterns of folders' names; (): all
    digest: time_of_day | None = None  # local


class Stuck(NamedTuple):
    """A fax without an end, or a file that waits in the inbox, for longer than it should."""

    key: str  # the same each time: the job's id, or the file's path
    name: str
    folder: str | None
    since: datetime
    words: str  # where it stands, and what to do


class Now(NamedTuple):
    """How things stand at the moment."""

    at: datetime
    head: Head  # the end of the journal when its lines were read
    holding: frozenset[str] | None = (
        None  # what holds, as the journal names it; None: not known yet
    )
    stuck: tuple[Stuck, ...] = ()


class OpenHold(Record):
    """Something that holds, as far as one who is told has heard."""

    words: str
    since: Instant
    told: bool


class Notice(Record):
    """What is to be sent, as it was first decided."""

    subject: str
    body: str
    taken: tuple[str, ...] = ()  # who has it already (see ``post``)


class Standing(Record):
    """How far one who is told has come. ``notice`` is under way; the rest is as of behind it."""

    format: Literal["faxdrop-notices/1"] = "faxdrop-notices/1"
    seq: int  # of the last line that needs no notice any more
    holds: dict[str, OpenHold] = Field(default={})
    stuck: tuple[str, ...] = ()  # keys that were told
    digest_seq: int  # of the last line that a digest has counted
    digest_day: date | None = None  # local, of the last digest; None: there was none to be
    notice: Notice | None = None


LineData = Mapping[str, Any]
"""The content of a line of the journal."""

Why = Callable[[LineData], tuple[str, str] | None]
"""Finds message and advice of a document that failed, in its receipt; None if that is gone."""


def beginning(head: Head) -> Standing:
    """Return where one begins who is new: what has been is not told."""
    return Standing(seq=head.seq, digest_seq=head.seq)


def decide(
    standing: Standing,
    wishes: Wishes,
    lines: Iterable[LineData],
    now: Now,
    why: Why,
) -> Standing:
    """Return the standing with the next notice in it, if one is due; else as far as it has come.

    ``lines`` are those behind ``first_wanted``, in order. A notice that is under way stays.
    """
    if standing.notice is not None:
        return standing
    known = [line for line in lines if isinstance(line.get("seq"), int)]
    after, told = _gathered(standing, wishes, known, now, why)
    if told:
        notice = Notice(subject=_subject(told), body=_body(told))
        return after.model_copy(update={"notice": notice})
    if wishes.digest is None:
        return after.model_copy(update={"digest_seq": after.seq, "digest_day": None})
    slot, last = _slot(wishes.digest, now.at), after.digest_day
    if last is None or last - slot > timedelta(days=1):  # it is new, or the clock was far ahead
        return after.model_copy(update={"digest_day": slot})
    if slot <= last:
        return after
    new = [line for line in known if line["seq"] > after.digest_seq]
    notice = _digest(wishes, new, after.holds, now.head, slot, why)
    return after.model_copy(
        update={"notice": notice, "digest_seq": now.head.seq, "digest_day": slot}
    )


def first_wanted(standing: Standing) -> int:
    """Return the seq behind which lines are still wanted."""
    return min(standing.seq, standing.digest_seq)


def taken(standing: Standing, by: tuple[str, ...], *, done: bool) -> Standing:
    """Return the standing when these have the notice; ``done``: nobody lacks it."""
    if standing.notice is None or done:
        return standing.model_copy(update={"notice": None})
    return standing.model_copy(update={"notice": standing.notice.model_copy(update={"taken": by})})


def due(
    standing: Standing, wishes: Wishes, lines: Iterable[LineData], now: datetime
) -> datetime | None:
    """Return when ``decide`` may have more to say, beside digests; None: not before there is news.

    ``lines`` as for ``decide``.
    """
    if standing.notice is not None:
        return now
    waits = [
        _at(line) + GATHER
        for line in lines
        if line.get("seq", 0) > standing.seq and _wanted(line, wishes)
    ]
    if "held" in wishes.on:
        waits += [hold.since + HELD_FOR for hold in standing.holds.values() if not hold.told]
    first = min(waits, default=None)
    # Further away than any of our waits: the clock was set back, and it is due.
    return now if first is not None and first - now > HELD_FOR else first


# -- what is told -----------------------------------------------------------------------------


class _Told(NamedTuple):
    """One thing in a notice. Its texts can be shown anywhere."""

    name: str  # of the file; of a hold, nothing
    folder: str
    what: str  # what happened, in a few words
    text: tuple[str, ...]  # what to do, in sentences


def _gathered(
    standing: Standing, wishes: Wishes, lines: list[LineData], now: Now, why: Why
) -> tuple[Standing, list[_Told]]:
    """Return what is to be told now, and the standing behind it."""
    new = [line for line in lines if line["seq"] > standing.seq]
    holds, seq = dict(standing.holds), standing.seq
    told: list[_Told] = []
    ends = [line for line in new if _wanted(line, wishes)]
    is_ready = not ends or any(not _is_within(GATHER, _at(line), now.at) for line in ends)
    for line in new if is_ready else ():
        if len(told) >= MOST:
            break
        seq = line["seq"]
        event, what = line.get("event"), str(line.get("what"))
        if event == "held" and what not in holds:  # a daemon that starts says it once more
            holds[what] = OpenHold(words=str(line.get("words")), since=_at(line), told=False)
        elif event == "released" and what in holds:
            told += _released(holds.pop(what), wishes)
        elif _wanted(line, wishes):
            told.append(_end(line, why))
    if now.holding is not None and (not new or seq == new[-1]["seq"]):
        # A daemon that was killed has not said that something holds no longer.
        for what in sorted(holds.keys() - now.holding):
            told += _released(holds.pop(what), wishes)
    told += _holding(holds, wishes, now.at)
    keys = {each.key for each in now.stuck}
    news = [
        each
        for each in now.stuck
        if "stuck" in wishes.on and each.key not in standing.stuck and _is_for(each.folder, wishes)
    ][: max(MOST - len(told), 0)]
    told += map(_waiting, news)
    known = [key for key in standing.stuck if key in keys] + [each.key for each in news]
    after = {"seq": seq, "holds": holds, "stuck": tuple(known)}
    return standing.model_copy(update=after), told


def _is_within(span: timedelta, at: datetime, now: datetime) -> bool:
    """Tell whether something is that new; what a clock, set back since, put ahead of us is not."""
    return timedelta() <= now - at < span


def _holding(holds: dict[str, OpenHold], wishes: Wishes, now: datetime) -> Iterator[_Told]:
    """Yield what has held long enough to be told, and mark it so."""
    for what, hold in list(holds.items()):
        if "held" in wishes.on and not hold.told and not _is_within(HELD_FOR, hold.since, now):
            holds[what] = hold.model_copy(update={"told": True})
            words = _("Since {when}: {words}.").format(
                when=_local(hold.since), words=shown(hold.words).rstrip(".")
            )
            advice = _(
                "Nothing is lost. `faxdrop status` says what to do; then it goes on by itself."
            )
            yield _Told("", "", _("faxes are held"), (words, advice))


def _released(hold: OpenHold, wishes: Wishes) -> list[_Told]:
    """Return that something holds no longer, if anybody was told that it does."""
    if not hold.told or "released" not in wishes.on:
        return []
    return [_Told("", "", _("faxes go out again"), (_ended(hold),))]


def _waiting(stuck: Stuck) -> _Told:
    since = _("Since {when}.").format(when=_local(stuck.since))
    name, folder = shown(stuck.name), shown(stuck.folder or "")
    return _Told(name, folder, _("waits"), (since, shown(stuck.words, lines=True)))


def _ended(hold: OpenHold) -> str:
    return _("What held since {when} is over: {words}.").format(
        when=_local(hold.since), words=shown(hold.words).rstrip(".")
    )


def _wanted(line: LineData, wishes: Wishes) -> bool:
    """Tell whether the end of a document is to be told."""
    event = line.get("event")
    if event not in ("sent", "failed") or event not in wishes.on or line.get("taken_in"):
        return False
    return _is_for(_part(line, "recipient", "folder"), wishes)


def _is_for(folder: str | None, wishes: Wishes) -> bool:
    return not wishes.recipients or any(
        fnmatchcase((folder or "").casefold(), pattern.casefold()) for pattern in wishes.recipients
    )


def _end(line: LineData, why: Why) -> _Told:
    is_sent = line.get("event") == "sent"
    words: tuple[str, ...] = ()
    if not is_sent:
        words = why(line) or (str(line.get("reason")), _(_UNKNOWN))
    what = _("sent") if is_sent else _("not sent")
    if line.get("simulated"):
        what = _("{what} (simulated)").format(what=what)
    return _Told(
        shown(_part(line, "document", "name") or _("a document without a name")),
        shown(_part(line, "recipient", "folder") or _part(line, "recipient", "number") or ""),
        what,
        tuple(shown(each, lines=True) for each in words),
    )


# -- the words --------------------------------------------------------------------------------


def _subject(told: list[_Told]) -> str:
    """Return the file's name, then the recipient, then what happened; of many, how many."""
    first, more = told[0], len(told) - 1
    subject = ": ".join(filter(None, (_cut(first.name), _cut(first.folder), first.what)))
    if more:
        subject += _(" (and {n} more)").format(n=more)
    return subject


def _body(told: list[_Told]) -> str:
    return (
        "\n\n".join("\n".join((_heading(each), *filter(None, each.text))) for each in told) + "\n"
    )


def _heading(told: _Told) -> str:
    heading = ": ".join(filter(None, (told.name, told.folder, told.what)))
    return heading[:1].upper() + heading[1:] if not told.name else heading


def _digest(
    wishes: Wishes,
    lines: list[LineData],
    holds: Mapping[str, OpenHold],
    head: Head,
    day: date,
    why: Why,
) -> Notice:
    """Return the summary of what ended since the last one; also of a day on which nothing did.

    That is the proof that this way to people works, and that faxdrop does.
    """
    everything = Wishes(on=frozenset({"failed", "sent"}), recipients=wishes.recipients)
    ends = [line for line in lines if _wanted(line, everything)]
    counts = Counter(str(line.get("event")) for line in ends)
    sent, failed = counts["sent"], counts["failed"]
    parts = [
        _("Sent: {sent}. Not sent: {failed}.").format(sent=sent, failed=failed),
        *(_("Held. {words}").format(words=shown(hold.words)) for hold in holds.values()),
    ]
    not_sent = [line for line in ends if line.get("event") == "failed"]
    parts += [_body([_end(line, why)]).rstrip() for line in not_sent[:MOST]]
    if (more := len(not_sent) - MOST) > 0:
        parts.append(_("And {n} more: `faxdrop receipts --status failed`.").format(n=more))
    parts.append(
        _("The journal ends with line {seq}, whose SHA-256 is\n{hash}").format(
            seq=head.seq, hash=head.hash
        )
    )
    subject = _("Faxes until {day}: {sent} sent, {failed} not sent").format(
        day=f"{day:%Y-%m-%d}", sent=sent, failed=failed
    )
    return Notice(subject=subject, body="\n\n".join(parts) + "\n")


def _slot(digest: time_of_day, now: datetime) -> date:
    """Return the local day of the latest digest that should have been by now.

    Every day has one, also those of 23 and 25 hours: of a time that the clock passes twice, the
    first is meant; one that it leaps over is as long after midnight as on other days.
    """
    today = now.astimezone().date()
    is_past = now >= datetime.combine(today, digest).astimezone(UTC)
    return today if is_past else today - timedelta(days=1)


def _cut(text: str) -> str:
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def _local(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z}"


def _at(line: LineData) -> datetime:
    """Return when a line was written; what nobody can read was long ago."""
    try:
        at = datetime.fromisoformat(str(line.get("at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _part(line: LineData, table: str, key: str) -> str | None:
    facts = line.get(table)
    value = facts.get(key) if isinstance(facts, dict) else None
    return None if value is None else str(value)
