"""The loop: wake, scan, decide, start steps, collect what became of them. Nothing polls busily.

One thread owns everything that is decided; the steps themselves (they wait for disks and for
sipgate) run in two small pools of threads, and answer through a queue that wakes the loop. The
clock, the pools and the watching come in as arguments, so that tests drive hours in milliseconds.
"""

import contextlib
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog

from faxdrop import __version__, mounts
from faxdrop.checker import Checker
from faxdrop.delivery import Delivery, Sighting, Submitted, UnrecordedError
from faxdrop.hold import Hold, Trouble
from faxdrop.inbox import Candidate, Inbox, Watcher
from faxdrop.intake import Intake, NotYet
from faxdrop.job import Job, State, shown
from faxdrop.lifecycle import Action, Cancelled, Checked, Looked, Refused, Restarted, action
from faxdrop.notify import Notifier
from faxdrop.recipient import AddressBook, normalise
from faxdrop.schedule import Schedule
from faxdrop.settings import Config
from faxdrop.sipgate import Answer, Outcome, Sipgate, Unreachable
from faxdrop.spool import GoneError, Spool
from faxdrop.verdict import Limits

log = structlog.stdlib.get_logger(__name__)

SUBMISSIONS = 8  # at once, each to a number of its own
STEPS, LOOKS = 12, 2  # threads; looks at documents are bound by the processor
DEAF_RESCAN = 3.0  # seconds between scans where events do not tell everything
AWAY_RESCAN = 5.0  # seconds between looks for a root that went away
STOP_WITHIN = 5.0  # seconds that steps under way have to end after a stop
OWNED_FOR = timedelta(days=7)  # how long session ids of filed jobs are remembered
_RETRY = (1.0, 5.0, 20.0, 60.0)  # seconds before a step that the disk refused is tried again
_WAITED_STEP = 600.0  # seconds of waiting after which it is worth a record
_UNKNOWN_IN_A_ROW = 3  # lost answers after which submitting pauses


