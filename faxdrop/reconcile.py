"""Which entries of sipgate's history could be a fax whose answer was lost. No I/O, no clock.

sipgate knows no idempotency key and shows no file name, so line, number, time and page count are
all there is to tell (the sipgate documentation of ``GET /history``).
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from faxdrop.job import Job
from faxdrop.sipgate import Entry

SLACK = timedelta(minutes=2)
"""By how much sipgate's clock and the one that we know it by may be apart."""

_LEAST_SLACK = timedelta(seconds=3)  # sipgate says its time, and when a fax came, to the second

LONGEST_POST = timedelta(hours=1)
"""How long after its start a POST may have been taken when no clock tells of its end."""

_FARTHEST = 50 * 365 * 86400.0  # seconds that two clocks may be apart: farther, none is a clock


def slack_of(reconcile_for: float) -> timedelta:
    """Return the slack where a lost answer is looked for so long (seconds).

    A fax that never showed is given up after that time, and the next one goes to its number. Should
    the first one show then, it must not be taken for the next: so the slack is less than that time.
    """
    return min(SLACK, max(timedelta(seconds=reconcile_for / 2), _LEAST_SLACK))


def window(job: Job, clock_offset: float, slack: timedelta = SLACK) -> tuple[datetime, datetime]:
    """Return from when until when, on sipgate's clock, the latest attempt can have been taken.

    ``clock_offset``: by how many seconds sipgate's clock is ahead of ours, as far as known now.
    """
    attempt = job.attempts[-1]
    known = attempt.clock_offset
    ahead = clock_offset if known is None else known
    offset = timedelta(seconds=max(-_FARTHEST, min(ahead, _FARTHEST)))
    until = attempt.answered_at
    if until is None or until < attempt.submitted_at:  # not seen, or the clock was set back
        until = attempt.submitted_at + LONGEST_POST
    return attempt.submitted_at + offset - slack, until + offset + slack


def matches(
    job: Job,
    entries: Iterable[Entry],
    *,
    owned: Collection[str],
    clock_offset: float,
    normalise: Callable[[str], str | None],
    slack: timedelta = SLACK,
) -> list[Entry]:
    """Return the entries that could be the latest attempt, oldest first.

    An entry whose page count sipgate does not say yet could be; whether it is, a later look tells.
    ``owned`` are the session ids that belong to attempts of any job, but for this latest one.
    """
    begin, end = window(job, clock_offset, slack)
    pages = job.document.pages if job.document else None
    found = {
        entry.session_id: entry
        for entry in entries
        if entry.session_id not in owned
        and entry.created is not None
        and begin <= entry.created <= end
        and (not entry.faxlines or job.faxline in entry.faxlines)
        and (entry.pages is None or pages is None or entry.pages == pages)
        and normalise(entry.target) == job.number
    }
    return sorted(found.values(), key=lambda entry: (entry.created, entry.session_id))
