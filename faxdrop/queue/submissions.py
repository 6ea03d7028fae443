"""Submitting: how many at once, when, and what an answer means beyond its own job."""

from collections.abc import Callable
from functools import partial

import structlog

from faxdrop.clock import Clock
from faxdrop.fax.events import NotTaken
from faxdrop.fax.job import Job, State
from faxdrop.queue.delivery import Delivery, Submitted
from faxdrop.queue.holds import Holds
from faxdrop.queue.meaning import MEANINGS
from faxdrop.queue.polling import Poller, Start
from faxdrop.queue.schedule import Schedule
from faxdrop.queue.sessions import Sessions
from faxdrop.sipgate import Answer
from faxdrop.workers import StepEnd

log = structlog.stdlib.get_logger(__name__)

SUBMISSIONS = 8  # at once, each to a number of its own


class Submissions:
    """The submissions under way. ``advanced`` is called with the end of each."""

    def __init__(
        self,
        schedule: Schedule,
        sessions: Sessions,
        holds: Holds,
        poller: Poller,
        *,
        clock: Clock,
        start: Start,
        advanced: Callable[[StepEnd], None],
    ) -> None:
        self._schedule = schedule
        self._sessions = sessions
        self._holds = holds
        self._poller = poller
        self._clock = clock
        self._start = start
        self._advanced = advanced
        self._under_way = 0
        self._may_go = True  # whether last bytes may be handed over

    def withhold(self) -> None:
        """Withhold the last byte from now on: what is being submitted stays queued."""
        self._may_go = False

    def due(self) -> float | None:
        """Return the monotonic instant of the next submission, None if there is none to wait for.

        The end of one under way wakes the loop by itself.
        """
        if self._under_way or not self._schedule.has_submissions:
            return None
        return self._holds.submitting_until if self._poller.knows_sipgate else None

    def start(self, delivery: Delivery, now: float) -> None:
        """Start all that may be submitted now."""
        while self._may_submit(now):
            job = self._schedule.next_submission()
            if job is None:
                break
            self._under_way += 1
            self._holds.submits(now)
            is_owned = self._sessions.__contains__
            step = partial(delivery.submit, job, is_owned, lambda: self._may_go)
            self._start(partial(self._on_submitted, delivery), job, step)

    def _may_submit(self, now: float) -> bool:
        if self._under_way >= SUBMISSIONS or not self._schedule.has_submissions:
            return False
        return self._poller.knows_sipgate and self._holds.may_submit(now, self._under_way)

    def _on_submitted(self, delivery: Delivery, ended: StepEnd) -> None:
        self._under_way -= 1
        if ended.error is not None:
            self._advanced(ended)
            return
        submitted: Submitted = ended.result
        self._poller.look_soon()
        job, answer = submitted.job, submitted.answer
        if answer is not None:
            self._answered(job, answer)
            if MEANINGS[answer.outcome].is_postponed and job.state is State.QUEUED:
                pause = max(0.0, self._holds.submitting_until - self._clock.monotonic())
                step = partial(delivery.apply, job, NotTaken(pause))
                self._start(self._advanced, job, step)
                return
        self._advanced(StepEnd(ended.of, result=job))

    def _answered(self, job: Job, answer: Answer) -> None:
        """Note what an answer says about sipgate and the account."""
        log.info(
            "fax.submitted",
            job=job.job_id,
            number=job.number,
            outcome=answer.outcome,
            status=answer.status,
            session_id=answer.session_id,
            words=answer.words,
        )
        self._holds.submitted(answer)