@dataclass(frozen=True)
class Clock:
    """Where time comes from."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class _Ended:
    """What became of a step: what to call with it, what it was about, its result or its error."""

    then: Callable[["_Ended"], None]
    of: Any
    result: Any = None
    error: Exception | None = None


class Daemon:
    """Everything between the inbox and sent/ or failed/ of one root.

    ``spool`` must be open. ``make_sipgate`` makes the client of a config, again at each reload.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        checker: Checker,
        make_sipgate: Callable[[Config], Sipgate],
        *,
        clock: Clock,
        steps: Executor,
        looks: Executor,
        notifier: Notifier,
        make_watcher: Callable[[Inbox, Callable[[], None]], Watcher] = Watcher,
    ) -> None:
        self._spool = spool
        self._make_watcher = make_watcher
        self._checker = checker
        self._make_sipgate = make_sipgate
        self._clock = clock
        self._steps = steps
        self._looks = looks
        self._notifier = notifier
        self._ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._awake = threading.Event()
        self._stopping = False
        self._reload: Callable[[], Config] | None = None

        self._schedule = Schedule()
        self._refused: Counter[str] = Counter()  # job id -> how often in a row its step failed
        self._unrecorded: dict[str, float] = {}  # job id -> when to write it down again
        self._owned: set[str] = set()
        self._submissions = 0
        self._unknown_in_a_row = 0
        self._submitting = Hold()
        self._looking = Hold()
        self._is_looking = False
        self._next_look: float | None = None
        self._looked_at: float | None = None  # when sipgate answered last
        self._is_known = False  # sipgate has answered since the start, or the last reload

        self._is_away = False
        self._next_scan = 0.0
        self._next_rescan = 0.0
        self._claims = 0  # batches under way
        self._claimed_at = clock.now()
        self._disk_trouble: Trouble | None = None
        self._said: dict[str, object] = {}
        self._say_at = 0.0
        self._feed_at = 0.0
        self._news = True  # something may have changed that is not said yet
        self._started_at = clock.now()
        self._settle_into(config)

    # -- from outside -----------------------------------------------------------------------

    def wake(self) -> None:
        """Make the loop turn; from any thread or signal handler."""
        self._awake.set()

    def stop(self) -> None:
        """End the loop after this turn; from any thread or signal handler."""
        self._stopping = True
        self.wake()

    def reload(self, load: Callable[[], Config]) -> None:
        """Take a new config at the next turn; from any thread or signal handler."""
        self._reload = load
        self.wake()

    def start(self) -> None:
        """Recover what the spool holds, watch, and look at everything once.

        Raises SpoolError if the spool cannot be read by this version.
        """
        self._recover()
        self._spool.forget_owned(self._clock.now() - OWNED_FOR)
        self._spool.make_inbox(list(self._config.recipients))
        self._watch()
        self._notifier.ready()
        log.info(
            "daemon.ready",
            root=str(self._spool.root),
            jobs=len(self._schedule),
            watching=self._watcher.is_watching(),
        )

    def run(self) -> bool:
        """Turn until ``stop``; return whether all steps have ended."""
        while not self._stopping:
            pause = self.turn()
            self._awake.wait(pause)
            self._awake.clear()
        return self._wind_up()

    def turn(self) -> float | None:
        """Do all that is to be done now; return the seconds until something is due."""
        self._collect()
        if self._reload is not None:
            load, self._reload = self._reload, None
            self._take_config(load)
        if self._is_there():
            self._scan()
            self._cancel()
            self._start_steps()
            self._look()
        self._say()
        return self._pause()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is under way."""
        busy = self._schedule.busy - len(self._unrecorded)
        return not (self._claims or busy or self._is_looking)

    # -- config -----------------------------------------------------------------------------

    def _settle_into(self, config: Config) -> None:
        self._config = config
        book = AddressBook(
            config.recipients, config.region, allow_premium=config.sending.allow_premium
        )
        self._sipgate = self._make_sipgate(config)
        self._intake = Intake(
            self._spool,
            self._checker,
            book,
            faxline=config.sipgate.faxline,
            patience=config.inbox.patience,
            monotonic=self._clock.monotonic,
        )
        self._delivery = Delivery(
            self._spool,
            self._sipgate,
            self._checker,
            config.sending,
            now=self._clock.now,
            normalise=partial(normalise, region=config.region),
        )
        self._inbox = Inbox(self._spool.inbox, config.inbox)
        self._watcher = self._make_watcher(self._inbox, self.wake)
        kind = mounts.kind_of(self._spool.inbox)
        self._rescan = config.inbox.rescan
        if not mounts.tells_everything(kind):
            self._rescan = min(self._rescan, DEAF_RESCAN)
            log.info("inbox.scanned", file_system=kind, every=self._rescan)
        self._next_rescan = 0.0
        self._is_known = False

    def _take_config(self, load: Callable[[], Config]) -> None:
        self._notifier.reloading()
        try:
            config = load()
        except Exception as error:  # noqa: BLE001  (whatever is wrong with it, the old one stays)
            log.warning("config.rejected", problems=str(error).splitlines())
        else:
            if config.root != self._config.root:
                log.warning("config.root_ignored", advice="restart faxdrop to change the root")
            self._checker.limits = limits_of(config)
            self._watcher.stop()
            self._sipgate.close()
            self._settle_into(config)
            self._submitting.release()
            self._looking.release()
            if self._is_there():
                self._spool.make_inbox(list(config.recipients))
                self._watch()
            log.info("config.reloaded")
        self._notifier.ready()

    # -- the root and its inbox -------------------------------------------------------------

    def _recover(self) -> None:
        jobs, corrupt = self._spool.recover()
        for path in corrupt:
            log.error("spool.corrupt", folder=str(path), advice="a person must look at it")
        self._owned = self._spool.owned()
        for job in jobs:
            self._own(job)
            if job.job_id not in self._schedule.jobs:
                self._put(self._delivery.after(job, Restarted()))
        on_disk = {job.job_id for job in jobs}
        for job_id in self._schedule.jobs.keys() - on_disk:
            log.error("spool.job_gone", job=job_id)
            self._schedule.drop(job_id)

    def _is_there(self) -> bool:
        """Tell whether the root is there, and take note when it goes and comes back."""
        if self._spool.is_present():
            if self._is_away:
                self._come_back()
            return True
        if not self._is_away:
            self._is_away = self._news = True
            self._watcher.stop()
            log.error("root.away", root=str(self._spool.root))
        if self.is_idle and self._spool.reopen():
            self._recover()
            self._come_back()
            return True
        return False

    def _come_back(self) -> None:
        self._is_away, self._news = False, True
        self._next_rescan = 0.0
        self._spool.make_inbox(list(self._config.recipients))
        log.info("root.back", root=str(self._spool.root))

    def _watch(self) -> None:
        self._watcher.stop()
        try:
            self._watcher.start()
        except OSError as error:
            log.warning("inbox.not_watched", why=str(error), every=DEAF_RESCAN)

    def _scan(self) -> None:
        now = self._clock.monotonic()
        everything = now >= self._next_rescan
        if everything:
            self._rescan_begins(now)
        due = self._inbox.next_due()
        wanted = everything or self._inbox.is_noticed or (due is not None and due <= now)
        if not wanted or now < self._next_scan or (self._claims and not everything):
            return
        try:
            self._news = True
            candidates = self._inbox.scan(now, everything=everything)
        except OSError as error:
            self._trouble_with_disk(error)
            return
        # A large folder that is being filled must not be read again for every file.
        self._next_scan = self._clock.monotonic() + 4 * (self._clock.monotonic() - now)
        batches: dict[str | None, list[tuple[Candidate, datetime]]] = {}
        for candidate in candidates:
            batches.setdefault(candidate.key.folder, []).append((candidate, self._next_instant()))
        for batch in batches.values():
            self._claims += 1
            self._looks.submit(self._claim_batch, batch, self._intake, self._delivery)

    def _rescan_begins(self, now: float) -> None:
        if not self._spool.inbox.is_dir():
            log.warning("inbox.made_again", inbox=str(self._spool.inbox))
        try:
            self._spool.make_inbox(list(self._config.recipients))
        except OSError as error:
            self._trouble_with_disk(error)
        if not self._watcher.is_watching():
            self._watch()
        self._next_rescan = now + (
            self._rescan if self._watcher.is_watching() else min(self._rescan, DEAF_RESCAN)
        )

    def _next_instant(self) -> datetime:
        """Return now, or a little later: no two jobs have one instant, so their order is fixed."""
        self._claimed_at = max(self._clock.now(), self._claimed_at + timedelta(milliseconds=1))
        return self._claimed_at

    def _claim_batch(
        self,
        batch: list[tuple[Candidate, datetime]],
        intake: Intake,
        delivery: Delivery,
    ) -> None:
        """Take the candidates of one folder, in order: the letters of a recipient stay so."""
        for candidate, at in batch:
            if self._stopping:
                break
            self._do(self._on_claimed, candidate, partial(_claim, intake, delivery, candidate, at))
        self._do(self._on_batch, None, lambda: None)

    # -- steps ------------------------------------------------------------------------------

    def _start_steps(self) -> None:
        now = self._clock.monotonic()
        for job_id in [job_id for job_id, due in self._unrecorded.items() if due <= now]:
            del self._unrecorded[job_id]
            job = self._schedule.jobs[job_id]
            self._step(self._on_advanced, job, partial(self._delivery.record, job))
        self._schedule.advance(now)
        while (ready := self._schedule.next_ready()) is not None:
            if action(ready) is Action.CHECK:
                step = partial(_check, self._intake, self._delivery, ready)
                self._step(self._on_checked, ready, step)
            else:
                self._step(self._on_filed, ready, partial(self._spool.file_away, ready))
        while self._may_submit(now):
            submission = self._schedule.next_submission()
            if submission is None:
                break
            self._submissions += 1
            self._submitting.trying(now)
            self._step(self._on_submitted, submission, partial(self._delivery.submit, submission))

    def _may_submit(self, now: float) -> bool:
        if self._submissions >= SUBMISSIONS or not self._schedule.has_submissions:
            return False
        if self._looking.trouble and not self._submitting.trouble:
            # What sipgate does not answer now, it would hardly take now.
            trouble = self._looking.trouble
            self._submitting.trip(trouble.words, trouble.advice, now=now, wall=self._clock.now())
        if self._submitting.trouble and self._submissions:
            return False
        return self._submitting.may_try(now)

    def _step(self, then: Callable[[_Ended], None], of: object, step: Callable[[], Any]) -> None:
        self._steps.submit(self._do, then, of, step)

    def _do(self, then: Callable[[_Ended], None], of: object, step: Callable[[], Any]) -> None:
        """Do a step in a pool's thread, and hand over what became of it."""
        try:
            ended = _Ended(then, of, result=step())
        except Exception as error:  # noqa: BLE001  (no file and no answer ends the daemon)
            ended = _Ended(then, of, error=error)
        self._ended.put(ended)
        self.wake()

    # -- what became of them ----------------------------------------------------------------

    def _collect(self) -> None:
        while True:
            try:
                ended = self._ended.get_nowait()
            except queue.Empty:
                return
            self._news = True
            ended.then(ended)

    def _on_batch(self, _ended: _Ended) -> None:
        self._claims -= 1

    def _on_claimed(self, ended: _Ended) -> None:
        candidate: Candidate = ended.of
        if isinstance(ended.error, UnrecordedError):  # claimed, but its refusal is not on disk
            self._inbox.taken(candidate)
            self._own(ended.error.job)
            self._schedule.put(ended.error.job, now=self._clock.monotonic())
            self._schedule.start(ended.error.job.job_id)
            self._not_recorded(ended.error)
        elif isinstance(ended.error, GoneError):
            self._inbox.taken(candidate)
        elif ended.error is not None:
            self._inbox.not_yet(candidate, self._clock.monotonic(), again=True)
            self._went_wrong(ended.error, file=str(candidate.path))
            self._next_scan = self._clock.monotonic() + _RETRY[1]
        elif isinstance(ended.result, NotYet):
            self._inbox.not_yet(candidate, self._clock.monotonic(), again=ended.result.written)
        else:
            job: Job = ended.result
            self._inbox.taken(candidate)
            self._put(job)
            log.info(
                "fax.claimed",
                job=job.job_id,
                file=shown(job.name),
                folder=shown(job.folder or ""),
            )

    def _on_checked(self, ended: _Ended) -> None:
        if isinstance(ended.result, NotYet):
            pause = self._config.inbox.settle
            now = self._clock.monotonic()
            self._schedule.put(ended.of, now=now, not_before=now + pause)
        else:
            self._on_advanced(ended)

    def _on_advanced(self, ended: _Ended) -> None:
        """Take a job after a step, or after a step that went wrong."""
        if isinstance(ended.error, UnrecordedError):
            self._not_recorded(ended.error)
        elif ended.error is not None:
            job: Job = ended.of
            self._went_wrong(ended.error, job=job.job_id)
            now = self._clock.monotonic()
            self._schedule.put(job, now=now, not_before=now + self._retry_pause(job.job_id))
        else:
            self._refused.pop(ended.result.job_id, None)
            self._disk_trouble = None
            self._put(ended.result)

    def _on_filed(self, ended: _Ended) -> None:
        job: Job = ended.of
        if ended.error is not None:
            self._on_advanced(ended)
            return
        self._refused.pop(job.job_id, None)
        self._disk_trouble = None
        self._schedule.drop(job.job_id)
        details: dict[str, object] = {"job": job.job_id, "file": shown(job.name)}
        if ended.result is None:
            log.warning("fax.filed_before", **details)
        elif job.state is State.SENT:
            log.info("fax.sent", number=job.number, attempts=len(job.attempts), **details)
        else:
            reason = job.reason.code if job.reason else None
            log.warning("fax.failed", number=job.number, reason=reason, **details)

    def _on_submitted(self, ended: _Ended) -> None:
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
            self._next_look = now + self._config.sending.poll_interval
        self._on_advanced(_Ended(ended.then, ended.of, result=job))

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
                if self._unknown_in_a_row >= _UNKNOWN_IN_A_ROW:
                    self._held(self._submitting, "submitting", answer)
        if answer.outcome is Outcome.LATER and job.state is State.QUEUED:
            # The next try is another's: should this document be the trouble, it stays alone.
            due_at = self._clock.now() + timedelta(seconds=max(0.0, self._submitting.until - now))
            return job.model_copy(update={"due_at": due_at})
        return job

    def _put(self, job: Job) -> None:
        """Schedule a job as its record says."""
        self._own(job)
        now = self._clock.monotonic()
        not_before = 0.0
        if job.state is State.QUEUED and job.due_at is not None:
            # The wall clock may have jumped: no delay is longer than the longest there is.
            left = (job.due_at - self._clock.now()).total_seconds()
            not_before = now + min(max(left, 0.0), self._longest_delay())
        self._schedule.put(job, now=now, not_before=not_before)

    def _longest_delay(self) -> float:
        return max(*self._config.sending.delays, 3600.0)  # 3600: the longest Retry-After

    def _own(self, job: Job) -> None:
        self._owned.update(a.session_id for a in job.attempts if a.session_id)

    def _not_recorded(self, error: UnrecordedError) -> None:
        """Keep a job that the disk did not take, and nothing else happens to it until it does."""
        job = error.job
        self._own(job)
        self._schedule.jobs[job.job_id] = job
        self._unrecorded[job.job_id] = self._clock.monotonic() + self._retry_pause(job.job_id)
        self._trouble_with_disk(error.error)

    def _retry_pause(self, job_id: str) -> float:
        pause = _RETRY[min(self._refused[job_id], len(_RETRY) - 1)]
        self._refused[job_id] += 1
        return pause

    def _went_wrong(self, error: Exception, **about: object) -> None:
        if isinstance(error, OSError):
            self._trouble_with_disk(error, **about)
        else:
            log.error("step.failed", exc_info=error, **about)

    def _trouble_with_disk(self, error: OSError, **about: object) -> None:
        words = f"{error.strerror or error} ({shown(str(error.filename or self._spool.root))})"
        since = self._disk_trouble.since if self._disk_trouble else self._clock.now()
        if self._disk_trouble is None or self._disk_trouble.words != words:
            log.error("disk.trouble", why=words, **about)
        self._disk_trouble = Trouble(words, "Make room, or see what is wrong with the disk.", since)

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
        if self._is_looking or not self._looking.may_try(now):
            return
        if self._next_look is not None and now < self._next_look:
            return
        jobs = list(self._schedule.on_their_way())
        if not jobs and self._is_known and not self._looking.trouble:
            return
        self._is_looking = True
        self._looking.trying(now)
        self._next_look = now + self._config.sending.poll_interval
        if jobs:
            look = partial(self._delivery.look, jobs, frozenset(self._owned))
            self._step(self._on_looked, jobs, look)
        else:  # at the start, and while something holds: is sipgate there, and the token right?
            self._step(self._on_looked, jobs, self._delivery.greet)

    def _on_looked(self, ended: _Ended) -> None:
        self._is_looking = False
        if isinstance(ended.error, Unreachable):
            self._held(self._looking, "following", ended.error.answer)
            return
        if ended.error is not None:
            self._went_wrong(ended.error)
            return
        now = self._clock.monotonic()
        # Only time in which sipgate answers counts: the pause before an answer after an outage
        # is no longer than the pause between two looks.
        pause = self._config.sending.poll_interval
        waited = min(now - self._looked_at, 2 * pause) if self._looked_at is not None else 0.0
        self._looked_at = now
        self._is_known = True
        if self._looking.trouble:
            self._released(self._looking, "following")
            self._submitting.until = now  # and so the queue may try at once
        sightings: dict[str, Sighting] = ended.result
        looked_for: list[Job] = ended.of
        for job in looked_for:
            sighting = sightings.get(job.job_id)
            if sighting is not None and self._schedule.jobs.get(job.job_id) is job:
                self._seen(job, sighting, waited if sighting.is_complete else 0.0)

    def _seen(self, job: Job, sighting: Sighting, waited: float) -> None:
        event = Looked(waited, sighting.status, sighting.matches)
        after = self._delivery.after(job, event)
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
        self._step(self._on_advanced, job, partial(self._delivery.record, after))

    # -- commands ---------------------------------------------------------------------------

    def _cancel(self) -> None:
        for job_id in self._spool.cancellations():
            job = self._schedule.jobs.get(job_id)
            if job is not None:
                if self._schedule.is_busy(job_id):
                    continue
                self._schedule.start(job_id)
                log.info("fax.cancelled", job=job_id, state=job.state)
                step = partial(self._delivery.apply, job, Cancelled())
                self._step(self._on_advanced, job, step)
            self._spool.cancellation_done(job_id)

    # -- saying so --------------------------------------------------------------------------

    def _say(self) -> None:
        now = self._clock.monotonic()
        interval = self._notifier.watchdog_interval
        if interval is not None and now >= self._feed_at:
            self._notifier.watchdog()
            self._feed_at = now + interval
        if not self._news or now < self._say_at:
            return
        self._say_at = now + 1.0
        self._news = False
        status = self._words()
        if status == self._said:
            return
        self._said = status
        self._notifier.status(self._summary())
        if not self._is_away:
            with contextlib.suppress(OSError):
                self._spool.write_status(status)

    def _words(self) -> dict[str, object]:
        holds = {
            "submitting": self._submitting.trouble,
            "following": self._looking.trouble,
            "disk": self._disk_trouble,
        }
        return {
            "format": "faxdrop-status/1",
            "faxdrop": __version__,
            "pid": os.getpid(),
            "started_at": _utc(self._started_at),
            "away": self._is_away,
            "watching": self._watcher.is_watching(),
            "holds": [
                {
                    "what": what,
                    "words": trouble.words,
                    "advice": trouble.advice,
                    "since": _utc(trouble.since),
                }
                for what, trouble in holds.items()
                if trouble is not None
            ],
            "problems": [
                {"path": shown(path), "problem": problem}
                for path, problem in sorted(self._inbox.problems.items())
            ],
            "inbox": self._inbox.waiting,
            "corrupt": self._spool.corrupt_count() if not self._is_away else None,
            "states": dict(
                sorted(Counter(job.state for job in self._schedule.jobs.values()).items())
            ),
        }

    def _summary(self) -> str:
        if self._is_away:
            return f"{self._spool.root} is away"
        states = Counter(job.state for job in self._schedule.jobs.values())
        text = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "idle"
        held = self._submitting.trouble or self._looking.trouble
        return f"{text}; held: {held.words}" if held else text

    def _pause(self) -> float | None:
        now = self._clock.monotonic()
        dues: list[float | None] = []
        if self._is_away:
            dues.append(now + AWAY_RESCAN)
        else:
            inbox = self._inbox.next_due()
            if self._inbox.is_noticed:
                inbox = now
            if inbox is not None and not self._claims:
                dues.append(max(inbox, self._next_scan))
            dues.append(self._next_rescan)
            dues.append(self._schedule.next_due())
            dues += self._unrecorded.values()
            if self._schedule.has_submissions and not self._submissions:
                dues.append(self._submitting.until)
            if not self._is_looking and self._wants_look():
                dues.append(max(self._next_look or now, self._looking.until))
        if self._notifier.watchdog_interval is not None:
            dues.append(self._feed_at)
        if self._news:
            dues.append(self._say_at)
        return max(0.0, min(due for due in dues if due is not None) - now)

    def _wants_look(self) -> bool:
        return bool(
            self._schedule.watched or not self._is_known or self._looking.trouble is not None
        )

    def _wind_up(self) -> bool:
        """Stop watching and wait a little for the steps under way; return whether all ended.

        A submission that does not end in time stays ``submitting`` on disk for the next start.
        """
        self._notifier.stopping()
        log.info("daemon.stopping", under_way=self._schedule.busy)
        self._watcher.stop()
        until = self._clock.monotonic() + STOP_WITHIN
        self._collect()
        while not self.is_idle and (left := until - self._clock.monotonic()) > 0:
            self._awake.wait(left)
            self._awake.clear()
            self._collect()
        self._sipgate.close()
        log.info("daemon.stopped", under_way=self._schedule.busy - len(self._unrecorded))
        return self.is_idle


