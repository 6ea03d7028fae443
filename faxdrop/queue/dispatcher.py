"""The queue: which jobs take which steps, and what holds them back.

Everything here happens in the loop's thread; the steps themselves run elsewhere (see ``steps``).
Two things are tried with growing pauses while they fail: *submitting*, and *following* (looking at
sipgate's history). Trouble with the account, with sipgate or with the disk is no document's fault:
it holds, it is said, and nothing moves to failed/ for it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from faxdrop.backoff import Hold, Trouble
from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.fax import reasons
from faxdrop.fax.job import FINAL, Job, State, shown
from faxdrop.fax.lifecycle import (
    Action,
    Cancelled,
    Changed,
    Checked,
    Looked,
    Refused,
    Restarted,
    action,
)
from faxdrop.fax.repeats import Repeats
from faxdrop.inbox.claim import Intake, NotYet
from faxdrop.queue.delivery import Delivery, Sighting, Submitted, UnrecordedError
from faxdrop.queue.lines import FaxLines
from faxdrop.queue.schedule import SLOW, Schedule
from faxdrop.sipgate import Answer, Outcome, Unreachable
from faxdrop.spool import refusals
from faxdrop.spool.refusals import Refusals
from faxdrop.spool.root import Spool
from faxdrop.workers import Ended, NoThreadError, Steps, Then

log = structlog.stdlib.get_logger(__name__)

SUBMISSIONS = 8  # at once, each to a number of its own
_LONGEST_TOLD = 3600.0  # seconds: the longest Retry-After that is followed
_RETRY = (1.0, 5.0, 20.0, 60.0)  # seconds before a step that the disk refused is tried again
_WAITED_STEP = 600.0  # seconds of waiting after which it is worth a record
_SLOW_LOOK = 60.0  # seconds between looks when all that is on its way has been so for long
_UNKNOWN_IN_A_ROW = 3  # lost answers after which submitting pauses
_UNKNOWN_PAUSE, _LONGEST_UNKNOWN_PAUSE = 30.0, 300.0  # seconds, doubled with each one more

_OUR_MISTAKE = Answer(
    Outcome.LATER,
    None,
    None,
    "sipgate's history could not be understood",
    None,
    "See the log (step.failed), and report it, please: it is a mistake in faxdrop.",
)


@dataclass(frozen=True)
class Parts:
    """What the steps are made of: all that a config decides, made anew at each reload."""

    config: Config
    intake: Intake
    delivery: Delivery


class Dispatcher:
    """All jobs of a spool, and the steps that carry them on."""

    def __init__(
        self,
        spool: Spool,
        parts: Parts,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
        lines: FaxLines,
    ) -> None:
        self._spool = spool
        self._parts = parts
        self._clock = clock
        self._steps = steps
        self._pool = pool
        self._lines = lines
        self._shared: set[str] = set()  # fax lines that another faxdrop uses, too
        self._noted: set[str] = set()  # of these, the ones that the next daemon will know of
        self._may_go = True  # whether last bytes may be handed over
        self._schedule = Schedule()
        self._repeats = Repeats()
        self._as_configured: set[str] = set()  # ids of jobs checked by the config in force
        self._refused: Counter[str] = Counter()  # job id -> how often in a row its step failed
        self._unrecorded: dict[str, float] = {}  # job id -> when to write it down again
        self._owned: set[str] = set()  # all session ids that are some job's
        self._submissions = 0
        self._unknown_in_a_row = 0
        self._submitting = Hold()
        self._following = Hold()
        self._is_looking = False
        self._next_look: float | None = None
        self._looked_at: float | None = None  # when sipgate answered last
        self._looked_for: set[tuple[str, int]] = set()  # the attempts that the last look was for
        self._is_known = False  # sipgate has answered since the start, or the last reload
        self._disk_trouble: Trouble | None = None
        self._disk_error: int | None = None  # which error that is
        self.refusals = Refusals()  # of jobs that a folder's rights keep from being filed

    # -- for the daemon ---------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._schedule)

    def reload(self, parts: Parts) -> None:
        """Go on by another config; what held may hold no longer, so everything is tried again.

        What is still to be submitted is checked again: its folder may mean another number now.
        What is in a step just now is so when it comes to its next attempt.
        """
        self._parts = parts
        self._as_configured.clear()
        self._is_known, self._next_look = False, None
        self._submitting.release()
        self._following.release()
        for job in list(self._schedule.jobs.values()):
            if action(job) is Action.SUBMIT and not self._schedule.is_busy(job.job_id):
                self.put(job)

    def withhold(self) -> None:
        """Hand over no last byte any more: what is being submitted stays queued."""
        self._may_go = False

    def adopt(self, jobs: Iterable[Job], owned: set[str]) -> None:
        """Take what the spool holds: the record is what counts, for others may have been at work.

        Only a job whose record is still to be written stays as it is known here, unless the disk
        knows of more attempts. ``owned``: the session ids of jobs that have left the spool.
        """
        self._owned |= owned
        self._shared |= self._spool.marks.shared(self._clock.now())
        for first, sha256, number in self._spool.marks.recent():
            self._repeats.remember(first, sha256, number)
        on_disk = set()
        for job in jobs:
            on_disk.add(job.job_id)
            self._own(job)
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
            self._refused.pop(job_id, None)
            self.refusals.clear(job_id)
            self._repeats.forget(job_id)
            self._schedule.drop(job_id)

    def tidy(self, owned: set[str]) -> None:
        """Forget the session ids of jobs filed long ago: ``owned`` are those still remembered."""
        window = self._parts.config.inbox.duplicate_window
        self._spool.marks.forget(self._clock.now(), window)
        self._repeats.tidy(self._clock.now(), self._clock.monotonic(), window)
        self._owned = owned
        for job in self._schedule.jobs.values():
            self._own(job)

    def turn(self) -> None:
        """Start all the steps that may be taken now."""
        self._cancel()
        self._meet_others()
        self._start_steps()
        self._look()
        if self._submitting.trouble and not self._schedule.wants_submissions:
            self._released(self._submitting, "submitting")  # there is nothing left that it holds

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to do."""
        now = self._clock.monotonic()
        dues = list(self._unrecorded.values())
        if (timer := self._schedule.next_due()) is not None:
            dues.append(timer)
        if self._schedule.has_submissions and not self._submissions and self._knows_sipgate:
            dues.append(self._submitting.until)
        if not self._is_looking and self._wants_look():
            dues.append(max(self._next_look or now, self._following.until))
        return dues

    @property
    def under_way(self) -> int:
        """How many steps are under way."""
        return self._schedule.busy - len(self._unrecorded) + self._is_looking

    @property
    def states(self) -> dict[State, int]:
        """How many jobs are in which state."""
        return dict(sorted(Counter(job.state for job in self._schedule.jobs.values()).items()))

    @property
    def troubles(self) -> dict[str, Trouble]:
        """What holds: submitting, following, disk."""
        troubles = {
            "submitting": self._submitting.trouble,
            "following": self._following.trouble,
            "disk": self._disk_trouble,
        }
        return {what: trouble for what, trouble in troubles.items() if trouble is not None}

    @property
    def shared_lines(self) -> list[str]:
        """The fax lines that another faxdrop on this machine uses, too."""
        return sorted(self._shared & set(_lines_of(self._parts.config)))

    def put(self, job: Job, *, checked_by: Parts | None = None) -> None:
        """Schedule a job as its record says; ``checked_by``: it was checked just now, with these.

        What an older config has made of a job counts no longer: it is checked again before it is
        submitted.
        """
        self._own(job)
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
        if job.state is State.QUEUED and job.due_at is not None:
            # The wall clock may have jumped: no delay is longer than the longest there is.
            left = (job.due_at - self._clock.now()).total_seconds()
            not_before = now + min(max(left, 0.0), self._longest_delay())
        self._schedule.put(job, now=now, not_before=not_before)

    def _is_repeated(self, job: Job, now: float) -> bool:
        """Tell whether a job is the same again as another; then that is being written down."""
        first = self._repeats.repeated(job, self._parts.config.inbox.duplicate_window)
        if job.document is None or first is None or job.even_if_sent:
            return False
        if self._spool.marks.take_again(job.document.sha256):
            after = job.model_copy(update={"even_if_sent": True})
        else:
            window = self._parts.config.inbox.duplicate_window
            words = reasons.duplicate(shown(first.name), first.job_id, first.standing, window)
            after = self._parts.delivery.after(job, Refused(words))
        self._repeats.know(after, now)
        self._schedule.put(after, now=now)
        self._schedule.start(job.job_id)
        self._start(self._on_recorded, after, partial(self._parts.delivery.record, after))
        return True

    def keep(self, error: UnrecordedError) -> None:
        """Keep a job that the disk did not take; nothing else happens to it until it does."""
        job = error.job
        self._own(job)
        self._schedule.put(job, now=self._clock.monotonic())
        self._schedule.start(job.job_id)
        self._unrecorded[job.job_id] = self._clock.monotonic() + self._retry_pause(job.job_id)
        self.went_wrong(error.error, job=job.job_id)

    def went_wrong(self, error: Exception, **about: object) -> None:
        """Take note of a step that went wrong; a disk's errors hold, others are our own."""
        if isinstance(error, OSError):
            self._trouble_with_disk(error, **about)
        else:
            log.error("step.failed", exc_info=error, **about)

    def disk_is_read(self) -> None:
        """Hear that the disk was read, which says nothing of the machine's limits."""
        if self._disk_error not in refusals.OF_THE_MACHINE:
            self.disk_is_well()

    def machine_is_well(self) -> None:
        """Hear that a thread was to be had, which says nothing of the disk."""
        if self._disk_error in refusals.OF_THE_MACHINE:
            self.disk_is_well()

    def disk_is_well(self) -> None:
        """Hear that the disk did something; its trouble ends when no step waits for it any more."""
        if self._disk_trouble is not None and not self._refused.keys() - self.refusals.keys():
            log.info("disk.well", was=self._disk_trouble.words, since=str(self._disk_trouble.since))
            self._disk_trouble = None

    def _trouble_with_disk(self, error: OSError, **about: object) -> None:
        if self._disk_trouble is not None and self._disk_error == error.errno:
            return  # whichever file it is about this time
        words = f"{error.strerror or error} ({shown(str(error.filename or self._spool.root))})"
        since = self._disk_trouble.since if self._disk_trouble else self._clock.now()
        log.error("disk.trouble", why=words, **about)
        self._disk_error = error.errno
        self._disk_trouble = Trouble(words, refusals.advice(error, self._spool.home), since)

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
                step = partial(_check, self._parts.intake, self._parts.delivery, ready)
                self._start(partial(self._on_checked, self._parts), ready, step)
            else:
                self._start(self._on_filed, ready, partial(self._spool.filing.file_away, ready))
        while self._may_submit(now):
            submission = self._schedule.next_submission()
            if submission is None:
                break
            self._submissions += 1
            self._submitting.trying(now)
            submit = partial(
                self._parts.delivery.submit, submission, self._is_owned, lambda: self._may_go
            )
            self._start(self._on_submitted, submission, submit)

    def _is_owned(self, session_id: str) -> bool:
        return session_id in self._owned

    @property
    def _knows_sipgate(self) -> bool:
        """Whether sipgate has told its time, by which a lost answer is looked up, or is away."""
        return self._is_known or self._following.trouble is not None

    def _may_submit(self, now: float) -> bool:
        if self._submissions >= SUBMISSIONS or not self._schedule.has_submissions:
            return False
        if not self._knows_sipgate:
            return False
        if self._following.trouble and not self._submitting.trouble:
            # What sipgate does not answer now, it would hardly take now.
            trouble = self._following.trouble
            self._submitting.trip(trouble.words, trouble.advice, now=now, wall=self._clock.now())
        if self._submitting.trouble and self._submissions:
            return False
        return self._submitting.may_try(now)

    # -- what became of them ----------------------------------------------------------------

    def _on_checked(self, parts: Parts, ended: Ended) -> None:
        if isinstance(ended.result, NotYet):
            pause = self._parts.config.inbox.settle
            now = self._clock.monotonic()
            self._schedule.put(ended.of, now=now, not_before=now + pause)
        else:
            self._on_advanced(ended, checked_by=parts)

    def _on_recorded(self, ended: Ended) -> None:
        """Take a job whose record was still to be written; until it is, nothing else happens."""
        if ended.error is not None and not isinstance(ended.error, UnrecordedError):
            self.keep(UnrecordedError(ended.of, ended.error))
        else:
            self._on_advanced(ended)

    def _on_advanced(self, ended: Ended, checked_by: Parts | None = None) -> None:
        """Take a job after a step, or after a step that went wrong."""
        if isinstance(ended.error, UnrecordedError):
            self.keep(ended.error)
        elif ended.error is not None:
            job: Job = ended.of
            if not self._is_refused(job, ended.error):
                self.went_wrong(ended.error, job=job.job_id)
            now = self._clock.monotonic()
            self._schedule.put(job, now=now, not_before=now + self._retry_pause(job.job_id))
        else:
            self._refused.pop(ended.result.job_id, None)
            self.refusals.clear(ended.result.job_id)
            self.disk_is_well()
            self.put(ended.result, checked_by=checked_by)

    def _on_ended(self, ended: Ended) -> None:
        """Take a job whose end sipgate told, after its record and its filing."""
        if isinstance(ended.error, UnrecordedError):
            self.keep(ended.error)
        else:
            self._on_filed(ended)

    def _is_refused(self, job: Job, error: Exception) -> bool:
        """Take note of a folder that a job may not be filed in: the job waits, and nobody else."""
        if not isinstance(error, OSError) or job.state not in FINAL:
            return False
        refusal = refusals.of_filing(error, self._spool.root, self._spool.home)
        if refusal is not None:
            self.refusals.note(job.job_id, refusal)
        return refusal is not None

    def _on_filed(self, ended: Ended) -> None:
        job: Job = ended.of
        if ended.error is not None:
            self._on_advanced(ended)
            return
        self._refused.pop(job.job_id, None)
        self.refusals.clear(job.job_id)
        self.disk_is_well()
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

    def _on_submitted(self, ended: Ended) -> None:
        self._submissions -= 1
        if ended.error is not None:
            self._on_advanced(ended)
            return
        submitted: Submitted = ended.result
        job = submitted.job
        if submitted.answer is not None:
            job = self._answered(job, submitted.answer)
        now = self._clock.monotonic()
        if self._next_look is None or self._next_look < now:
            self._next_look = now + self._parts.config.sending.poll_interval
        self._on_advanced(Ended(ended.of, result=job))

    def _answered(self, job: Job, answer: Answer) -> Job:
        """Take what an answer says of sipgate and the account."""
        log.info(
            "fax.submitted",
            job=job.job_id,
            number=job.number,
            outcome=answer.outcome,
            status=answer.status,
            session_id=answer.session_id,
            words=answer.words,
        )
        now = self._clock.monotonic()
        match answer.outcome:
            case Outcome.ACCEPTED | Outcome.REJECTED | Outcome.NUMBER_REJECTED:
                self._unknown_in_a_row = 0
                self._released(self._submitting, "submitting")
            case Outcome.HOLD | Outcome.LATER:
                self._held(self._submitting, "submitting", answer)
            case Outcome.UNKNOWN:
                self._unknown_in_a_row += 1
                excess = self._unknown_in_a_row - _UNKNOWN_IN_A_ROW
                if excess >= 0:  # each try may cost a document its end: fewer and fewer are made
                    told = min(_UNKNOWN_PAUSE * 2.0 ** min(excess, 10), _LONGEST_UNKNOWN_PAUSE)
                    told = max(told, answer.retry_after or 0.0)
                    self._held(self._submitting, "submitting", replace(answer, retry_after=told))
        if answer.outcome is Outcome.LATER and job.state is State.QUEUED:
            # The next try is another's: should this document be the trouble, it stays alone.
            due_at = self._clock.now() + timedelta(seconds=max(0.0, self._submitting.until - now))
            return job.model_copy(update={"due_at": due_at})
        return job

    def _longest_delay(self) -> float:
        return max(*self._parts.config.sending.delays, _LONGEST_TOLD)

    def _own(self, job: Job) -> None:
        self._owned.update(a.session_id for a in job.attempts if a.session_id)

    def _retry_pause(self, job_id: str) -> float:
        pause = _RETRY[min(self._refused[job_id], len(_RETRY) - 1)]
        self._refused[job_id] += 1
        return pause

    def _held(self, hold: Hold, what: str, answer: Answer) -> None:
        news = hold.trip(
            answer.words,
            answer.advice,
            now=self._clock.monotonic(),
            wall=self._clock.now(),
            told=answer.retry_after,
        )
        if news:
            log.error("queue.held", what=what, why=answer.words, advice=answer.advice)

    def _released(self, hold: Hold, what: str) -> None:
        trouble = hold.release()
        if trouble is not None:
            log.info("queue.released", what=what, held=trouble.words, since=str(trouble.since))

    # -- looking at sipgate's history ---------------------------------------------------------

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._is_looking or not self._following.may_try(now):
            return
        if self._next_look is not None and now < self._next_look:
            return
        jobs = list(self._schedule.on_their_way())
        if not jobs and self._is_known and not self._following.trouble:
            return
        self._is_looking = True
        self._following.trying(now)
        self._next_look = now + self._look_pause()
        if jobs:
            look = partial(self._parts.delivery.look, jobs, frozenset(self._owned))
            self._start(self._on_looked, jobs, look)
        else:  # at the start, and while something holds: is sipgate there, and the token right?
            self._start(self._on_looked, jobs, self._parts.delivery.greet)

    def _on_looked(self, ended: Ended) -> None:
        self._is_looking = False
        if isinstance(ended.error, Unreachable):
            self._held(self._following, "following", ended.error.answer)
            return
        if isinstance(ended.error, NoThreadError):
            self.went_wrong(ended.error)
            return
        if ended.error is not None:
            self.went_wrong(ended.error)
            self._held(self._following, "following", _OUR_MISTAKE)
            return
        self.machine_is_well()
        now = self._clock.monotonic()
        # Only time in which sipgate answers counts: the pause before an answer after an outage
        # is no longer than the pause between two looks.
        pause = self._look_pause()
        waited = min(now - self._looked_at, 2 * pause) if self._looked_at is not None else 0.0
        self._looked_at = now
        self._is_known = True
        if self._following.trouble:
            self._released(self._following, "following")
            self._submitting.until = now  # and so the queue may try at once
        sightings: dict[str, Sighting] = ended.result
        looked_for: list[Job] = ended.of
        looked_before, self._looked_for = self._looked_for, {_attempt_of(job) for job in looked_for}
        for job in looked_for:
            sighting = sightings.get(job.job_id)
            if sighting is not None and self._schedule.jobs.get(job.job_id) is job:
                # Before its first look, an attempt was perhaps not even made.
                self._seen(job, sighting, waited if _attempt_of(job) in looked_before else 0.0)

    def _seen(self, job: Job, sighting: Sighting, waited: float) -> None:
        mine = job.attempts[-1].session_id
        event = Looked(
            waited,
            sighting.status,
            # What became another's while this look was under way is not this one's.
            tuple(one for one in sighting.matches if one == mine or one not in self._owned),
            tuple(one for one in sighting.doubtful if one == mine or one not in self._owned),
            is_complete=sighting.is_complete,
            is_certain=sighting.is_certain,
            is_shared=job.attempts[-1].faxline in self._shared,
            pages=sighting.pages,
        )
        after = self._parts.delivery.after(job, event)
        self._own(after)
        if _tells_nothing_new(job, after):
            self._schedule.update(after)
            return
        self._schedule.start(job.job_id)
        log.info(
            "fax.status",
            job=job.job_id,
            number=job.number,
            status=sighting.status,
            state=after.state,
        )
        if after.state in FINAL:
            self._start(self._on_ended, after, partial(self._parts.delivery.end, after))
        else:
            self._start(self._on_advanced, job, partial(self._parts.delivery.record, after))

    def _meet_others(self) -> None:
        """See who else uses our fax lines, before anything is submitted or found."""
        config = self._parts.config
        shared = self._lines.shared(config.sipgate.base_url, _lines_of(config))
        for faxline in shared - self._shared:
            log.warning("line.shared", faxline=faxline, advice=reasons.SHARED_ADVICE)
        self._shared |= shared
        for faxline in shared - self._noted:
            try:
                self._spool.marks.note_shared(faxline, self._clock.now())
            except OSError as error:
                self.went_wrong(error)
            else:
                self._noted.add(faxline)

    def _look_pause(self) -> float:
        """Return the seconds between two looks; what has been slow for long is not asked often."""
        pause = self._parts.config.sending.poll_interval
        jobs = self._schedule.on_their_way()
        if jobs and all(job.attempts[-1].waited >= SLOW for job in jobs):
            return max(pause, _SLOW_LOOK)
        return pause

    def _wants_look(self) -> bool:
        return bool(
            self._schedule.watched or not self._is_known or self._following.trouble is not None
        )

    def _cancel(self) -> None:
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
                    self.went_wrong(error)
                continue
            self._schedule.start(job_id)
            log.info("fax.cancelled", job=job_id, state=job.state)
            step = partial(self._parts.delivery.apply, job, Cancelled())
            self._start(self._on_advanced, job, step)

    def _start(self, then: Then, of: object, step: Callable[[], Any]) -> None:
        self._steps.start(self._pool, then, of, step)


