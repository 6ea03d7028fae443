"""The queue: which jobs take which steps, and what holds them back.

Everything here happens in the loop's thread; the steps themselves run elsewhere (see ``workers``).
Trouble with the account or with sipgate (``holds``) or with the disk (``spool.health``) is no
document's fault: the queue holds and says so, and nothing moves to failed/. ``polling`` looks at
the history of the faxes that are on their way.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from faxdrop.backoff import Trouble
from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.documents.assess import Assessor, NotYet
from faxdrop.fax import sentences
from faxdrop.fax.events import Cancelled, Changed, Looked, Refused, Restarted
from faxdrop.fax.job import FINAL, Job, State
from faxdrop.fax.lifecycle import Action, action
from faxdrop.fax.repeats import Repeats
from faxdrop.names.printable import shown
from faxdrop.queue.delivery import Delivery
from faxdrop.queue.faxlines import Seats, SharedLines
from faxdrop.queue.holds import Holds
from faxdrop.queue.polling import Poller
from faxdrop.queue.schedule import Schedule
from faxdrop.queue.sessions import Sessions
from faxdrop.queue.submissions import Submissions
from faxdrop.spool.health import DiskHealth
from faxdrop.spool.jobs import UnrecordedError
from faxdrop.spool.root import Spool
from faxdrop.workers import StepEnd, Steps, Then

log = structlog.stdlib.get_logger(__name__)

_LONGEST_TOLD = 3600.0  # seconds: the longest Retry-After that is followed
_LOOK_FOR_NOTES = 0.1  # seconds between looks whether somebody wants to cancel a fax
_WAITED_STEP = 600.0  # seconds of waiting after which it is worth a record


@dataclass(frozen=True)
class Parts:
    """What the steps use: all that depends on the config, made again at each reload."""

    config: Config
    assessor: Assessor
    delivery: Delivery


class Dispatcher:
    """All jobs of a spool, and the steps that they take."""

    def __init__(
        self,
        spool: Spool,
        parts: Parts,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
        lines: Seats,
        health: DiskHealth,
    ) -> None:
        self._spool = spool
        self._parts = parts
        self._clock = clock
        self._steps = steps
        self._pool = pool
        self.health = health
        self._sessions = Sessions()
        self._shared = SharedLines(lines, spool.marks, health, clock)
        self._schedule = Schedule()
        self._repeats = Repeats()
        self._as_configured: set[str] = set()  # ids of jobs checked by the config in force
        self._unrecorded: dict[str, float] = {}  # job id -> when to write it down again
        self._notes_at = 0.0  # when to look for them again
        self._has_passed_notes = False  # whether a turn has passed over them since the last look
        self._holds = Holds(clock)
        self._poller = Poller(
            parts.delivery,
            self._schedule,
            self._sessions,
            self._shared,
            self._holds,
            health,
            clock=clock,
            poll_interval=parts.config.sending.poll_interval,
            start=self._start,
            seen=self._seen,
        )
        self._submissions = Submissions(
            self._schedule,
            self._sessions,
            self._holds,
            self._poller,
            clock=clock,
            start=self._start,
            advanced=self._on_advanced,
        )

    # -- for the daemon ---------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._schedule)

    def reload(self, parts: Parts) -> None:
        """Use another config. All holds are reset, since they may be over, and all is tried again.

        Jobs that are still to be submitted are checked again: their folder may now mean another
        number. A job with a step under way is checked again before its next attempt.
        """
        self._parts = parts
        self._as_configured.clear()
        self._poller.reload(parts.delivery, parts.config.sending.poll_interval)
        self._holds.reset()
        for job in list(self._schedule.jobs.values()):
            if action(job) is Action.SUBMIT and not self._schedule.is_busy(job.job_id):
                self.put(job)

    def withhold(self) -> None:
        """Withhold the last byte from now on: what is being submitted stays queued."""
        self._submissions.withhold()

    def adopt(self, jobs: Iterable[Job], owned: set[str]) -> None:
        """Take the jobs from the spool. Their records count: others may have been at work.

        Only a job whose record is still to be written stays as we know it, unless the disk has
        more attempts. ``owned`` are the session ids of jobs that have left the spool.
        """
        self._sessions.recall(owned)
        self._shared.recall()
        for first, sha256, number in self._spool.marks.recent():
            self._repeats.remember(first, sha256, number)
        on_disk = set()
        for job in jobs:
            on_disk.add(job.job_id)
            self._sessions.own(job)
            known = self._schedule.jobs.get(job.job_id)
            if (
                known
                and job.job_id in self._unrecorded
                and len(known.attempts) >= len(job.attempts)
            ):
                continue
            self._unrecorded.pop(job.job_id, None)
            self._as_configured.discard(job.job_id)
            self._repeats.know(job, None)
            self.put(self._parts.delivery.after(job, Restarted()))
        for job_id in self._schedule.jobs.keys() - on_disk:
            log.error("spool.job_gone", job=job_id)
            self._unrecorded.pop(job_id, None)
            self.health.forget(job_id)
            self._repeats.forget(job_id)
            self._schedule.drop(job_id)

    def tidy(self, owned: set[str]) -> None:
        """Forget the session ids of jobs filed long ago; ``owned`` are those to be kept."""
        window = self._parts.config.inbox.duplicate_window
        self._spool.marks.forget(self._clock.now(), window)
        self._repeats.tidy(self._clock.now(), self._clock.monotonic(), window)
        self._sessions.keep(owned, self._schedule.jobs.values())

    def turn(self) -> None:
        """Start all steps that may be taken now."""
        self._cancel()
        self._shared.meet(self._parts.config)
        self._start_steps()
        self._poller.look()
        if self._holds.is_submitting_held and not self._schedule.wants_submissions:
            self._holds.release_submitting()  # there is nothing left that it holds

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to do."""
        dues = list(self._unrecorded.values())
        if self._has_passed_notes:
            dues.append(self._notes_at)
        others = (
            self._schedule.next_due(),
            self._submissions.due(),
            self._poller.due(self._clock.monotonic()),
        )
        return dues + [due for due in others if due is not None]

    @property
    def under_way(self) -> int:
        """How many steps are under way."""
        return self._schedule.busy - len(self._unrecorded) + self._poller.is_looking

    @property
    def states(self) -> dict[State, int]:
        """How many jobs are in which state."""
        return dict(sorted(Counter(job.state for job in self._schedule.jobs.values()).items()))

    @property
    def troubles(self) -> dict[str, Trouble]:
        """What holds: submitting, following, disk."""
        troubles = self._holds.troubles
        if self.health.trouble is not None:
            troubles["disk"] = self.health.trouble
        return troubles

    @property
    def shared_lines(self) -> list[str]:
        """The fax lines that another faxdrop on this machine uses, too."""
        return self._shared.of(self._parts.config)

    def put(self, job: Job, *, checked_by: Parts | None = None) -> None:
        """Schedule a job as its record says. ``checked_by``: the parts that have just checked it.

        What an older config decided about a job no longer counts: it is checked again before it is
        submitted.
        """
        self._sessions.own(job)
        if checked_by is self._parts:
            self._as_configured.add(job.job_id)
        elif checked_by is not None:
            self._as_configured.discard(job.job_id)
        if action(job) is Action.SUBMIT and job.job_id not in self._as_configured:
            job = self._parts.delivery.after(job, Changed())
        now = self._clock.monotonic()
        self._repeats.know(job, now)
        if checked_by is not None and self._is_repeated(job, now):
            return
        not_before = 0.0
        if action(job) is Action.SUBMIT and job.due_at is not None:  # a check is due at once
            # The wall clock may have jumped: no delay is longer than the longest there is.
            left = (job.due_at - self._clock.now()).total_seconds()
            not_before = now + min(max(left, 0.0), self._longest_delay())
        self._schedule.put(job, now=now, not_before=not_before)

    def _is_repeated(self, job: Job, now: float) -> bool:
        """Return whether a job repeats another; if so, that is being recorded."""
        if job.document is None or job.state is not State.QUEUED or job.even_if_sent:
            return False
        # A wish counts for the next document with that content, whether it needs it or not.
        is_wanted = self._spool.marks.take_again(job.document.sha256)
        first = self._repeats.repeated(job, self._parts.config.inbox.duplicate_window)
        if first is None:
            return False
        if is_wanted:
            after = job.model_copy(update={"even_if_sent": True})
        else:
            window = self._parts.config.inbox.duplicate_window
            words = sentences.duplicate(shown(first.name), first.job_id, first.standing, window)
            after = self._parts.delivery.after(job, Refused(words))
        self._repeats.know(after, now)
        self._schedule.put(after, now=now)
        self._schedule.start(job.job_id)
        self._start(self._on_recorded, after, partial(self._parts.delivery.record, after))
        return True

    def keep(self, error: UnrecordedError) -> None:
        """Keep a job whose record the disk did not take; nothing else happens until it does."""
        job = error.job
        self._sessions.own(job)
        self._schedule.put(job, now=self._clock.monotonic())
        self._schedule.start(job.job_id)
        self._unrecorded[job.job_id] = self._clock.monotonic() + self.health.retry_pause(job.job_id)
        self.health.went_wrong(error.error, job=job.job_id)

    # -- steps ------------------------------------------------------------------------------

    def _start_steps(self) -> None:
        now = self._clock.monotonic()
        for job_id in [job_id for job_id, due in self._unrecorded.items() if due <= now]:
            del self._unrecorded[job_id]
            job = self._schedule.jobs[job_id]
            self._start(self._on_recorded, job, partial(self._parts.delivery.record, job))
        self._schedule.advance(now)
        while (ready := self._schedule.next_ready()) is not None:
            if action(ready) is Action.CHECK:
                step = partial(_check, self._parts.assessor, self._parts.delivery, ready)
                self._start(partial(self._on_checked, self._parts), ready, step)
            else:
                self._start(self._on_filed, ready, partial(self._spool.filing.file_away, ready))
        self._submissions.start(self._parts.delivery, now)

    # -- what became of them ----------------------------------------------------------------

    def _on_checked(self, parts: Parts, ended: StepEnd) -> None:
        if isinstance(ended.result, NotYet):
            pause = self._parts.config.inbox.settle
            now = self._clock.monotonic()
            self._schedule.put(ended.of, now=now, not_before=now + pause)
        else:
            self._on_advanced(ended, checked_by=parts)

    def _on_recorded(self, ended: StepEnd) -> None:
        """Handle the end of writing a record; until it is written, the job takes no other step."""
        if ended.error is not None and not isinstance(ended.error, UnrecordedError):
            self.keep(UnrecordedError(ended.of, ended.error))
        else:
            self._on_advanced(ended)

    def _on_advanced(self, ended: StepEnd, checked_by: Parts | None = None) -> None:
        """Handle the end of a step, whether it succeeded or failed."""
        if isinstance(ended.error, UnrecordedError):
            self.keep(ended.error)
        elif ended.error is not None:
            job: Job = ended.of
            is_filing = job.state in FINAL
            if not (is_filing and self.health.is_refused(job.job_id, ended.error)):
                self.health.went_wrong(ended.error, job=job.job_id)
            now = self._clock.monotonic()
            self._schedule.put(job, now=now, not_before=now + self.health.retry_pause(job.job_id))
        else:
            self.health.took_step(ended.result.job_id)
            self.put(ended.result, checked_by=checked_by)

    def _on_ended(self, ended: StepEnd) -> None:
        """Handle a job whose end was recorded and which was filed, in one step."""
        if isinstance(ended.error, UnrecordedError):
            self.keep(ended.error)
        else:
            self._on_filed(ended)

    def _on_filed(self, ended: StepEnd) -> None:
        job: Job = ended.of
        if ended.error is not None:
            self._on_advanced(ended)
            return
        self.health.took_step(job.job_id)
        self._schedule.drop(job.job_id)
        self._repeats.know(job, self._clock.monotonic())
        self._as_configured.discard(job.job_id)
        details: dict[str, object] = {"job": job.job_id, "file": shown(job.name)}
        if ended.result is None:
            log.warning("fax.filed_before", **details)
        elif job.state is State.SENT:
            log.info("fax.sent", number=job.number, attempts=len(job.attempts), **details)
        else:
            reason = job.reason.code if job.reason else None
            log.warning("fax.failed", number=job.number, reason=reason, **details)

    def _longest_delay(self) -> float:
        return max(*self._parts.config.sending.delays, _LONGEST_TOLD)

    def _seen(self, job: Job, event: Looked) -> None:
        """Handle what a look at the history showed of a job."""
        after = self._parts.delivery.after(job, event)
        self._sessions.own(after)
        if _tells_nothing_new(job, after):
            self._schedule.update(after)
            return
        self._schedule.start(job.job_id)
        log.info(
            "fax.status",
            job=job.job_id,
            number=job.number,
            status=event.status,
            state=after.state,
        )
        if after.state in FINAL:
            self._start(self._on_ended, after, partial(self._parts.delivery.end, after))
        else:
            self._start(self._on_advanced, job, partial(self._parts.delivery.record, after))

    def _cancel(self) -> None:
        now = self._clock.monotonic()
        self._has_passed_notes = now < self._notes_at
        if self._has_passed_notes:
            return
        self._notes_at = now + _LOOK_FOR_NOTES
        for job_id in self._spool.notes.cancellations():
            job = self._schedule.jobs.get(job_id)
            if self._schedule.is_busy(job_id):
                continue
            if job is None and self._spool.jobs.has_job(job_id):
                continue  # just claimed: soon it is known here
            if job is None or job.cancelled or job.state in FINAL:  # done, and on disk
                try:
                    self._spool.notes.cancellation_done(job_id)
                except OSError as error:  # the note stays, and does no harm
                    self.health.went_wrong(error)
                continue
            self._schedule.start(job_id)
            log.info("fax.cancelled", job=job_id, state=job.state)
            step = partial(self._parts.delivery.apply, job, Cancelled())
            self._start(self._on_advanced, job, step)

    def _start(self, then: Then, of: object, step: Callable[[], Any]) -> None:
        self._steps.start(self._pool, then, of, step)


def _check(assessor: Assessor, delivery: Delivery, job: Job) -> Job | NotYet:
    event = assessor.check(job)
    return event if isinstance(event, NotYet) else delivery.decide(job, event)


def _tells_nothing_new(before: Job, after: Job) -> bool:
    """Return whether only the time waited has grown, and too little to be worth a record."""
    old, new = before.attempts[-1], after.attempts[-1]
    return (
        new.waited // _WAITED_STEP == old.waited // _WAITED_STEP
        and after.model_copy(update={"attempts": ()}) == before.model_copy(update={"attempts": ()})
        and new.model_copy(update={"waited": old.waited}) == old
    )
