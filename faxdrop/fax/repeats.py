"""Repetitions: whether the same document is already on its way, or was sent a moment ago.

A scanner repeats an upload, a program saves twice, a person double-clicks: the same content
(SHA-256) to the same number is faxed once. A document that certainly failed blocks nothing: people
can fix the cause and drop it again at once.

No I/O and no clock; ``monotonic`` is in seconds, of a clock that is never set.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from faxdrop.fax.job import FINAL, Job
from faxdrop.fax.transitions import numbers_perhaps_sent_to

_CLOCK_SLACK = 60.0  # seconds by which the two clocks may differ before one was set

_Key = tuple[str, str]  # SHA-256, number in E.164


@dataclass(frozen=True)
class First:
    """The document that another one repeats."""

    job_id: str
    name: str
    claimed_at: datetime
    standing: str  # its state, or where it failed, its reason


@dataclass(frozen=True)
class _Known:
    first: First
    keys: frozenset[_Key]
    has_ended: bool
    even_if_sent: bool = False
    monotonic: float | None = None  # when it came; None: before this daemon


def first_of(job: Job) -> First:
    """Return a job as the first of its kind."""
    standing = job.reason.code if job.reason else job.state
    return First(job.job_id, job.name, job.claimed_at, standing.value)


class Repeats:
    """The documents that are on their way or were sent recently."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._by_key: dict[_Key, dict[str, None]] = {}  # job ids, in order

    def know(self, job: Job, monotonic: float | None) -> None:
        """Note a job as it is now; ``monotonic``: now, None if it was there before us."""
        before = self._known.get(job.job_id)
        if before is not None:
            monotonic = before.monotonic
        numbers = numbers_perhaps_sent_to(job)
        if job.state not in FINAL and job.number:
            numbers |= {job.number}
        if job.document is not None:
            keys = frozenset((job.document.sha256, number) for number in numbers)
        else:  # to be checked anew: it is still what it was
            keys = before.keys if before else frozenset()
        has_ended = job.state in FINAL
        self._replace(
            _Known(first_of(job), keys, has_ended, job.even_if_sent, monotonic), job.job_id
        )

    def remember(self, first: First, sha256: str, number: str) -> None:
        """Note a document that was filed before this daemon started."""
        before = self._known.get(first.job_id)
        if before is None or before.has_ended:
            keys = frozenset({(sha256, number)}) | (before.keys if before else frozenset())
            known = replace(before, keys=keys) if before else _Known(first, keys, has_ended=True)
            self._replace(known, first.job_id)

    def forget(self, job_id: str) -> None:
        """Forget a job that is gone."""
        self._replace(None, job_id)

    def tidy(self, now: datetime, monotonic: float, window: float) -> None:
        """Forget what has ended and was claimed longer ago than ``window`` seconds."""
        here = First("", "", now, "")
        for job_id, known in list(self._known.items()):
            if known.has_ended and not _is_within(known, here, monotonic, window):
                self.forget(job_id)

    def repeated(self, job: Job, window: float) -> First | None:
        """Return the document that a checked job repeats, None if it repeats none.

        ``window`` is in seconds, between the two claims.
        """
        if job.document is None or job.number is None:
            return None
        me = self._known.get(job.job_id)
        mine = first_of(job)
        for job_id in self._by_key.get((job.document.sha256, job.number), ()):
            known = self._known[job_id]
            if job_id == job.job_id:
                continue
            if known.even_if_sent and known.first.claimed_at > job.claimed_at:
                continue  # a person wanted that one beside this one
            if not known.has_ended or _is_within(known, mine, me.monotonic if me else None, window):
                return known.first
        return None

    def _replace(self, known: _Known | None, job_id: str) -> None:
        before = self._known.pop(job_id, None)
        if before is not None:
            for key in before.keys:
                jobs = self._by_key[key]
                jobs.pop(job_id, None)
                if not jobs:
                    del self._by_key[key]
        # A document that certainly did not arrive does not count as a first one.
        if known is not None and (known.keys or not known.has_ended):
            self._known[job_id] = known
            for key in known.keys:
                self._by_key.setdefault(key, {})[job_id] = None


def _is_within(known: _Known, one: First, monotonic: float | None, window: float) -> bool:
    """Return whether two claims are no further apart than the window."""
    by_wall = abs((one.claimed_at - known.first.claimed_at).total_seconds())
    if known.monotonic is None or monotonic is None:
        return by_wall < window
    measured = abs(monotonic - known.monotonic)
    was_set = abs(measured - by_wall) > _CLOCK_SLACK
    return (measured if was_set else by_wall) < window
