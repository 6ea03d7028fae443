"""One step of one job: asks the lifecycle what an event does to it, records that, and acts.

Each method returns the job as it is on disk afterwards. If the disk does not take the record, the
error goes up to the daemon, which tries again; see ``UnrecordedError``.
"""

import errno
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from faxdrop.documents.checker import Checker, CheckerError
from faxdrop.documents.verdict import Verdict
from faxdrop.fax.events import Changed, Checked, Event, NotTaken, Policy, Refused, Submitting
from faxdrop.fax.job import FINAL, Faxed, Job, State
from faxdrop.fax.lifecycle import advance
from faxdrop.names.printable import shown
from faxdrop.queue.meaning import MEANINGS
from faxdrop.queue.reconcile import Candidates, candidates, slack_of, window
from faxdrop.sipgate import Answer, DocumentChanged, Entry, Outcome, Sipgate, Unreachable, Withheld
from faxdrop.spool.disk import closed_at_last
from faxdrop.spool.jobs import UnrecordedError
from faxdrop.spool.root import Spool
from faxdrop.words import _

log = structlog.stdlib.get_logger(__name__)

_KILLED_AGAIN = 5  # times, with growing pauses, that a reader is killed before that is an answer
_BY_ID_A_ROUND = 20  # entries asked for one by one in a round, so that no round becomes a storm


@dataclass(frozen=True)
class Submitted:
    """A job after its submission; ``answer`` is None when nothing was submitted."""

    job: Job
    answer: Answer | None


@dataclass(frozen=True)
class Sighting:
    """What one look at the history says of one job."""

    status: str | None
    pages: int | None  # as sipgate counts them
    matches: tuple[str, ...]
    doubtful: tuple[str, ...]
    is_complete: bool  # nothing was cut off where a lost answer is looked for
    is_certain: bool  # the page counts of all matches are known


class _StoppingError(Exception):
    """faxdrop is about to end: a fax that is not handed over completely stays queued."""