def decided(delivery: Delivery, job: Job, event: Checked | Refused | None) -> Job:
    """Let a check's result happen to a job; raises UnrecordedError.

    Only a refusal is written down: a check can be repeated.
    """
    match event:
        case Refused():
            return delivery.apply(job, event)
        case Checked():
            return delivery.after(job, event)
        case None:
            return job


def _check(intake: Intake, delivery: Delivery, job: Job) -> Job | NotYet:
    event = intake.check(job)
    return event if isinstance(event, NotYet) else decided(delivery, job, event)


def _lines_of(config: Config) -> set[str]:
    """Return the fax lines that faxes are sent by."""
    others = {entry.faxline for entry in config.recipients.values() if entry.faxline}
    return {config.sipgate.faxline, *others}


def _attempt_of(job: Job) -> tuple[str, int]:
    return job.job_id, len(job.attempts)


def _tells_nothing_new(before: Job, after: Job) -> bool:
    """Tell whether only the time that was waited has grown, and not by so much as to matter."""
    old, new = before.attempts[-1], after.attempts[-1]
    return (
        new.waited // _WAITED_STEP == old.waited // _WAITED_STEP
        and after.model_copy(update={"attempts": ()}) == before.model_copy(update={"attempts": ()})
        and new.model_copy(update={"waited": old.waited}) == old
    )