def limits_of(config: Config) -> Limits:
    """Return what a document may cost."""
    documents = config.documents
    return Limits(
        max_bytes=documents.max_bytes, max_pages=documents.max_pages, forms=documents.forms
    )


def _claim(
    intake: Intake, delivery: Delivery, candidate: Candidate, claimed_at: datetime
) -> Job | NotYet:
    taken = intake.take(candidate, claimed_at)
    if isinstance(taken, NotYet):
        return taken
    return _decided(delivery, taken.job, taken.event)


def _check(intake: Intake, delivery: Delivery, job: Job) -> Job | NotYet:
    event = intake.check(job)
    return event if isinstance(event, NotYet) else _decided(delivery, job, event)


def _decided(delivery: Delivery, job: Job, event: Checked | Refused | None) -> Job:
    match event:
        case Refused():
            return delivery.apply(job, event)
        case Checked():  # written down with the intent to submit; until then it can be repeated
            return delivery.after(job, event)
        case None:
            return job


def _tells_nothing_new(before: Job, after: Job) -> bool:
    """Tell whether only the time that was waited has grown, and not by so much as to matter."""
    old, new = before.attempts[-1], after.attempts[-1]
    return (
        new.waited // _WAITED_STEP == old.waited // _WAITED_STEP
        and after.model_copy(update={"attempts": ()}) == before.model_copy(update={"attempts": ()})
        and new.model_copy(update={"waited": old.waited}) == old
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
