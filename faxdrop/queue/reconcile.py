"""Which entries of sipgate's history could be a fax whose answer was lost. No I/O, no clock.

sipgate knows no idempotency key and shows no file name, so line, number, time and page count are
all that identifies a fax (see sipgate's documentation of ``GET /history``). A field that cannot be
read speaks neither for an entry nor against it.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from faxdrop.fax.job import Job
from faxdrop.sipgate import Entry

SLACK = timedelta(minutes=2)
"""By how much sipgate's clock and the one that we know it by may be apart."""

_LEAST_SLACK = timedelta(seconds=3)  # sipgate says its time, and when a fax came, to the second

LONGEST_POST = timedelta(hours=1)
"""How long after its last byte a POST may have been taken, whatever is known of its end."""

_TELLING = 8  # last digits that tell two numbers apart, however much of them is written

_FARTHEST = 50 * 365 * 86400.0  # seconds that two clocks may be apart: farther, none is a clock


def slack_of(reconcile_for: float) -> timedelta:
    """Return the slack for the time (seconds) that a lost answer is looked for.

    A fax that never shows is given up after that time, and the next one goes to its number. If the
    first one shows then, it must not be taken for the next, so the slack is less than that time.
    """
    return min(SLACK, max(timedelta(seconds=reconcile_for / 2), _LEAST_SLACK))


def window(job: Job, clock_offset: float, slack: timedelta = SLACK) -> tuple[datetime, datetime]:
    """Return when, on sipgate's clock, the latest attempt can have been taken: earliest, latest.

    ``clock_offset`` is by how many seconds sipgate's clock is ahead of ours, if known now.
    """
    attempt = job.attempts[-1]
    known = attempt.clock_offset
    ahead = clock_offset if known is None else known
    offset = timedelta(seconds=max(-_FARTHEST, min(ahead, _FARTHEST)))
    latest = attempt.submitted_at + LONGEST_POST
    until = attempt.answered_at
    if until is None or until < attempt.submitted_at:  # not seen, or the clock was set back
        until = latest
    until = min(until, latest)  # after a crash, its end is only known to be before the next start
    return attempt.submitted_at + offset - slack, until + offset + slack


class Likeness(Enum):
    """How much an entry of the history looks like a fax whose answer was lost."""

    ALIKE = auto()  # all that it tells is as it would be for this fax
    DOUBTFUL = auto()  # it could be this fax: something does not agree, or cannot be read
    OTHER = auto()  # it is another fax


@dataclass(frozen=True)
class Candidates:
    """The entries that could be an attempt, oldest first."""

    alike: tuple[Entry, ...]
    doubtful: tuple[Entry, ...]


def candidates(
    job: Job,
    entries: Iterable[Entry],
    *,
    owned: Collection[str],
    clock_offset: float,
    normalise: Callable[[str], str | None],
    slack: timedelta = SLACK,
) -> Candidates:
    """Return the entries that could be the latest attempt.

    ``owned`` are the session ids of all attempts of all jobs except this one. ``normalise`` returns
    a complete number in E.164, None for anything else.
    """
    between = window(job, clock_offset, slack)
    by_id = {entry.session_id: entry for entry in entries if entry.session_id not in owned}
    found: dict[Likeness, list[Entry]] = {likeness: [] for likeness in Likeness}
    for entry in by_id.values():
        found[_likeness(job, entry, between, normalise)].append(entry)
    for each in found.values():
        each.sort(key=lambda entry: (entry.created or between[0], entry.session_id))
    return Candidates(tuple(found[Likeness.ALIKE]), tuple(found[Likeness.DOUBTFUL]))


def _likeness(
    job: Job,
    entry: Entry,
    between: tuple[datetime, datetime],
    normalise: Callable[[str], str | None],
) -> Likeness:
    """Return how much an entry looks like the latest attempt.

    An entry without a page count yet counts as alike; a later look tells more. If sipgate's page
    count differs from ours, it may still be this fax.
    """
    attempt = job.attempts[-1]
    dialled, faxline = attempt.number_dialled or job.number or "", attempt.faxline or job.faxline
    if entry.created is not None and not between[0] <= entry.created <= between[1]:
        return Likeness.OTHER
    if entry.faxlines and faxline not in entry.faxlines:
        return Likeness.OTHER
    number = normalise(entry.target)
    if number is not None and number != dialled and not _may_mean(entry.target, dialled):
        return Likeness.OTHER
    pages = job.document.pages if job.document else None
    has_its_pages = entry.pages is None or pages is None or entry.pages == pages
    is_alike = entry.created is not None and number == dialled and has_its_pages
    return Likeness.ALIKE if is_alike else Likeness.DOUBTFUL


def _may_mean(written: str, number: str) -> bool:
    """Return whether a number that reads differently may be a part or a form of this one."""
    digits = re.sub("[^0-9]", "", written).lstrip("0")
    return digits in number or digits.endswith(number[-_TELLING:])