class Delivery:
    """The steps between the spool and sipgate. Thread-safe; each job belongs to one thread."""

    def __init__(
        self,
        spool: Spool,
        sipgate: Sipgate,
        checker: Checker,
        policy: Policy,
        *,
        now: Callable[[], datetime],
        normalise: Callable[[str], str | None],
    ) -> None:
        self._spool = spool
        self._sipgate = sipgate
        self._checker = checker
        self._policy = policy
        self._now = now
        self._normalise = normalise
        self._asked: dict[str, int] = {}  # session id -> the round in which it was asked for
        self._rounds = 0
        self._killed: dict[str, int] = {}  # job id -> how often its reader was killed

    def apply(self, job: Job, event: Event) -> Job:
        """Apply an event to a job, and record the result.

        Raises UnrecordedError if the disk does not take the record.
        """
        return self.record(self.after(job, event))

    def after(self, job: Job, event: Event) -> Job:
        """Return a job after an event; nothing is recorded."""
        return advance(job, event, self._now(), self._policy)

    def decide(self, job: Job, event: Checked | Refused | None) -> Job:
        """Apply the result of a check to a job. Raises UnrecordedError.

        Only its end, and another time for its next attempt, are recorded: a check can be repeated.
        """
        if event is None:
            return job
        after = self.after(job, event)
        is_news = after.state in FINAL or after.due_at != job.due_at
        return self.record(after) if is_news else after

    def record(self, job: Job) -> Job:
        """Record a job; raises UnrecordedError. See ``Jobs.record``."""
        try:
            self._spool.jobs.record(job)
        except Exception as error:
            raise UnrecordedError(job, error) from error
        return job

    def end(self, job: Job) -> Path | None:
        """Record how a fax ended, as sipgate says, and file the document.

        Returns the document's new path. Raises UnrecordedError; every other error comes from
        filing, after the job's end was recorded.
        """
        self.record(job)
        return self._spool.filing.file_away(job)

    def submit(
        self, job: Job, is_owned: Callable[[str], bool], may_go: Callable[[], bool]
    ) -> Submitted:
        """Submit a checked document: all but the last byte, the intent on disk, the rest.

        Until the intent is on disk sipgate cannot have taken anything; the outcome is recorded
        after it. ``is_owned`` says whether a session id belongs to another attempt, ``may_go``
        whether the last byte may be sent. Raises UnrecordedError; if the intent is what was not
        recorded, nothing was submitted. After every other error nothing was submitted either.
        """
        if job.document is None:
            raise ValueError(f"job {job.job_id} has not been checked")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with closed_at_last(os.open(self._spool.jobs.document(job), flags)) as original:
            if not job.document.changes:
                faxed = Faxed(sha256=job.document.sha256, bytes=job.document.bytes)
                return self._submit(job, original, faxed, is_owned, may_go)
            with closed_at_last(self._spool.jobs.new_copy(job)) as copy:
                verdict = self._checker.prepare(original, copy)
                if self._waits_for_memory(job, verdict):
                    raise CheckerError(errno.ENOMEM, _("the PDF reader was killed"))
                if verdict.sha256 != job.document.sha256:
                    return Submitted(self.apply(job, Changed()), None)
                if verdict.reason is not None:
                    return Submitted(self.apply(job, Refused(verdict.reason)), None)
                if verdict.unjudged:
                    log.warning("fax.copy_not_compared", job=job.job_id, pages=verdict.unjudged)
                if verdict.copy_sha256 is None:
                    return Submitted(self.apply(job, Changed()), None)
                faxed = Faxed(
                    sha256=verdict.copy_sha256,
                    bytes=os.fstat(copy).st_size,
                    changes=verdict.facts.changes if verdict.facts else job.document.changes,
                )
                return self._submit(job, copy, faxed, is_owned, may_go)

    def _waits_for_memory(self, job: Job, verdict: Verdict) -> bool:
        """Return whether to try a reader once more, after a pause, that was killed from outside."""
        times = self._killed.pop(job.job_id, 0) + 1
        if not verdict.killed or times == _KILLED_AGAIN:
            return False
        self._killed[job.job_id] = times
        return True

    def _submit(
        self,
        queued: Job,
        fd: int,
        faxed: Faxed,
        is_owned: Callable[[str], bool],
        may_go: Callable[[], bool],
    ) -> Submitted:
        document = io.FileIO(fd, closefd=False)
        job = queued

        def before_last() -> None:
            nonlocal job
            if not may_go():
                raise _StoppingError
            job = self.apply(queued, Submitting(faxed, self._sipgate.clock_offset))

        # Once that has returned, the fax may have been sent, whatever happens. From here on, the
        # only error that may be raised is that the outcome is not recorded.
        try:
            answer = self._sipgate.submit(
                faxline=job.faxline or "",
                recipient=job.number or "",
                filename=f"{job.job_id}.pdf",
                document=document,
                size=faxed.bytes,
                sha256=faxed.sha256,
                before_last=before_last,
            )
        except DocumentChanged:
            log.warning("fax.document_changed", job=job.job_id, file=shown(job.name))
            return Submitted(self.after(queued, Changed()), None)
        except Withheld as withheld:
            return _withheld(queued, withheld.error)
        except Exception:  # a mistake of ours: how far the request got, only the record tells
            log.exception("fax.submission_failed", job=job.job_id)
            outcome = Outcome.LATER if job is queued else Outcome.UNKNOWN
            answer = Answer(outcome, None, None, _("a bug in faxdrop"), None)
        if answer.session_id and is_owned(answer.session_id):
            words = _("sipgate answered with the session id of another fax")
            answer = Answer(Outcome.UNKNOWN, None, answer.status, words, None)
        event = MEANINGS[answer.outcome].event(answer)
        if job is queued:  # the answer came before the last byte could go
            if isinstance(event, NotTaken):
                return Submitted(self.after(job, event), answer)
            job = self.after(job, Submitting(faxed, self._sipgate.clock_offset))
        return Submitted(self.apply(job, event), answer)

    def look(self, jobs: Sequence[Job], owned: frozenset[str]) -> dict[str, Sighting]:
        """Ask sipgate's history about jobs on their way; return what it says of each, by job id.

        One list request serves all. Only faxes that the list does not show are asked for by id.
        Archived entries, which the list hides, are listed too if an answer was lost. ``owned`` are
        the session ids of all attempts of all jobs. Raises Unreachable.
        """
        offset = self._sipgate.clock_offset or 0.0
        faxlines = sorted({line for job in jobs if (line := job.attempts[-1].faxline)})
        since = min(window(job, offset)[0] for job in jobs)
        entries = self._sipgate.history(faxlines=faxlines, since=since)
        lost = [job for job in jobs if job.state is State.UNKNOWN or job.attempts[-1].found]
        is_complete = entries.complete
        if lost:
            since = min(window(job, offset)[0] for job in lost)
            archived = self._sipgate.history(faxlines=faxlines, since=since, archived=True)
            is_complete = is_complete and archived.complete
            entries += archived
        by_id = {entry.session_id: entry for entry in entries}
        self._ask_by_id(jobs, by_id)
        sightings = {}
        for job in jobs:
            session_id = job.attempts[-1].session_id
            entry = by_id.get(session_id) if session_id else None
            status = entry.status or None if entry else None
            found = Candidates((), ())
            if job in lost:
                found = candidates(
                    job,
                    entries,
                    owned=owned - {session_id} if session_id else owned,
                    clock_offset=offset,
                    normalise=self._normalise,
                    slack=slack_of(self._policy.reconcile_for),
                )
            sightings[job.job_id] = Sighting(
                status,
                entry.pages if entry else None,
                tuple(one.session_id for one in found.alike),
                tuple(one.session_id for one in found.doubtful),
                is_complete=is_complete or job not in lost,
                is_certain=all(one.pages is not None for one in found.alike),
            )
        return sightings

    def greet(self) -> dict[str, Sighting]:
        """Ask only: is sipgate there, may we read, what time is it? Raises Unreachable."""
        self._sipgate.history(faxlines=(), since=self._now(), limit=1)
        return {}

    def _ask_by_id(self, jobs: Sequence[Job], by_id: dict[str, Entry]) -> None:
        missing = [
            job.attempts[-1].session_id
            for job in jobs
            if job.attempts[-1].session_id and job.attempts[-1].session_id not in by_id
        ]
        # The one whose last question is longest ago comes first, so every one gets its turn.
        missing.sort(key=lambda session_id: self._asked.get(session_id or "", 0))
        self._rounds += 1
        self._asked = {one: self._asked.get(one, 0) for one in missing if one}
        for session_id in list(self._asked)[:_BY_ID_A_ROUND]:
            self._asked[session_id] = self._rounds
            try:
                entry = self._sipgate.entry(session_id)
            except Unreachable as error:  # one bad id must not keep the others from their news
                log.warning("fax.not_told", session_id=session_id, why=error.answer.words)
                continue
            if entry is not None:
                by_id[session_id] = entry


def _withheld(queued: Job, error: Exception) -> Submitted:
    """Return a job whose last byte was withheld, so it was not submitted; or raise the reason."""
    if isinstance(error, UnrecordedError):
        # In memory the job stays as it was, and it may do so on disk.
        raise UnrecordedError(queued, error.error) from error
    if not isinstance(error, _StoppingError):
        raise error
    return Submitted(queued, None)
